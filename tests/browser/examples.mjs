// What people do on the pages of the smaller examples, in real Chromium: node examples.mjs SCENARIO URL FOLDER
//
// It ends with 0 if the page did what it should, and writes screenshots to FOLDER. It waits for what the page shows
// and never for time to pass.

import assert from "node:assert/strict";
import path from "node:path";
import process from "node:process";

import { broken, launch, newPage } from "./pages.mjs";

const [scenario, url, folder] = process.argv.slice(2);
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const DARK = { ...DESKTOP, colorScheme: "dark" };
const browser = await launch();

async function open(options) {
  const page = await newPage(browser, options);
  await page.goto(url);
  return page;
}

async function shoot(page, name) {
  const { wide, room } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    room: window.innerWidth,
  }));
  assert.ok(wide <= room, `${name}: the page is ${wide} px wide in a window of ${room} px`);
  await page.screenshot({ path: path.join(folder, `example-${name}.png`) });
}

const scenarios = {
  async migrated() {
    const ada = await open(DESKTOP);
    const grace = await open(PHONE);
    const linus = await open(DARK);
    const choice = (page, words) => page.getByRole("button", { name: words });
    await choice(ada, "Tea 0").click();
    await choice(grace, "Tea 1").click();
    await choice(linus, "Cocoa 0").click();
    for (const page of [ada, grace, linus]) {
      await choice(page, "Tea 2").waitFor();
      await choice(page, "Cocoa 1").waitFor();
    }
    assert.equal(await choice(ada, "Tea").getAttribute("aria-pressed"), "true");
    await choice(grace, "Close the poll").click();
    await ada.getByRole("status").filter({ hasText: "Closing in" }).waitFor();
    for (const page of [ada, grace, linus]) {
      await page.getByRole("status").filter({ hasText: "We drink tea." }).waitFor();
    }
    await shoot(ada, "migrated-desktop");
    await shoot(grace, "migrated-phone");
    await shoot(linus, "migrated-desktop-dark");
    await linus.context().close();
    await choice(ada, "Cocoa 0").waitFor();
  },

  async login() {
    const reader = await open(DARK);
    const ada = await open(DESKTOP);
    const grace = await open(PHONE);
    const logIn = async (page, name, password) => {
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Log in" }).click();
    };
    const pin = async (page, words) => {
      await page.getByRole("status").filter({ hasText: "Connected." }).waitFor();
      await page.getByLabel("Your note").fill(words);
      await page.getByRole("button", { name: "Pin it" }).click();
      await page.waitForFunction(() => document.querySelector("#text").value === ""); // the server has it
    };
    const note = (page, words) => page.getByRole("listitem").filter({ hasText: words });
    await logIn(grace, "Grace", "engine");
    await grace.getByRole("alert").filter({ hasText: "do not belong together" }).waitFor();
    await shoot(grace, "login-phone-form");
    await logIn(grace, "Grace", "compiler");
    await logIn(ada, "Ada", "engine");
    await pin(ada, "The kettle is on.");
    await pin(grace, "There is a moth in the relay of the second machine. Please leave it there.");
    await pin(ada, "Who has the punched cards for Tuesday?");
    for (const page of [reader, ada, grace]) {
      await note(page, "kettle").waitFor();
      await note(page, "Tuesday").waitFor();
    }
    assert.equal(await reader.getByRole("button", { name: /Take down/ }).count(), 0);
    assert.equal(await grace.getByRole("button", { name: /Take down/ }).count(), 1);
    await shoot(ada, "login-desktop");
    await shoot(grace, "login-phone");
    await shoot(reader, "login-desktop-dark");
    await ada.getByRole("button", { name: "Take down: The kettle is on." }).click();
    await note(reader, "kettle").waitFor({ state: "detached" });
    await ada.getByRole("button", { name: "Log out" }).click();
    await ada.getByText("You are reading along.").waitFor();
    await note(ada, "moth").waitFor();
  },

  async background() {
    const first = await open(DESKTOP);
    const pages = (page) => page.locator("dd#pages");
    await pages(first).filter({ hasText: /^1$/ }).waitFor();
    const second = await open(PHONE);
    const third = await open(DARK);
    await pages(first).filter({ hasText: /^3$/ }).waitFor();
    for (const page of [first, second, third]) {
      // The line has a point for each update from the thread.
      await page.waitForFunction(() => document.querySelector("#line").points.numberOfItems >= 3);
      await page.locator("dd#time").filter({ hasText: /^\d\d:\d\d:\d\d$/ }).waitFor();
    }
    await shoot(first, "background-desktop");
    await shoot(second, "background-phone");
    await shoot(third, "background-desktop-dark");
  },
};

let failed = false;
try {
  await scenarios[scenario]();
  assert.deepEqual(broken, []);
} catch (error) {
  failed = true;
  console.error(error);
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
