// What people do on the pages of the programs, in real Chromium: node pages.mjs SCENARIO URL
//
// Prints a JSON list of what the page showed, so that two servers can be compared. A scenario waits for what the
// page shows and never for time to pass.

import { createRequire } from "node:module";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";

const require = createRequire(new URL("../tests/browser/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const [, , scenario, url] = process.argv;
const PATIENCE = 30_000; // milliseconds for any one condition
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const seen = [];

async function shows(page, text) {
  await page.getByText(text, { exact: true }).first().waitFor();
  seen.push(text);
}

const scenarios = {
  async nicegui(page) {
    await page.goto(url);
    await shows(page, "clicked 0 times");
    await page.getByRole("button", { name: "Click" }).click();
    await shows(page, "clicked 1 times");
    await page.getByRole("button", { name: "Ask" }).click();
    await shows(page, "the title is A page");
    await page.getByLabel("Name").fill("Ann");
    await shows(page, "Hello Ann");
    await shows(page, "ticked often");

    // A broken connection is opened again, and the page keeps its state.
    const before = await page.evaluate(() => window.socket.id);
    await page.evaluate(() => window.socket.io.engine.close());
    await page.waitForFunction((id) => window.socket.connected && window.socket.id !== id, before);
    await page.getByRole("button", { name: "Click" }).click();
    await shows(page, "clicked 2 times");

    const content = Buffer.alloc(3_000_000, "x");
    await page.locator("input[type=file]").setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer: content });
    await shows(page, "a.txt: 3000000 bytes");

    // Another tab is another client, with a count of its own.
    const other = await page.context().newPage();
    await other.goto(url);
    await shows(other, "clicked 0 times");
    await other.close();
    await page.getByRole("button", { name: "Click" }).click();
    await shows(page, "clicked 3 times");
    seen.push(await page.evaluate(() => window.socket.io.engine.transport.name));
  },

  async chainlit(page) {
    const sockets = [];
    await page.routeWebSocket(/socket\.io/, (socket) => {
      socket.connectToServer();
      sockets.push(socket);
    });
    await page.goto(url);
    await page.locator("#email").fill("ann");
    await page.locator("#password").fill("wrong");
    await page.getByRole("button", { name: /sign in/i }).click();
    await page.getByText(/incorrect|invalid|credentials/i).first().waitFor();
    seen.push("refused");
    await page.locator("#email").fill("ann");
    await page.locator("#password").fill("secret");
    await page.getByRole("button", { name: /sign in/i }).click();
    await shows(page, "Hello ann");
    await say(page, "first");
    await shows(page, "You said: first");
    await say(page, "ask");
    await shows(page, "What is your name?");
    await say(page, "Ann");
    await shows(page, "Your name is Ann");

    // The connection is taken away, and comes back by itself with its session.
    const opened = sockets.length;
    for (const socket of sockets) await socket.close();
    while (sockets.length === opened) await page.waitForEvent("websocket");
    await say(page, "second");
    await shows(page, "You said: second");
    await say(page, "count");
    await shows(page, "4 messages");
  },
};

async function say(page, text) {
  const input = page.locator("#chat-input");
  await input.click();
  await input.pressSequentially(text);
  await page.locator("#chat-submit:not([disabled])").click();
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "asyncsock-programs-"));
const browser = await chromium.launchPersistentContext(folder, {
  executablePath: process.env.CHROMIUM,
  args: FLAGS,
  headless: true,
  locale: "en-GB",
});
try {
  browser.setDefaultTimeout(PATIENCE);
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  try {
    await scenarios[scenario](page);
  } catch (error) {
    console.error(await page.locator("body").innerText());
    throw error;
  }
  if (errors.length > 0) throw new Error(`the page threw: ${errors.join("; ")}`);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
