// The official Admin UI beside the chat, in real Chromium: node admin.mjs SCENARIO URL FOLDER WORKERS
//
// It ends with 0 if the pages show what is there and do what they say, and writes screenshots to FOLDER. It waits for
// what a page shows and never for time to pass.

import assert from "node:assert/strict";
import path from "node:path";
import process from "node:process";

import { broken, launch, newPage } from "./pages.mjs";

const [scenario, url, folder, workers] = process.argv.slice(2);
const DESKTOP = { viewport: { width: 1400, height: 900 } };
const browser = await launch();

async function open(address) {
  const page = await newPage(browser, DESKTOP);
  // Fonts from elsewhere, which the Admin UI can do without.
  await page.route((found) => !found.href.startsWith(url), (route) => route.abort());
  await page.goto(address);
  return page;
}

// ---- A page with clients of the chat, which one can ask what they got ----

class Clients {
  static async of(name) {
    const page = await open(url);
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Enter the chat" }).click();
    await page.getByRole("heading", { name: "#lobby", exact: true, level: 1 }).waitFor();
    await page.goto(`${url}/no-such-page`); // of this origin, with the cookie
    await page.addScriptTag({ url: `${url}/socket.io/socket.io.js` });
    return new Clients(page);
  }

  constructor(page) {
    this.page = page;
  }

  // Connect another client. Returns its sid.
  connect(options = {}, namespace = "/") {
    return this.page.evaluate(({ options, namespace }) => new Promise((resolve, reject) => {
      const socket = window.io(namespace, { forceNew: true, ...options });
      socket.events = [];
      socket.onAny((...event) => socket.events.push(JSON.stringify(event)));
      socket.on("connect_error", reject);
      socket.on("connect", () => {
        window.sockets = { ...window.sockets, [socket.id]: socket };
        resolve(socket.id);
      });
    }), { options, namespace });
  }

  emit(sid, ...event) {
    return this.page.evaluate(({ sid, event }) => { window.sockets[sid].emit(...event); }, { sid, event });
  }

  ask(sid, ...event) {
    return this.page.evaluate(({ sid, event }) => window.sockets[sid].emitWithAck(...event), { sid, event });
  }

  got(sid, event) {
    return this.page.waitForFunction(({ sid, event }) => window.sockets[sid].events.includes(event),
      { sid, event: JSON.stringify(event) });
  }

  gone(sid) {
    return this.page.waitForFunction((sid) => window.sockets[sid].disconnected, sid);
  }

  engineClosed(sid) {
    return this.page.waitForFunction((sid) => window.sockets[sid].io.engine.readyState === "closed", sid);
  }

  usesWebSocket(sid) {
    return this.page.waitForFunction((sid) => window.sockets[sid].io.engine.transport.name === "websocket", sid);
  }

  close(sid) {
    return this.page.evaluate((sid) => { window.sockets[sid].disconnect(); }, sid);
  }
}

// ---- The Admin UI ----

class Admin {
  static async open() {
    return new Admin(await open(`${url}/admin-ui/index.html`));
  }

  constructor(page) {
    this.page = page;
  }

  async logIn(password) {
    await this.page.getByLabel("Server URL").fill(url);
    await this.page.getByLabel("Username").fill("admin");
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Connect" }).click();
  }

  async loggedIn() {
    await this.page.getByLabel("Server URL").waitFor({ state: "hidden" });
    await this.page.getByRole("banner").getByText(/^connected$/i).first().waitFor();
  }

  go(title) {
    return this.page.getByRole("navigation").getByText(title, { exact: true }).click();
  }

  goTo(hash) {
    return this.page.evaluate((hash) => { window.location.hash = hash; }, hash);
  }

  row(...texts) {
    return texts.reduce((rows, hasText) => rows.filter({ hasText }), this.page.locator("tbody tr"));
  }

  sees(...texts) {
    return this.row(...texts).first().waitFor();
  }

  misses(...texts) {
    return this.row(...texts).first().waitFor({ state: "detached" });
  }

  async seesOnly(count, ...texts) {
    if (count) await this.row(...texts).nth(count - 1).waitFor();
    await this.row(...texts).nth(count).waitFor({ state: "detached" });
  }

  // The button with an icon, in a row or on the page.
  button(icon, within = this.page) {
    return within.locator(`button:has(.${icon})`);
  }

  card(title) {
    return this.page.locator(".v-card").filter({ has: this.page.locator(".v-card__title", { hasText: title }) });
  }

  async shot(name) {
    await this.page.evaluate(() => Promise.all(document.getAnimations().filter((one) =>
      one.effect.getComputedTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {}))));
    await this.page.screenshot({ path: path.join(folder, `admin-${scenario}-${workers}-${name}.png`) });
  }
}

// ---- The scenarios ----

const scenarios = {
  async development() {
    const lab = await Clients.of("Ada");
    const sids = [];
    for (let count = 0; count < 12; count += 1) sids.push(await lab.connect({ transports: ["websocket"] }));
    const polls = await lab.connect({ transports: ["polling"] });
    const admin = await Admin.open();
    await admin.shot("connect");
    await admin.logIn("guess");
    await admin.page.getByText("Invalid credentials").waitFor();
    await admin.shot("refused");
    await admin.logIn("changeit");
    await admin.loggedIn();

    // What is there: 12 and one that polls, and this page itself.
    const clients = admin.card("Clients");
    await clients.locator("h2").filter({ hasText: /^13$/ }).waitFor();
    await clients.locator("h2").filter({ hasText: /^1$/ }).waitFor();
    await admin.card("Servers").locator("h2").filter({ hasText: new RegExp(`^${workers}$`) }).waitFor();
    await admin.shot("dashboard");
    await admin.go("Sockets");
    for (const sid of sids) await admin.sees(sid, "WebSocket", "127.0.0.1");
    await admin.sees(polls, "HTTP long-polling");
    await admin.seesOnly(12, "WebSocket");
    await admin.shot("sockets");

    // One that comes, moves to a WebSocket, and goes.
    const comer = await lab.connect();
    await admin.sees(comer);
    await lab.usesWebSocket(comer);
    await admin.sees(comer, "WebSocket");
    await lab.close(comer);
    await admin.misses(comer);

    // One client: join, leave.
    await admin.row(sids[0]).click();
    await admin.card("Details").getByText(sids[0]).waitFor();
    await admin.sees("host", url.replace("http://", ""));
    await admin.sees("room:lobby");
    await admin.page.getByLabel("Join a room").fill("party");
    await admin.button("mdi-tag-plus-outline").click();
    await admin.sees("party");
    await admin.shot("socket");

    // The room: events to it, and the way out of it.
    const other = await lab.connect({ auth: { username: "admin", password: "changeit" } }, "/admin");
    await lab.emit(other, "emit", "/", "party", "greeting", { from: "the admin" }, 1);
    await lab.got(sids[0], ["greeting", { from: "the admin" }, 1]);
    await admin.go("Rooms");
    await admin.sees("party", "Public", /1\s*$/);
    await admin.sees("room:lobby", "Public", "13");
    await admin.shot("rooms");
    await admin.row("room:lobby").click();
    await admin.card("Details").getByText("room:lobby").waitFor();
    for (const sid of sids.slice(0, 9)) await admin.sees(sid);
    await admin.shot("room");
    // Such a button also opens the page of its row.
    await admin.button("mdi-tag-off-outline", admin.row(sids[1])).click();
    await admin.card("Initial HTTP request").waitFor();
    await admin.misses("room:lobby");
    await lab.emit(other, "emit", "/", "room:lobby", "who is in the lobby");
    await lab.got(sids[2], ["who is in the lobby"]);
    await lab.emit(other, "emit", "/", sids[1], "to you alone");
    await lab.got(sids[1], ["to you alone"]);
    const events = await lab.page.evaluate((sid) => window.sockets[sid].events, sids[1]);
    assert.ok(!events.some((event) => event.includes("who is in the lobby")));
    await admin.go("Rooms");
    await admin.sees("room:lobby", "12");
    await admin.button("mdi-tag-off-outline", admin.row("party")).click();
    await admin.go("Rooms");
    await admin.sees("room:lobby", "12");
    await admin.misses("party");

    // Events, both ways.
    const said = await lab.ask(sids[3], "say", { to: "room:lobby", text: "Good morning", nonce: "1" });
    assert.equal(said.message.text, "Good morning");
    await admin.go("Events");
    await admin.sees(sids[3], "event received", "say");
    await admin.sees(sids[4], "event sent", "message");
    await admin.sees(sids[0], "room joined", "party");
    await admin.sees(sids[0], "room left", "party");
    await admin.sees(comer, "disconnection", "client namespace disconnect".replace("namespace ", ""));
    await admin.button("mdi-chevron-down", admin.row(sids[3], "say")).click();
    await admin.page.locator("pre, code").filter({ hasText: "Good morning" }).first().waitFor();
    await admin.shot("events");

    // Disconnections: of one client, of a client's whole connection, of all in a room.
    await admin.go("Sockets");
    await admin.button("mdi-logout", admin.row(sids[5])).click();
    await lab.gone(sids[5]);
    await admin.go("Sockets");
    await admin.misses(sids[5]);
    await admin.go("Clients");
    await admin.shot("clients");
    await admin.goTo(`#/n/%2F/sockets/${sids[6]}`);
    await admin.card("Details").getByText(sids[6]).waitFor();
    await admin.button("mdi-logout").first().click();
    await lab.gone(sids[6]);
    await lab.engineClosed(sids[6]);
    await admin.go("Clients");
    await admin.row("1").first().click();
    await admin.card("Details").waitFor();
    await admin.shot("client");
    await admin.go("Rooms");
    await admin.button("mdi-logout", admin.row("room:lobby")).click();
    for (const sid of [sids[2], sids[11], polls]) await lab.gone(sid);
    await admin.go("Rooms");
    await admin.misses("room:lobby");
    await admin.go("Sockets");
    await admin.sees(sids[1]); // which has left the room before
    await admin.misses(sids[2]);
    await admin.seesOnly(1, "WebSocket");

    await admin.go("Servers");
    const names = workers === "1" ? [/^chat$/] : Array.from({ length: Number(workers) }, () => /chat#\d+/);
    await admin.sees("healthy");
    await admin.seesOnly(names.length, /chat/, "healthy");
    await admin.shot("servers");

    // Loaded again, the page is logged in still.
    await admin.page.reload();
    await admin.loggedIn();
    await admin.goTo("#/sockets/");
    await admin.sees(sids[1]);
  },

  async production() {
    const lab = await Clients.of("Ada");
    for (let count = 0; count < 8; count += 1) await lab.connect({ transports: ["websocket"] });
    const admin = await Admin.open();
    await admin.logIn("changeit");
    await admin.loggedIn();
    await admin.card("Clients").locator("h2").filter({ hasText: /^9$/ }).waitFor();
    await admin.card("Servers").locator("h2").filter({ hasText: new RegExp(`^${workers}$`) }).waitFor();
    await admin.card("Namespaces").getByText("8", { exact: true }).waitFor();
    await admin.card("Connection and disconnection events").waitFor();
    assert.equal(await admin.page.getByRole("navigation").getByText("Sockets", { exact: true }).count(), 0);
    await admin.shot("dashboard");
    await admin.go("Servers");
    await admin.seesOnly(Number(workers), /chat/, "healthy");
    await admin.shot("servers");
  },
};

let failed = false;
try {
  await scenarios[scenario]();
  assert.deepEqual(broken, []);
} catch (error) {
  failed = true;
  console.error(error);
  const pages = browser.contexts().flatMap((context) => context.pages());
  await Promise.allSettled(pages.map((page, number) =>
    page.screenshot({ path: path.join(folder, `admin-failed-${scenario}-${workers}-${number}.png`) })));
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
