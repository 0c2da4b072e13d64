// What Node's and Bun's servers do.
const MESSAGE = { data: "x".repeat(100) };

export function handle(io) {
  io.on("connection", (socket) => {
    socket.on("go", (count) => {
      for (let i = 0; i < count; i++) io.emit("msg", MESSAGE);
    });
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack();
    });
    socket.on("room", (room) => io.to(room).emit("msg", MESSAGE));
    socket.on("echo", (data, ack) => ack(data));
    socket.on("echo_def", (data, ack) => ack(data));
    socket.on("slow", () => new Promise((resolve) => setTimeout(resolve, 30_000)));
    socket.on("back", (...data) => socket.emit("back", ...data));
  });
}
