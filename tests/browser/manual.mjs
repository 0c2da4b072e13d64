// The pages of the built manual in real Chromium: node manual.mjs FOLDER SCREENSHOTS
//
// On a phone nothing of a page is wider than the screen, but for what scrolls by itself: tables and programs. Prints
// what is. Screenshots of some pages, also on a desktop, are written to SCREENSHOTS.

import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

import { launch, newPage } from "./pages.mjs";

const [folder, screenshots] = process.argv.slice(2);
const SIZES = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
};
const SHOWN = ["index.html", "howto/deploy.html", "reference/options.html", "reference/socketio.html"];

const files = fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".html") && !name.startsWith("_"));
const browser = await launch();
for (const [size, options] of Object.entries(SIZES)) {
  const page = await newPage(browser, options);
  for (const file of size === "phone" ? files : SHOWN) {
    await page.goto(pathToFileURL(path.join(folder, file)).href);
    const wide = await page.evaluate(() => {
      const screen = document.documentElement.clientWidth;
      const scrolls = ".table-wrapper, .highlight, .sidebar-drawer, .toc-drawer";
      const all = [...document.querySelectorAll(".content *")].filter((element) => !element.closest(scrolls));
      return all.filter((element) => element.getBoundingClientRect().right > screen + 1).map((each) => each.outerHTML);
    });
    for (const html of wide.slice(0, 3)) console.log(`${file} on a ${size}: ${html.slice(0, 200)}`);
    if (SHOWN.includes(file)) {
      await page.screenshot({ path: path.join(screenshots, `manual-${path.basename(file, ".html")}-${size}.png`) });
    }
  }
}
await browser.close();
