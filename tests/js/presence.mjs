// What a page does with presence_state and presence_diff, with the real client.
// node presence.mjs URL: it prints the names of the checks that passed.
import assert from "node:assert/strict";
import { Client, ack, until } from "./client.mjs";

const client = new Client(process.argv[2], "v4", "upgrade");

class Page {
  constructor(socket, room) {
    this.socket = socket;
    this.people = new Map();
    this.diffs = 0;
    socket.on("presence_state", (state, of) => {
      if (of === room) this.people = new Map(Object.entries(state));
    });
    socket.on("presence_diff", ({ joins, leaves }, of) => {
      if (of !== room) return;
      this.diffs += 1;
      for (const key of Object.keys(leaves)) this.people.delete(key);
      for (const [key, metas] of Object.entries(joins)) this.people.set(key, metas);
    });
  }

  sees(people) {
    const wanted = JSON.stringify(Object.entries(people));
    return until(() => JSON.stringify([...this.people].sort()) === wanted, wanted);
  }
}

const room = "a room";
const [ada, grace, tab] = [await client.connected(), await client.connected(), await client.connected()];
const page = new Page(ada, room);
await ack(ada, "track", "ada", { name: "Ada" }, room);
await page.sees({ ada: [{ name: "Ada" }] });

await ack(grace, "track", "grace", { name: "Grace" }, room);
await page.sees({ ada: [{ name: "Ada" }], grace: [{ name: "Grace" }] });

await ack(tab, "track", "grace", { name: "Grace" }, room);
tab.disconnect();
await ack(grace, "track", "grace", { name: "Grace", away: true }, room);
await page.sees({ ada: [{ name: "Ada" }], grace: [{ name: "Grace", away: true }] });
assert.equal(page.diffs, 2, "a second tab is no news");

const picture = Buffer.from([0, 255]);
await ack(grace, "track", "grace", { picture }, room);
await until(() => page.people.get("grace")[0].picture, "a picture");
assert.deepEqual(page.people.get("grace")[0].picture, picture);

grace.io.engine.close();
await page.sees({ ada: [{ name: "Ada" }] });
client.close();
console.log("all passed");
