import { equal, next, suite } from "./harness.mjs";

const check = suite("connection-state-recovery");

check("a client that has got an event and loses its connection comes back as the same one", async (t) => {
  const socket = t.io("/", { reconnectionDelay: 10 });
  equal(socket.recovered, false);
  socket.emit("hi");
  await next(socket, "hi");
  const { id } = socket;
  socket.io.engine.close();
  await next(socket, "connect");
  equal([socket.id, socket.recovered], [id, true]);
});
