// A client of tests/apps/engine_twin.py in a worker of a page: posts its first 19 messages, all at once.
importScripts("/client/engine.io.js");

const socket = eio(location.origin, { path: "/engine.io" });
socket.binaryType = "arraybuffer";
const found = [];
socket.on("open", () => {
  for (let n = 0; n < 9; n++) socket.send("съешь ещё булок");
  for (let n = 0; n < 9; n++) socket.send(Uint8Array.of(0, 1, 2, 3, 4));
});
socket.on("message", (data) => {
  found.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
  if (found.length === 19) postMessage(found);
});
