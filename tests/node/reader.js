// Reads event streams as a Node client does. One JSON line in: {"chunks": [base64, …]}.
// One JSON line out: {"events": [{"type", "data", "id"}], "retries": [ms]}; id is null where the parser gives none.
import { createInterface } from "node:readline";
import { createParser } from "eventsource-parser";

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const events = [];
  const retries = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => events.push({ type: event ?? "message", data, id: id ?? null }),
    onRetry: (ms) => retries.push(ms),
  });
  const text = new TextDecoder("utf-8");
  for (const chunk of JSON.parse(line).chunks) {
    parser.feed(text.decode(Buffer.from(chunk, "base64"), { stream: true }));
  }
  process.stdout.write(JSON.stringify({ events, retries }) + "\n");
}
