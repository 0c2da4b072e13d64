// node access.mjs URL v4|v3 polling|websocket|upgrade NAMESPACE TAG
// A stranger connects to a namespace of tests/apps/access.py that is for members only. Prints what its socket
// told the application, and what a member's did, as {"stranger": [...], "member": [...]}.
import { ack, Client, connection, next, until } from "./client.mjs";

const [url, version, mode, namespace, tag] = process.argv.slice(2);
const client = new Client(url, version, mode);

function watched(query) {
  const socket = client.socket({ query }, namespace);
  const told = [];
  socket.on("connect", () => told.push("connect"));
  socket.on("connect_error", (error) => told.push(`connect_error: ${error.message}`));
  socket.on("disconnect", (reason) => told.push(`disconnect: ${reason}`));
  socket.onAny((event) => told.push(event));
  return [socket, told];
}

const [member, memberTold] = watched({ user: "ann", tag: `${tag}-member` });
await next(member, "welcome");
const [stranger, strangerTold] = watched({ tag });
stranger.emit("secret", () => strangerTold.push("acknowledged"));
await until(() => strangerTold.some((told) => told.startsWith("disconnect")), "a disconnected stranger");
const witness = client.socket();
await connection(witness);
const heard = next(member, "secret");
await Promise.all([heard, ack(witness, "tell")]);
await until(async () => (await ack(witness, "reasons", tag))[0].length > 0, "a disconnect handler that ran");
const [reasons] = await ack(witness, "reasons", tag);
console.log(JSON.stringify({ stranger: strangerTold, member: memberTold, reasons }));
client.close();
