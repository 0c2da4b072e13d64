// node restart.mjs URL
// Connects each client in each way, prints {"ready": true}, and expects the server to go away and to come back.
// Then prints {"version", "mode", "reason", "error"} for each.
import assert from "node:assert/strict";

import { ack, Client, next, upgrade } from "./client.mjs";

const [url] = process.argv.slice(2);

async function prepare(client) {
  const socket = await client.connected({
    reconnection: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 300,
    auth: { token: "mine" },
  });
  if (client.mode === "upgrade") await upgrade(socket);
  return { socket, first: socket.id, gone: next(socket, "disconnect") };
}

async function comesBack(client, { socket, first, gone }) {
  const report = { version: client.version, mode: client.mode, reason: null, error: null };
  try {
    [report.reason] = await gone;
    const kept = ack(socket, "echo", "said while the server was away", Buffer.from("kept"));
    await next(socket, "connect");
    assert.notEqual(socket.id, first);
    assert.deepEqual(await kept, ["said while the server was away", Buffer.from("kept")]);
    assert.deepEqual(await ack(socket, "auth"), [{ token: "mine" }]);
    if (client.mode === "upgrade") await upgrade(socket);
    const name = socket.io.engine.transport.name;
    assert.equal(name, client.mode === "polling" ? "polling" : "websocket");
  } catch (error) {
    report.error = String(error.stack ?? error);
  }
  console.log(JSON.stringify(report));
}

const clients = ["v4", "v3"].flatMap((version) =>
  ["polling", "websocket", "upgrade"].map((mode) => new Client(url, version, mode)),
);
const states = await Promise.all(clients.map(prepare));
console.log(JSON.stringify({ ready: true }));
await Promise.all(clients.map((client, index) => comesBack(client, states[index])));
for (const client of clients) client.close();
process.exit(0);
