// socket.io's server on Bun's engine.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { handle } from "./handlers.mjs";

const options = {};
if (process.env.QUEUE) {
  const { createClient } = await import("redis");
  const { createAdapter } = await import("@socket.io/redis-adapter");
  const publisher = createClient({ url: process.env.QUEUE });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  options.adapter = createAdapter(publisher, subscriber);
}
const io = new Server(options);
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
handle(io);

export default { port: Number(process.env.PORT), hostname: "127.0.0.1", ...engine.handler() };
