// Reads a list of [schema, [value, ...]], the schemas of AsyncAPI documents, and prints for each value whether it is valid.
import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import formats from "ajv-formats";

const ajv = new Ajv({ strict: false, logger: false });
formats.default(ajv);
const { components, cases } = JSON.parse(readFileSync(0, "utf8"));
const results = cases.map(([schema, values]) => {
  const validate = ajv.compile({ ...schema, components });
  return values.map((value) => validate(value));
});
process.stdout.write(JSON.stringify(results));
