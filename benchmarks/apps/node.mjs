// Node's socket.io server.
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
if (process.env.RECOVERY) options.connectionStateRecovery = {};
const io = new Server(options);
handle(io);
io.listen(Number(process.env.PORT));
