import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import { equal, sleep, suite } from "./harness.mjs";

const check = suite("node");
const PROGRAM = fileURLToPath(new URL("unref.mjs", import.meta.url));

// The process of a client that has nothing to do once it has written its first line.
async function started(url, options) {
  const process = spawn("node", [PROGRAM, url, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => process.once("exit", resolve));
  await new Promise((resolve) => process.stdout.once("data", resolve));
  return { process, ended };
}

for (const [when, transports] of [
  ["upgraded", ["polling", "websocket"]],
  ["polling", ["polling"]],
  ["on a WebSocket", ["websocket"]],
]) {
  check(`with autoUnref a client does not keep its process while it is ${when}`, async (t) => {
    const { ended } = await started(t.url, { autoUnref: true, transports });
    equal(await ended, 0);
  }, "node");
}

check("with autoUnref a client does not keep its process while it tries to reconnect", async (t) => {
  const { ended } = await started(t.nobody, { autoUnref: true });
  equal(await ended, 0);
}, "node");

for (const [when, url] of [["is connected", "url"], ["tries to reconnect", "nobody"]]) {
  check(`without autoUnref a client keeps its process while it ${when}`, async (t) => {
    const { process, ended } = await started(t[url], { autoUnref: false });
    const first = await Promise.race([ended, sleep(300).then(() => "running")]);
    process.kill();
    await ended;
    equal(first, "running");
  }, "node");
}
