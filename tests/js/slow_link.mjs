// node slow_link.mjs URL LARGE COUNT SIZE
// A `ws` client that pings by itself asks for one event of LARGE bytes and COUNT events of SIZE bytes, and prints
// what it got: {"sizes": [...], "intact": ..., "pongs": [...], "code": ..., "error": ...}.
import WebSocket from "ws";

const [url, ...numbers] = process.argv.slice(2);
const [large, count, size] = numbers.map(Number);
const report = { sizes: [], intact: true, pongs: [], code: null, error: null };
const socket = new WebSocket(url);
let pings = 0;
const pinging = setInterval(() => socket.readyState === WebSocket.OPEN && socket.ping(String(pings++)), 50);

socket.on("message", (data, binary) => {
  if (binary) {
    report.sizes.push(data.length);
    report.intact &&= data.equals(Buffer.alloc(data.length, "x"));
    if (report.sizes.length === 1 + count) socket.close(1000);
    return;
  }
  const packet = data.toString();
  if (packet.startsWith("0{")) socket.send("40");
  if (packet.startsWith("40")) {
    socket.send(`42["broadcast",${large}]`);
    for (let n = 0; n < count; n++) socket.send(`42["broadcast",${size}]`);
  }
});
socket.on("pong", (data) => report.pongs.push(Number(data.toString())));
socket.on("error", (error) => (report.error = String(error)));
socket.on("close", (code) => {
  clearInterval(pinging);
  report.code = code;
  console.log(JSON.stringify(report));
});
