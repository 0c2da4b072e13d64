// node suite.mjs plain|recovery|engine URL NOBODY
// Has a page in real Chromium run the checks of tests/js/suite against the server that it came from, as node.mjs there
// does in Node. Nobody listens at the URL NOBODY.
import process from "node:process";

import { launch } from "./pages.mjs";

const [kind, url, nobody] = process.argv.slice(2);
const browser = await launch();
const report = (line) => console.log(JSON.stringify(line));
const page = await browser.newPage();
page.on("pageerror", (error) => report({ name: "no error outside the checks", error: String(error.stack) }));
await page.exposeFunction("report", report);
await page.goto(`${url}/checks/page.html`);
await page.addScriptTag({ url: kind === "engine" ? "/client/engine.io.js" : "/client/socket.io.js" });
await page.evaluate(
  async ({ kind, nobody }) => {
    const { run } = await import("/checks/harness.mjs");
    const { SUITES } = await import("/checks/suites.mjs");
    for (const file of SUITES[kind]) await import(`/checks/${file}.mjs`);
    const environment = {
      client:
        kind === "engine"
          ? { Socket: function (...args) { return window.eio(...args); } }
          : { io: window.io, Manager: window.io.Manager },
      url: window.location.origin,
      nobody,
      options: {},
      recovery: kind === "recovery",
    };
    // Two at once: a browser has few connections for one host. Engines remember for each other what has worked.
    await run(environment, "page", kind === "engine" ? 1 : 2, window.report);
  },
  { kind, nobody },
);
await browser.close();
