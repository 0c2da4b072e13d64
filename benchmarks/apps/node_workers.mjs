// Node's socket.io server in two workers: @socket.io/sticky leads each request to its session's worker.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { setupMaster, setupWorker } from "@socket.io/sticky";
import { Server } from "socket.io";
import { handle } from "./handlers.mjs";

if (cluster.isPrimary) {
  const server = createServer();
  setupMaster(server);
  cluster.setupPrimary({ serialization: "advanced" });
  const workers = [cluster.fork(), cluster.fork()];
  const ready = (worker) => new Promise((resolve) => worker.once("message", resolve));
  await Promise.all(workers.map(ready)); // what a worker is sent before is lost
  server.listen(Number(process.env.PORT));
} else {
  const io = new Server(createServer());
  setupWorker(io);
  handle(io);
  process.send({ type: "ready" });
}
