// Reads event streams as Node's eventsource-parser does, which is looked for from the folder that is the argument.
// First one JSON line out: {"version"} or {"missing"}. Then for each line in, {"chunks": [base64, …]}, one line out:
// {"events": [{"type", "data", "id"}], "retry": ms}; id is "" where the parser gives none, retry null if it was not set.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const require = createRequire(pathToFileURL(join(process.argv[2], "reader.js")));

let createParser;
try {
  ({ createParser } = require("eventsource-parser"));
  say({ version: require("eventsource-parser/package.json").version });
} catch (error) {
  say({ missing: `${error.code ?? error.message}` });
  process.exit(0);
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const events = [];
  let retry = null;
  const parser = createParser({
    onEvent: ({ id, event, data }) => events.push({ type: event ?? "message", data, id: id ?? "" }),
    onRetry: (ms) => { retry = Math.min(ms, 2 ** 53); },
  });
  const text = new TextDecoder("utf-8");
  for (const chunk of JSON.parse(line).chunks) {
    parser.feed(text.decode(Buffer.from(chunk, "base64"), { stream: true }));
  }
  say({ events, retry });
}
