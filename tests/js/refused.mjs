// node refused.mjs URL
// Connects each client in each way to a server that connects it always and refuses it then.
// Prints {"version", "mode", "reason", "again"} for each: why it was disconnected, and whether it would connect again.
import { Client, next } from "./client.mjs";

const [url] = process.argv.slice(2);

for (const version of ["v4", "v3"]) {
  for (const mode of ["polling", "websocket", "upgrade"]) {
    const client = new Client(url, version, mode);
    const socket = client.socket({ reconnection: true, reconnectionDelay: 60_000 });
    const [reason] = await next(socket, "disconnect");
    console.log(JSON.stringify({ version, mode, reason, again: socket.active }));
    client.close();
  }
}
process.exit(0);
