// Reads an AsyncAPI document from standard input, and prints a list of what is wrong with it.
import { readFileSync } from "node:fs";
import parserPackage from "@asyncapi/parser";

const { document, diagnostics } = await new parserPackage.Parser().parse(readFileSync(0, "utf8"));
const errors = diagnostics.filter((each) => each.severity === 0);
const problems = errors.map((each) => `${each.path.join(".")}: ${each.message} (${each.code})`);
if (!document && problems.length === 0) problems.push("it could not be read");
process.stdout.write(JSON.stringify(problems));
