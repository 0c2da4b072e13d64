// What the pages of docs/tutorial say that one sees, in real Chromium: node tutorial.mjs SCENARIO URL FOLDER CLIENT
//
// CLIENT is the file that stands in for the one of cdn.socket.io. A scenario asks for the server to be stopped or
// started with a line on stdout, and goes on when it reads one from stdin. Screenshots are written to FOLDER.

import assert from "node:assert/strict";
import path from "node:path";
import process from "node:process";
import readline from "node:readline";

import { broken, launch, newPage } from "./pages.mjs";

const [scenario, url, folder, client] = process.argv.slice(2);
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const browser = await launch();
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function server(order) {
  console.log(order);
  assert.equal((await lines.next()).value, "done");
}

class Person {
  static async arrive(options = DESKTOP) {
    const page = await newPage(browser, options);
    await page.route("https://cdn.socket.io/4.8.3/socket.io.min.js", (route) => route.fulfill({ path: client }));
    await page.goto(url);
    return new Person(page);
  }

  constructor(page) {
    this.page = page;
    this.log = page.locator("#log li");
  }

  // Fill in the only field, and press a button.
  async types(words, button = "Send") {
    await this.page.getByRole("textbox").fill(words);
    await this.page.getByRole("button", { name: button }).click();
  }

  async enters(name, room) {
    await this.page.getByLabel("Room").selectOption(room);
    await this.types(name, "Enter");
    await this.connected();
  }

  sees(words) {
    return this.page.getByText(words).waitFor();
  }

  connected() {
    return this.sees(/^Connected\.|^Connected, to process \d+\.$/);
  }

  // The message in this state: "waiting", "refused" or, where there is none of these, "".
  message(words, state) {
    const item = state ? this.page.locator(`#log li.${state}`) : this.page.locator("#log li:not([class]), #log li[class='']");
    return item.filter({ hasText: words });
  }

  async here(...names) {
    await this.page.locator("#people").filter({ hasText: new RegExp(`^${names.join(", ")}$`) }).waitFor();
  }

  async shot(name) {
    const { wide, room } = await this.page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      room: window.innerWidth,
    }));
    assert.ok(wide <= room, `${name}: the page is ${wide} px wide in a window of ${room} px`);
    await this.page.screenshot({ path: path.join(folder, `${name}.png`) });
  }
}

const scenarios = {
  async README() {
    const one = await Person.arrive();
    const two = await Person.arrive(PHONE);
    await one.sees("connected");
    await two.sees("connected");
    await one.page.getByRole("textbox").fill("Is the kettle on?");
    await one.page.getByRole("textbox").press("Enter");
    await one.log.filter({ hasText: "Is the kettle on?" }).waitFor();
    await two.log.filter({ hasText: "Is the kettle on?" }).waitFor();
    await one.sees("sent");
    assert.equal(await two.page.locator("#state").textContent(), "connected");
    await one.shot("readme-desktop");
    await two.shot("readme-phone");
  },

  async "1-hello"() {
    const ada = await Person.arrive();
    const other = await Person.arrive(PHONE);
    await ada.connected();
    await ada.types("Ada", "Say hello");
    await ada.sees("Hello, Ada!");
    assert.equal(await other.log.count(), 0);
    await server("stop");
    await ada.sees("Connection lost, trying again …");
    await server("start");
    await ada.connected();
    await other.connected();
    await other.types("Grace", "Say hello");
    await other.sees("Hello, Grace!");
    assert.equal(await ada.log.count(), 1);
    await ada.shot("tutorial-1-desktop");
    await other.shot("tutorial-1-phone");
    const far = await newPage(browser, PHONE);
    await far.route("https://cdn.socket.io/**", (route) => route.abort());
    await far.goto(url);
    await far.getByText("cdn.socket.io cannot be reached").waitFor();
    broken.splice(0); // `io` is not defined there
  },

  async "2-everyone"() {
    const one = await Person.arrive();
    const two = await Person.arrive(PHONE);
    await one.connected();
    await two.connected();
    await one.types("Is the kettle on?");
    await two.message("Is the kettle on?", "").waitFor();
    await one.message("Is the kettle on?", "received").waitFor();
    await server("stop");
    await one.sees("Connection lost, trying again …");
    await one.types("Hello?");
    await one.message("Hello?", "waiting").waitFor();
    await one.shot("tutorial-2-waiting-desktop");
    await two.sees("Connection lost, trying again …");
    await server("start");
    await one.message("Hello?", "received").waitFor();
    await two.connected();
    await one.types("And now?");
    await two.sees("And now?");
    await two.shot("tutorial-2-phone");
  },

  async "3-rooms"() {
    const ada = await Person.arrive();
    await ada.shot("tutorial-3-enter-desktop");
    await ada.enters("Ada", "Kitchen");
    await ada.here("Ada");
    const grace = await Person.arrive(PHONE);
    await grace.shot("tutorial-3-enter-phone");
    await grace.enters("Grace", "Kitchen");
    const linus = await Person.arrive();
    await linus.enters("Linus", "Garden");
    await ada.here("Ada", "Grace");
    await grace.here("Ada", "Grace");
    await linus.here("Linus");
    await ada.types("Who has the kettle?");
    await grace.sees("Ada: Who has the kettle?");
    await grace.types("I have.");
    await ada.sees("Grace: I have.");
    assert.equal(await linus.log.count(), 0);
    await ada.shot("tutorial-3-desktop");
    await grace.shot("tutorial-3-phone");
    const tab = new Person(await ada.page.context().newPage());
    await tab.page.route("https://cdn.socket.io/**", (route) => route.fulfill({ path: client }));
    await tab.page.goto(url);
    await tab.here("Ada", "Grace");
    await tab.page.close();
    await grace.page.close();
    await ada.here("Ada");
    await ada.page.getByRole("button", { name: "Leave the room" }).click();
    await ada.page.getByRole("button", { name: "Enter" }).waitFor();
  },

  async "4-messages"() {
    const ada = await Person.arrive();
    const grace = await Person.arrive(PHONE);
    await ada.enters("Ada", "Kitchen");
    await grace.enters("Grace", "Kitchen");
    await ada.here("Ada", "Grace");
    await ada.types("");
    await ada.message("not sent: Expected `str` of length >= 1", "refused").waitFor();
    await ada.types("x".repeat(201));
    await ada.message("not sent: Expected `str` of length <= 200", "refused").waitFor();
    await ada.types("Short and good.");
    await ada.message(/^You: Short and good. \(\d\d:\d\d:\d\d\)$/, "").waitFor();
    await grace.sees("Ada: Short and good.");
    assert.equal(await grace.log.count(), 1);
    await ada.shot("tutorial-4-desktop");
    await grace.shot("tutorial-4-phone");
  },

  async "5-many"() {
    const ada = await Person.arrive();
    await ada.enters("Ada", "Kitchen");
    const processes = new Set();
    const others = [];
    for (let number = 0; processes.size < 2; number++) {
      const other = await Person.arrive(PHONE);
      await other.enters(`Guest ${number}`, "Kitchen");
      processes.add(await other.page.locator("#state").textContent());
      others.push(other);
    }
    for (const other of others) await other.page.locator("#people").filter({ hasText: "Ada" }).waitFor();
    await ada.types("Anybody here?");
    for (const other of others) await other.sees("Ada: Anybody here?");
    await ada.page.context().setOffline(true); // the tunnel is as long as it has to be
    await ada.page.getByRole("button", { name: "Lose the connection" }).click();
    await ada.sees("Connection lost, trying again …");
    await ada.types("I am in a tunnel.");
    await ada.message("I am in a tunnel.", "waiting").waitFor();
    for (const other of others) await other.types("You miss this.");
    await ada.page.context().setOffline(false);
    await ada.sees(/^Connected again, to process \d+\.$/);
    for (const number of others.keys()) await ada.sees(`Guest ${number}: You miss this.`);
    for (const other of others) await other.sees("Ada: I am in a tunnel.");
    await ada.message("I am in a tunnel.", "").waitFor();
    await ada.shot("tutorial-5-desktop");
    await others[0].shot("tutorial-5-phone");
  },
};

let failed = false;
try {
  await scenarios[scenario]();
  assert.deepEqual(broken, [], "no script of a page failed");
} catch (error) {
  failed = true;
  console.error(error.stack);
  const pages = browser.contexts().flatMap((context) => context.pages());
  await Promise.allSettled(pages.map((page, number) => page.screenshot({ path: path.join(folder, `tutorial-failed-${number}.png`) })));
}
await browser.close();
process.exit(failed ? 1 : 0);
