// What people do on the chat page, in real Chromium: node chat.mjs FOLDER
//
// Each line of stdin is {"scenario", "url"}; the answer on stdout is {"ended", "error"}. A scenario has a browser
// context for each person. It waits for what the page shows and never for time to pass. Whoever started this
// script owns the server: a scenario asks with a line {"please"} for it to be stopped and started, and goes on
// when it reads a line from stdin. Screenshots are written to FOLDER.

import assert from "node:assert/strict";
import path from "node:path";
import process from "node:process";
import readline from "node:readline";

import { broken, launch, newPage } from "./pages.mjs";

const folder = process.argv[2];
let url;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function server(order) {
  console.log(JSON.stringify({ please: order }));
  assert.equal((await lines.next()).value, "done");
}

// ---- A person and their page ----

class Person {
  static async arrive(browser, options = DESKTOP) {
    const person = new Person(await newPage(browser, options));
    await person.goto();
    return person;
  }

  constructor(page) {
    this.page = page;
    this.text = page.getByRole("textbox", { name: "Message", exact: true });
    this.log = page.getByRole("log");
    this.rooms = page.getByRole("navigation", { name: "Rooms" });
    this.people = page.getByRole("navigation", { name: "People" });
    this.worker = page.getByText(/^on worker .{4}$/);
    this.banner = page.getByRole("status").filter({ hasText: "Connection lost" });
  }

  goto() {
    return this.page.goto(url);
  }

  async anotherTab() {
    const person = new Person(await this.page.context().newPage());
    await person.goto();
    await person.sees("#lobby");
    return person;
  }

  async tryToLogIn(name) {
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Enter the chat" }).click();
  }

  async logIn(name) {
    await this.tryToLogIn(name);
    await this.sees("#lobby");
  }

  // The title of the open conversation.
  sees(title) {
    return this.page.getByRole("heading", { name: title, exact: true, level: 1 }).waitFor();
  }

  async write(words) {
    await this.text.fill(words);
    await this.text.press("Enter");
  }

  message(words) {
    return this.log.getByRole("listitem").filter({ hasText: words });
  }

  reads(words) {
    return this.message(words).waitFor();
  }

  delivered(words) {
    return this.message(words).getByRole("img", { name: "Delivered" }).waitFor();
  }

  async says(words) {
    await this.write(words);
    await this.delivered(words);
  }

  button(name) {
    return this.page.getByRole("button", { name });
  }

  alert(words) {
    return this.page.getByRole("alert").filter({ hasText: words }).waitFor();
  }

  // Every alert that has text: there is to be one message, not two.
  async alerts() {
    const texts = await this.page.getByRole("alert").allTextContents();
    return texts.filter((text) => text.trim());
  }

  async shot(name) {
    const { page } = this;
    // Not in the middle of an animation.
    await page.evaluate(() => Promise.all(document.getAnimations().filter((one) =>
      one.effect.getComputedTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {}))));
    // A phone zooms out where something sticks out, so innerWidth grows too.
    const { width } = page.viewportSize();
    const wide = await page.evaluate(() => Math.max(innerWidth, document.documentElement.scrollWidth));
    assert.ok(wide <= width, `${name}: the page is ${wide} px wide in a window of ${width}`);
    await page.screenshot({ path: path.join(folder, `chat-${name}.png`) });
  }
}

// ---- The scenarios ----

const scenarios = {
  async room(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser, PHONE)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    await ada.people.getByRole("button", { name: "Grace" }).waitFor();
    await grace.button("Rooms and people").click();
    await grace.people.getByRole("button", { name: "Ada" }).waitFor();
    assert.equal(await grace.page.getByText("on worker").count(), 0, "there is only one");
    await grace.page.keyboard.press("Escape");
    await ada.says("Hello <b>Grace</b>");
    await grace.reads("Hello <b>Grace</b>");
    assert.equal(await grace.log.locator("b").count(), 0, "what people write is text, not HTML");
    await grace.says("Hello Ada");
    await ada.reads("Hello Ada");
    await grace.page.close();
    await ada.people.getByRole("button", { name: "Grace" }).waitFor({ state: "detached" });
  },

  async history(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await ada.says("Said before Grace came");
    await grace.logIn("Grace");
    await grace.reads("Said before Grace came");
    await grace.page.reload();
    await grace.reads("Said before Grace came");
  },

  async rooms(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    await ada.page.getByLabel("Open or join a room by name").fill("tea");
    await ada.page.keyboard.press("Enter");
    await ada.sees("#tea");
    await ada.says("The kettle is on");
    await grace.rooms.getByRole("button", { name: "tea" }).click();
    await grace.sees("#tea");
    await grace.reads("The kettle is on");
    assert.equal(await grace.log.getByRole("listitem").filter({ hasText: "lobby" }).count(), 0);
    await grace.button("lobby").click();
    await grace.sees("#lobby");
    await ada.says("Milk?");
    await grace.rooms.getByRole("button", { name: /tea.*1 unread/ }).click();
    await grace.reads("Milk?");
    for (const person of [ada, grace]) {
      await person.button("Leave room").click();
      await person.sees("#lobby");
    }
    await ada.rooms.getByRole("button", { name: "tea" }).waitFor({ state: "detached" });
  },

  async typing(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    await grace.text.pressSequentially("Well");
    await ada.page.getByText("Grace is typing").waitFor();
    await grace.text.press("Enter");
    await ada.reads("Well");
    await ada.page.getByText("Grace is typing").waitFor({ state: "detached" });
  },

  async private(browser) {
    const people = [];
    for (const name of ["Ada", "Grace", "Linus"]) {
      people.push(await Person.arrive(browser));
      await people.at(-1).logIn(name);
    }
    const [ada, grace, linus] = people;
    await ada.people.getByRole("button", { name: "Grace" }).click();
    await ada.sees("Grace");
    await ada.says("Only for you");
    await grace.people.getByRole("button", { name: /Ada.*1 unread/ }).click();
    await grace.reads("Only for you");
    await grace.says("Understood");
    await ada.reads("Understood");
    // Linus has everything that was sent before this, and it was not for him.
    await grace.button("lobby").click();
    await grace.says("For everybody");
    await linus.reads("For everybody");
    assert.equal(await linus.page.getByText("Only for you").count(), 0);
    assert.equal(await linus.page.getByText("unread").count(), 0);
    // To somebody who has gone: one message, and the text is still there.
    await linus.people.getByRole("button", { name: "Ada" }).click();
    await linus.says("Still there?");
    await ada.page.close();
    await linus.people.getByRole("button", { name: /Ada.*offline/ }).waitFor();
    await linus.write("Good night");
    await linus.alert("not online any more");
    assert.equal(await linus.text.inputValue(), "Good night");
  },

  async commands(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    await ada.write("/roll 3d1000");
    await ada.delivered("Ada rolled 3d1000");
    await grace.reads("Ada rolled 3d1000");
    await ada.write("/time Tokyo");
    await grace.reads("Ada looked at the clock in Tokyo");
    await ada.write("/dance");
    await ada.alert("There is no command /dance");
  },

  async mistakes(browser) {
    const [ada, other] = [await Person.arrive(browser), await Person.arrive(browser)];
    for (const [name, why] of [["   ", "Please give yourself a name."], ["x".repeat(25), "24 characters at most"]]) {
      await ada.tryToLogIn(name);
      await ada.alert(why);
      assert.equal((await ada.alerts()).length, 1);
    }
    await ada.logIn("Ada");
    await other.tryToLogIn("ada");
    await other.alert("Somebody is here as ada already");
    await ada.write("   ");
    await ada.alert("Write something first.");
    await ada.write("x".repeat(2001));
    await ada.alert("2,000 characters at most");
    assert.equal((await ada.alerts()).length, 1);
    assert.equal((await ada.text.inputValue()).length, 2001, "nothing that was written is lost");
    await ada.says("x".repeat(2000));
    await ada.page.getByLabel("Open or join a room by name").fill("r".repeat(25));
    await ada.page.keyboard.press("Enter");
    await ada.alert("24 characters at most");
    assert.equal((await ada.alerts()).length, 1);
  },

  async tabs(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    const tab = await ada.anotherTab();
    assert.equal(await grace.people.getByRole("button", { name: "Ada" }).count(), 1);
    await ada.says("From the first tab");
    await tab.delivered("From the first tab");
    await tab.people.getByRole("button", { name: "Grace" }).click();
    await tab.says("In private, from the second");
    await ada.people.getByRole("button", { name: "Grace" }).click();
    await ada.delivered("In private, from the second");
    await grace.people.getByRole("button", { name: /Ada.*1 unread/ }).click();
    await grace.reads("In private, from the second");
    await tab.page.close();
    await ada.says("And one tab is enough");
    const last = await ada.anotherTab();
    await ada.button("Log out").click();
    await ada.page.getByLabel("Your name").waitFor();
    await last.page.getByRole("alertdialog").getByText("You logged out in another tab.").waitFor();
    await last.button("Back to the login page").click();
    await last.page.getByLabel("Your name").waitFor();
    await grace.people.getByRole("button", { name: /Ada.*offline/ }).waitFor();
  },

  async keyboard(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser, PHONE)];
    // The cursor is where one would type, on both pages.
    await ada.page.keyboard.type("Ada");
    await ada.page.keyboard.press("Enter");
    await ada.sees("#lobby");
    await ada.page.keyboard.type("No mouse today");
    await ada.page.keyboard.press("Shift+Enter");
    await ada.page.keyboard.type("at all");
    await ada.page.keyboard.press("Enter");
    await ada.delivered("No mouse today");
    await grace.logIn("Grace");
    await ada.people.getByRole("button", { name: "Grace" }).waitFor();
    for (let presses = 0; presses < 30; presses += 1) {
      await ada.page.keyboard.press("Tab");
      if (await ada.page.evaluate(() => document.activeElement.matches("button.entry") && document.activeElement.textContent.includes("Grace"))) break;
    }
    await ada.page.keyboard.press("Enter");
    await ada.sees("Grace");
    await ada.page.keyboard.type("Psst");
    await ada.page.keyboard.press("Enter");
    await ada.delivered("Psst");
    // The drawer of the phone takes the focus and gives it back.
    await grace.button(/Rooms and people/).click();
    await grace.page.waitForFunction(() => document.activeElement.closest("aside"));
    await grace.page.keyboard.press("Escape");
    await grace.page.waitForFunction(() => document.activeElement.id === "menu");
  },

  async restart(browser) {
    const [ada, grace] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    await ada.page.getByLabel("Open or join a room by name").fill("tea");
    await ada.page.keyboard.press("Enter");
    await ada.sees("#tea");
    await grace.rooms.getByRole("button", { name: "tea" }).click();
    await grace.sees("#tea");
    await ada.says("Before");
    await grace.reads("Before");
    await server("stop");
    await ada.banner.waitFor();
    await grace.banner.waitFor();
    await ada.write("Meanwhile");
    await ada.message("Meanwhile").getByRole("img", { name: "Sending" }).waitFor();
    await ada.shot("reconnecting-desktop");
    await server("start");
    await ada.banner.waitFor({ state: "hidden" });
    await grace.banner.waitFor({ state: "hidden" });
    await ada.delivered("Meanwhile");
    await grace.reads("Meanwhile");
    await grace.says("After");
    await ada.reads("After");
    for (const words of ["Before", "Meanwhile", "After"]) {
      for (const person of [ada, grace]) assert.equal(await person.message(words).count(), 1, words);
    }
  },

  // On two workers, with people on both.
  async workers(browser) {
    const people = [await Person.arrive(browser), await Person.arrive(browser, PHONE)];
    const [ada, grace] = people;
    await ada.logIn("Ada");
    await grace.logIn("Grace");
    const own = await ada.worker.textContent();
    while (await grace.worker.textContent() === own) {
      await grace.page.reload();
      await grace.sees("#lobby");
    }
    await ada.people.getByRole("button", { name: "Grace" }).waitFor();
    const other = await Person.arrive(browser);
    await other.tryToLogIn("grace");
    await other.alert("Somebody is here as grace already");
    await ada.says("Said on one worker");
    await grace.reads("Said on one worker");
    await grace.says("Read on the other");
    await ada.reads("Read on the other");
    await grace.page.reload();
    await grace.reads("Said on one worker");
    await ada.people.getByRole("button", { name: "Grace" }).click();
    await ada.says("Only for you");
    await grace.button(/Rooms and people/).click();
    await grace.people.getByRole("button", { name: /Ada.*1 unread/ }).waitFor();
    await grace.page.waitForFunction(() => document.activeElement.closest("aside"));
    await grace.shot("worker-phone");
    await ada.shot("worker-desktop");
    await grace.button("Log out").click();
    await ada.people.getByRole("button", { name: /Grace.*offline/ }).waitFor();
  },

  // The CDN that the page names cannot be reached.
  async withoutClient(browser) {
    const person = new Person(await newPage(browser, PHONE));
    await person.page.route("https://cdn.socket.io/**", (route) => route.abort());
    await person.goto();
    await person.tryToLogIn("Ada");
    const dialog = person.page.getByRole("alertdialog", { name: "The page is not complete" });
    await dialog.filter({ hasText: "npm install socket.io-client" }).waitFor();
    await person.shot("no-client-phone");
  },

  // It does not answer either.
  async waitingForClient(browser) {
    const person = new Person(await newPage(browser));
    await person.page.route("https://cdn.socket.io/**", () => {});
    await person.page.goto(url);
    await person.page.getByLabel("Your name").fill("Ada");
    await person.page.getByRole("button", { name: "Enter the chat" }).click({ noWaitAfter: true });
    await person.page.getByRole("alertdialog", { name: "The page is not complete" }).waitFor();
  },

  // What to look at.
  async pictures(browser) {
    const ada = await Person.arrive(browser);
    const grace = await Person.arrive(browser, PHONE);
    const linus = await Person.arrive(browser, { ...DESKTOP, colorScheme: "dark" });
    await ada.shot("login-desktop");
    await linus.shot("login-desktop-dark");
    await grace.tryToLogIn(" ");
    await grace.shot("login-phone");
    await ada.logIn("Ada Lovelace");
    await grace.logIn("Grace");
    await linus.logIn("Linus T");
    await ada.says("Good morning! Who else is up?");
    await grace.says("Me, barely. The kettle is on.");
    await grace.says("Did you see https://example.org/heel-turn ? Just what you asked for last week, short rows and all.");
    await ada.says("Oh lovely. Two questions though:\n1. does it need double-pointed needles?\n2. is the gusset picked up afterwards?");
    await linus.says("Let the dice decide who knits the second one");
    await linus.write("/roll 2d6");
    await ada.reads("rolled 2d6");
    await ada.says("Fair enough.");
    await grace.text.pressSequentially("I can");
    await ada.page.getByText("Grace is typing").waitFor();
    await linus.people.getByRole("button", { name: "Ada" }).click();
    await linus.says("Psst, are you at the meetup tonight?");
    await ada.people.getByRole("button", { name: /Linus.*1 unread/ }).waitFor();
    await ada.shot("room-desktop");
    await grace.shot("room-phone");
    await ada.people.getByRole("button", { name: "Linus" }).click();
    await ada.says("Yes! Save me a seat by the window.");
    await linus.reads("Save me a seat");
    await linus.says("Done. Bring the yarn.");
    await ada.reads("Bring the yarn");
    await ada.shot("private-desktop");
    await linus.shot("private-desktop-dark");
    await linus.button("lobby").click();
    await linus.reads("Fair enough.");
    await linus.shot("room-desktop-dark");
    await grace.button(/Rooms and people/).click();
    await grace.page.waitForFunction(() => document.activeElement.closest("aside"));
    await grace.shot("drawer-phone");
    await grace.people.getByRole("button", { name: "Ada" }).click();
    await grace.sees("Ada Lovelace");
    await grace.shot("empty-phone");
    await grace.text.fill("x".repeat(2001));
    await grace.button("Send").click();
    await grace.alert("2,000 characters at most");
    await grace.shot("too-long-phone");
    await grace.text.fill("");
    await grace.button(/Rooms and people/).click();
    await grace.button("lobby").click();
    await server("stop");
    await grace.banner.waitFor();
    await grace.write("Is it just me?");
    await grace.message("Is it just me?").getByRole("img", { name: "Sending" }).waitFor();
    await grace.shot("reconnecting-phone");
    await server("start");
    await grace.delivered("Is it just me?");
  },
};

async function play(browser, scenario) {
  broken.length = 0;
  try {
    await scenarios[scenario](browser);
    assert.deepEqual(broken, [], "no script of a page failed");
    return null;
  } catch (error) {
    // What everybody saw when it went wrong.
    const pages = browser.contexts().flatMap((context) => context.pages());
    await Promise.allSettled(pages.map((page, number) =>
      page.screenshot({ path: path.join(folder, `chat-failed-${scenario}-${number}.png`) })));
    return error.stack;
  } finally {
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

const browser = await launch();
for (let line = await lines.next(); !line.done; line = await lines.next()) {
  const order = JSON.parse(line.value);
  url = order.url;
  console.log(JSON.stringify({ ended: order.scenario, error: await play(browser, order.scenario) }));
}
await browser.close();
