// Publishes one message as Node's emitter does: node publish.mjs redis://...
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";

const client = createClient({ url: process.argv[2] });
await client.connect();
new Emitter(client).emit("msg", { data: "x".repeat(100) });
await client.quit();
