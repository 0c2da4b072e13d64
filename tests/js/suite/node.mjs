// node node.mjs plain|recovery|engine URL
//
// Says of the server at URL what the suite of the official JavaScript client says of the server that it is tested
// against, and prints {"name", "error"} for each check. The server is tests/apps/suite_twin.py, which restores
// connections or not, or for the engine alone tests/apps/engine_twin.py. --list in place of the URL prints
// {"name", "place"} of every check.
//
// The checks are our own, as no npm package has the suite. Of socket.io-client, each has in its name the file of the
// suite that tests the same: connection, socket, retry, connection-state-recovery or node. Every test of these files has
// a check, some of them one for two or three, but for the one of browsers without ArrayBuffer. One check differs where
// connections are recovered: a client that has got no event yet comes back as another one in Node, and as the same one
// here. Of engine.io-client, every test that meets a server has a check, but for those of WebTransport and those of the
// processes of clients, which are in the other suite. What parses URLs, cookies and options is left out of both.
import { Agent, createServer } from "node:http";
import { setTimeout } from "node:timers"; // checks replace the global one

import { list, run } from "./harness.mjs";
import { SUITES } from "./suites.mjs";

// Connects a little later, so that no answer is there before a client that waits for 0 ms gives up.
class LateAgent extends Agent {
  createConnection(options, callback) {
    setTimeout(() => callback(null, super.createConnection(options)), 10);
  }
}

class WatchedAgent extends Agent {
  constructor(seen) {
    super();
    this.seen = seen;
  }

  addRequest(request, ...more) {
    this.seen(request);
    super.addRequest(request, ...more);
  }
}

async function nobodysUrl() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

const [kind, url] = process.argv.slice(2);
const files = kind === "engine" ? SUITES[kind] : [...SUITES[kind], "processes"];
for (const file of files) await import(`./${file}.mjs`);
const report = (line) => console.log(JSON.stringify(line));
if (url === "--list") {
  list().forEach(report);
} else {
  let failure = null;
  process.on("uncaughtException", (error) => (failure ??= error));
  const environment = {
    client: await import(kind === "engine" ? "engine.io-client" : "socket.io-client"),
    url,
    nobody: await nobodysUrl(),
    options: { agent: new LateAgent() },
    recovery: kind === "recovery",
    watchedAgent: (seen) => new WatchedAgent(seen),
  };
  // Engines remember for each other whether a WebSocket has worked.
  await run(environment, "node", kind === "engine" ? 1 : 6, report);
  if (failure) report({ name: "no error outside the checks", error: String(failure.stack) });
  process.exit(0);
}
