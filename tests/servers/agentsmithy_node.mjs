// An AgentSmithy server of the first document on Node's own http module.
//
// It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
// server, with the harness, or with the other servers of this folder, so that a misreading cannot hide.
//
// It knows the document and nothing else: one route, no dialogs of its own, ids taken as they are. Events of one
// moment leave in one write; the stream is compressed for those who accept it; its model does not reason aloud,
// and its tools are done by the client, so that a call is all that is seen of them but for edits.

import { createServer } from "node:http";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { constants, createGzip } from "node:zlib";

const { values: options } = parseArgs({
  options: {
    beat: { type: "string", default: "1000" }, // ms
    limit: { type: "string", default: "0" }, // requests in `window` ms; 0: as many as come
    window: { type: "string", default: "4000" },
    most: { type: "string", default: "200000" }, // bytes of a body
    workspace: { type: "string", default: "/home/node/project" },
  },
});
const MOST_CALLS = 30; // of the model for one prompt
let made = 0; // dialogs

class Refusal extends Error {
  constructor(code, message, headers = {}) {
    super(message);
    Object.assign(this, { code, headers });
  }
}

// ------------------------------------------------------------------ what is asked

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= Number(options.most)) chunks.push(chunk); // the rest is read and dropped: the answer is then read
  }
  if (size > Number(options.most)) throw new Refusal(413, "the body is too large");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (why) {
    throw new Refusal(400, `the body is no JSON: ${why.message}`);
  }
}

const isText = (value) => typeof value === "string";
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function questionOf(body) {
  const demand = (holds, what) => {
    if (!holds) throw new Refusal(400, `wrong: ${what}`);
  };
  demand(isObject(body), "the body is an object");
  const { messages, context = {}, stream = true, dialog_id: id } = body;
  demand(Array.isArray(messages), "messages are a list");
  const isMessage = (each) => isObject(each) && isText(each.role) && isText(each.content);
  demand(messages.every(isMessage), "messages have role and content");
  const last = messages.findLast((message) => message.role === "user");
  demand(last, "a user asks");
  demand(isObject(context), "context is an object");
  demand(isObject(context.current_file ?? {}), "current_file is an object");
  demand(Object.values(context.current_file ?? {}).every(isText), "current_file has texts");
  demand(typeof stream === "boolean", "stream is true or false");
  demand(id === undefined || isText(id), "dialog_id is a text");
  return { prompt: last.content.replace(/\p{Cs}/gu, "\ufffd"), stream, dialog: id || `dialog ${++made}` };
}

function scriptIn(prompt) {
  const found = /\[\[script /.exec(prompt);
  if (!found) return { turns: [{ text: ["Ask ", "me ", "again."] }] };
  const json = prompt.slice(found.index + found[0].length);
  // The value ends where its braces do, those within strings apart.
  let depth = 0;
  for (let at = 0, quoted = false; at < json.length; at++) {
    if (quoted) {
      if (json[at] === "\\") at++;
      else quoted = json[at] !== '"';
    } else if (json[at] === '"') quoted = true;
    else if (json[at] === "{") depth++;
    else if (json[at] === "}" && --depth === 0) return JSON.parse(json.slice(0, at + 1));
  }
  throw new Refusal(400, "a script without an end");
}

// ------------------------------------------------------------------ what is answered

function* cut(chunk) {
  if (isText(chunk)) return yield chunk;
  const letters = "abcdefghijklmnopqrstuvwxyz";
  for (let i = 0; i < chunk.times; i++) {
    let text = i.toString().padStart(8, "0") + " ";
    while (text.length < chunk.fill) text += letters;
    yield text.slice(0, chunk.fill);
  }
}

async function* callModel(turn, pace) {
  const { error } = turn;
  if (error?.status) {
    if (!error.times || error.times > 2) throw new Error(`the model said ${error.status}, ${error.message}`);
    await pause(20 * error.times);
  }
  if (turn.stall_ms) await pause(turn.stall_ms);
  for (const chunk of turn.reasoning ?? []) for (const _ of cut(chunk)) if (pace) await pause(pace);
  for (const chunk of turn.text ?? []) {
    for (const content of cut(chunk)) {
      if (pace) await pause(pace);
      if (content) yield { type: "chat", content };
    }
  }
  if (error) throw new Error(error.message);
  if (turn.cut) throw new Error(`the model's answer is torn: ${turn.cut}`);
}

function editOf({ name, args }) {
  if (name !== "write_to_file" || !isText(args.path) || !isText(args.content)) return [];
  const file = path.posix.resolve(options.workspace, args.path);
  return file.startsWith(`${options.workspace}/`) ? [{ type: "file_edit", file }] : [];
}

async function* agent(prompt) {
  const { turns, repeat, pace_ms: pace } = scriptIn(prompt);
  try {
    for (let n = 0; ; n++) {
      if (n === MOST_CALLS) throw new Error("this leads nowhere");
      const turn = turns[n] ?? (repeat ? turns[turns.length - 1] : {});
      yield* callModel(turn, pace);
      for (const { name, args } of turn.tools ?? []) {
        yield { type: "tool_call", name, args };
        yield* editOf({ name, args });
      }
      if (!turn.tools?.length) break;
    }
  } catch (why) {
    if (why instanceof Refusal) throw why;
    yield { type: "error", error: why.message };
  }
  yield { type: "done", done: true };
}

async function stream(request, response, prompt, dialog) {
  const zip = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "") ? createGzip() : null;
  if (zip) response.setHeader("Content-Encoding", "gzip");
  response.setHeader("X-Accel-Buffering", "no");
  response.writeHead(200, { "Content-Type": "text/event-stream;charset=utf-8", Vary: "Accept-Encoding" });
  response.flushHeaders();
  zip?.pipe(response);
  const out = zip ?? response;
  const flush = () => zip?.flush(constants.Z_SYNC_FLUSH);
  const gone = new Promise((resolve) => response.once("close", resolve));
  const beat = setInterval(() => (out.write(": ...\n\n"), flush()), Number(options.beat));
  response.on("error", () => {});
  try {
    for await (const event of agent(prompt)) {
      response.cork();
      const room = out.write(`data: ${JSON.stringify({ ...event, dialog_id: dialog })}\n\n`);
      flush();
      process.nextTick(() => response.uncork()); // with what else is ready now
      if (response.destroyed) return; // the client has left, so the agent stops
      if (!room) await Promise.race([new Promise((resolve) => out.once("drain", resolve)), gone]);
    }
  } finally {
    clearInterval(beat);
    out.end();
  }
}

async function chat(request, response) {
  const { prompt, stream: streamed, dialog } = questionOf(await bodyOf(request));
  scriptIn(prompt); // before the head is sent
  if (streamed) return stream(request, response, prompt, dialog);
  let message = "";
  for await (const event of agent(prompt)) message += event.type === "chat" ? event.content : "";
  return reply(response, 200, { message, dialog_id: dialog });
}

const GREETING = '[[script {"turns": [{"text": ["Ask ", "me ", "by ", "POST."]}]}]]';
const greet = (request, response) => stream(request, response, GREETING, `dialog ${++made}`);

// ------------------------------------------------------------------ HTTP

function reply(response, code, value, headers = {}) {
  const body = JSON.stringify(value);
  const own = { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) };
  response.writeHead(code, { ...own, ...headers }).end(body);
}

const recent = [];
function limit() {
  const now = Date.now();
  const window = Number(options.window);
  while (recent.length && recent[0] <= now - window) recent.shift();
  if (Number(options.limit) && recent.length >= Number(options.limit)) {
    throw new Refusal(429, "slowly, please", { "Retry-After": Math.ceil((recent[0] + window - now) / 1000) });
  }
  recent.push(now);
}

const server = createServer(async (request, response) => {
  try {
    if (request.url.split("?")[0] !== "/api/chat") throw new Refusal(404, "there is /api/chat");
    limit();
    if (request.method === "POST") await chat(request, response);
    // The document's first client, `new EventSource("/api/chat")`, can ask nothing; it is told so.
    else if (request.method === "GET" || request.method === "HEAD") await greet(request, response);
    else throw new Refusal(405, "there are GET and POST", { Allow: "GET, HEAD, POST" });
  } catch (why) {
    request.resume();
    if (response.headersSent) response.destroy(why);
    else reply(response, why.code ?? 500, { error: why.message }, why.headers);
  }
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
