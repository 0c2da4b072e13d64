// Pages in real Chromium, for the scripts beside this one.

import process from "node:process";
import { chromium } from "playwright-core";

const PATIENCE = 15_000; // milliseconds for any one condition
export const broken = []; // errors that any page's own script threw

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
}

// An empty page of its own context. The errors of all pages of that are noted.
export async function newPage(browser, options) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE);
  context.on("page", (page) => page.on("pageerror", (error) => broken.push(error)));
  return context.newPage();
}
