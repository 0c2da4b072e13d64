// Pages that load a build of the client from the server: node client_files.mjs URL...
// It prints what each page shows when it has an answer, or that it has none.

import process from "node:process";

import { broken, launch, newPage } from "./pages.mjs";

const browser = await launch();
for (const url of process.argv.slice(2)) {
  const page = await newPage(browser);
  await page.goto(url);
  await page.waitForFunction(() => document.title).catch(() => {});
  console.log(await page.title());
}
for (const error of broken) console.error(error);
await browser.close();
