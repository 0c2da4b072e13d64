// Reads an AsyncAPI document from each line of its input, and prints a line with a list of what is wrong with it.
import { createInterface } from "node:readline";
import parserPackage from "@asyncapi/parser";

const parser = new parserPackage.Parser();
for await (const line of createInterface({ input: process.stdin })) {
  const { document, diagnostics } = await parser.parse(line);
  const errors = diagnostics.filter((each) => each.severity === 0);
  const problems = errors.map((each) => `${each.path.join(".")}: ${each.message} (${each.code})`);
  if (!document && problems.length === 0) problems.push("it could not be read");
  process.stdout.write(`${JSON.stringify(problems)}\n`);
}
