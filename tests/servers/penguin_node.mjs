// A Penguin server on Node's own http module, right by the documents.
//
// It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
// server, with the harness, or with the other servers of this folder, so that a misreading cannot hide.
//
// One log of all events, from which a lost connection is made up for; the handshake carries the cursor at which
// its connection stands. What a slow reader has not taken waits in Node's buffers, without limit. Reasoning and
// text grow by snapshots and increments; all tools of a model's answer start before the first one ends; a model
// that is busy is asked again, which shows as a retry; a failure shows as an event of its own. What belongs to no
// session passes every filter, and is replayed. It knows two agents and two folders, and refuses others.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    beat: { type: "string", default: "1000" }, // ms
    keep: { type: "string", default: "1000" }, // events that can be replayed
  },
});
const KEPT = Number(options.keep);
const HOME = "/home/node";
const FOLDERS = [HOME, "/usr"]; // where sessions can work
const AGENTS = ["default", "build"];
const MOST_ANSWERS = 8; // of the model in one turn

const sessions = new Map();
const readers = new Set();
const log = []; // the newest KEPT entries
const places = new Map(); // by id: the entry's number
let logged = 0; // entries ever made

// ------------------------------------------------------------------ events

// `owner` is a session, or `everyone` for what belongs to none.
function emit(owner, type, properties, agent = "") {
  const order = ++owner.order;
  const id = `evt:${owner.id}:${String(order).padStart(8, "0")}`;
  const own = owner === everyone ? {} : { sessionID: owner.id, agentID: agent || null };
  const json = JSON.stringify({ type, id, order, time: Date.now(), properties: { ...own, ...properties } });
  const entry = { id, number: logged++, session: owner, agent };
  entry.block = `event: message\ndata: ${json}\nid: ${id}\n\n`;
  log.push(entry);
  places.set(id, entry.number);
  if (log.length > KEPT) places.delete(log.shift().id);
  for (const reader of readers) if (reader.wants(entry)) reader.response.write(entry.block);
}

const everyone = { id: "everyone", order: 0 };
const info = ({ id, title, directory, created }) => ({ id, title, directory, time: { created } });
const status = (session, type, more) => emit(session, "session.status", { status: { type, ...more } });

async function subscribe(request, response, query) {
  if (request.method !== "GET") return refuse(response, 405, "GET only", { Allow: "GET" });
  const session = query.get("session_id") || query.get("conversation_id");
  const agent = query.get("agent_id");
  const directory = query.get("directory");
  const wants = (entry) =>
    entry.session === everyone ||
    ((!session || entry.session.id === session) &&
      (!agent || entry.agent === agent) &&
      (!directory || entry.session.directory === directory));
  const cursor = query.get("last_event_id") || request.headers["last-event-id"] || "";
  const known = places.has(cursor);
  const newest = log.at(-1)?.id;
  const frame = (type, properties, id) =>
    response.write((id ? `id: ${id}\n` : "") + `data: ${JSON.stringify({ type, id, properties })}\n\n`);

  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform" });
  response.write("retry: 2000\n\n");
  // Everything below happens before anything else can be logged.
  frame("server.connected", { sessionID: session ?? null }, known ? cursor : newest);
  if (known) {
    const missed = log.slice(places.get(cursor) + 1 - log[0].number);
    for (const entry of missed) if (wants(entry)) response.write(entry.block);
  } else if (cursor) {
    const ours = log.filter(wants);
    frame("server.replay_gap", {
      lastEventID: cursor,
      oldestEventID: ours[0]?.id ?? null,
      newestEventID: ours.at(-1)?.id ?? null,
      reason: "not_kept",
    });
  }
  const reader = { response, wants };
  readers.add(reader);
  const beat = setInterval(() => response.write(":\n\n"), Number(options.beat));
  response.on("error", () => {}); // reset while something was written
  response.on("close", () => {
    clearInterval(beat);
    readers.delete(reader);
  });
}

// ------------------------------------------------------------------ a turn

function scriptOf(prompt) {
  const at = prompt.indexOf("[[script ");
  if (at < 0) return { turns: [{ text: ["Node ", "says ", "hello."] }] };
  const rest = prompt.slice(at + "[[script ".length);
  for (let end = rest.indexOf("]]"); end >= 0; end = rest.indexOf("]]", end + 1)) {
    try {
      return JSON.parse(rest.slice(0, end));
    } catch {
      // these brackets were part of the JSON
    }
  }
  throw new Error("a script without an end");
}

function* pieces(chunks = []) {
  for (const chunk of chunks) {
    if (typeof chunk === "string") yield chunk;
    else {
      const tail = "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(chunk.fill / 26));
      for (let i = 0; i < chunk.times; i++) yield `${String(i).padStart(8, "0")} ${tail}`.slice(0, chunk.fill);
    }
  }
}

class Failed extends Error {
  name = "ModelError";
}

class Turn {
  constructor(session, agent, prompt, signal) {
    Object.assign(this, { session, agent, prompt, signal, script: scriptOf(prompt), spoken: "" });
  }

  message(fields) {
    emit(this.session, "message.updated", { ...fields, sessionID: this.session.id }, this.agent);
  }

  part(message, part, delta) {
    const whole = { ...part, messageID: message.id, sessionID: this.session.id };
    emit(this.session, "message.part.updated", { part: whole, delta }, this.agent);
  }

  async play() {
    status(this.session, "busy");
    const busy = setInterval(() => status(this.session, "busy"), 5000);
    try {
      const user = { id: `msg_${randomUUID()}`, role: "user", time: { created: Date.now() }, agent: this.agent };
      this.message(user);
      this.part(user, { id: `part_${randomUUID()}`, type: "text", text: this.prompt });
      const { turns, repeat } = this.script;
      for (let n = 0; n < MOST_ANSWERS; n++) {
        const turn = turns[n] ?? (repeat ? turns.at(-1) : {});
        await this.patience(turn.error);
        await this.answer(turn, user.id);
        if (!turn.tools?.length) break;
      }
    } catch (why) {
      if (!(why instanceof Failed) && why.name !== "AbortError") throw why;
      emit(this.session, "session.error", { error: { name: why.name, data: { message: why.message } } });
    } finally {
      clearInterval(busy);
      status(this.session, "idle");
    }
  }

  // A refusal that ends is waited out; another one is the turn's end.
  async patience(error) {
    if (!error || error.in_stream) return;
    if (!error.times) throw new Failed(error.message);
    for (let attempt = 1; attempt <= error.times; attempt++) {
      const wait = 50 * attempt;
      status(this.session, "retry", { attempt, message: error.message, next: Date.now() + wait });
      await pause(wait, null, { signal: this.signal });
    }
    status(this.session, "busy");
  }

  async answer(turn, parentID) {
    const message = {
      id: `msg_${randomUUID()}`,
      role: "assistant",
      time: { created: Date.now(), completed: null },
      parentID,
      modelID: "m",
      providerID: "p",
      agent: this.agent,
      mode: "chat",
      path: { cwd: this.session.directory, root: "/" },
      cost: 0,
      tokens: null,
    };
    this.message(message);
    try {
      if (turn.stall_ms) await pause(turn.stall_ms, null, { signal: this.signal });
      await this.grow(message, "reasoning", turn.reasoning);
      await this.grow(message, "text", turn.text);
      if (turn.cut) throw new Failed(`connection lost (${turn.cut})`);
      if (turn.error?.in_stream) throw new Failed(turn.error.message);
      emit(everyone, "vcs.branch.updated", { branch: `topic-${everyone.order}` });
      emit(everyone, "lsp.updated", {});
      await this.useTools(message, turn.tools ?? []);
    } finally {
      message.time.completed = Date.now();
      this.message(message);
    }
  }

  async grow(message, type, chunks) {
    const part = { id: `part_${randomUUID()}`, type, text: "" };
    for (const delta of pieces(chunks)) {
      if (this.script.pace_ms) await pause(this.script.pace_ms, null, { signal: this.signal });
      part.text += delta;
      this.part(message, part, delta);
    }
    if (part.text) this.part(message, part, "");
    if (type === "text") this.spoken += part.text;
  }

  async useTools(message, calls) {
    const running = calls.map(async ({ name, args }, n) => {
      const part = { id: `part_${randomUUID()}`, type: "tool", callID: `call_${randomUUID()}`, tool: name };
      const time = { start: Date.now() };
      this.part(message, { ...part, state: { status: "pending", input: {} } });
      for (const output of ["", "hal", "half"]) {
        const running = { status: "running", input: { ...args, shell: null }, time, metadata: { output } };
        this.part(message, { ...part, state: running });
        await pause(1);
      }
      const state = { input: args, time: { ...time, end: Date.now() } };
      try {
        const output = use(this.session, name, args);
        this.part(message, { ...part, state: { ...state, status: "completed", output, title: `${name} ${n}` } });
      } catch (why) {
        this.part(message, { ...part, state: { ...state, status: "error", error: String(why) } });
      }
    });
    await Promise.all(running);
  }
}

// Files are in memory, one set for each session.
function use(session, name, args) {
  if (typeof args.path !== "string") throw new TypeError("path is missing");
  switch (name) {
    case "read_file":
      if (!session.files.has(args.path)) throw new Error(`ENOENT ${args.path}`);
      return session.files.get(args.path);
    case "write_to_file":
      session.files.set(args.path, args.content);
      return { written: args.content.length };
    default:
      throw new Error(`unknown tool ${name}`);
  }
}

// ------------------------------------------------------------------ routes

function reply(response, code, value, headers = {}) {
  response.writeHead(code, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value));
}

const refuse = (response, code, error, headers) => reply(response, code, { error }, headers);

async function readJson(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return text ? JSON.parse(text) : {};
}

function create(response, { title = "", directory = HOME }) {
  if (!FOLDERS.includes(directory)) return refuse(response, 400, "no such folder");
  const session = { id: `session_${randomUUID()}`, title, directory, created: Date.now() };
  Object.assign(session, { order: 0, files: new Map(), queue: Promise.resolve(), stop: new AbortController() });
  sessions.set(session.id, session);
  emit(session, "session.created", { info: info(session) });
  reply(response, 200, info(session));
}

async function prompt(response, { text, session_id: id, agent_id: agent }) {
  const session = sessions.get(id);
  if (!session) return refuse(response, 404, "no such session");
  if (typeof text !== "string") return refuse(response, 400, "text?");
  if (!AGENTS.includes(agent || "default")) return refuse(response, 400, "no such agent");
  const mine = session.queue.then(async () => {
    session.stop = new AbortController();
    const turn = new Turn(session, agent || "default", text, session.stop.signal);
    await turn.play();
    return turn.spoken;
  });
  session.queue = mine.catch(() => {});
  reply(response, 200, { response: await mine });
}

async function ofSession(request, response, id, verb) {
  const session = sessions.get(id);
  if (!session) return refuse(response, 404, "no such session");
  if (request.method === "POST" && verb === "abort") {
    session.stop.abort();
    return reply(response, 200, true);
  }
  if (request.method === "PATCH" && !verb) {
    session.title = (await readJson(request)).title ?? session.title;
    emit(session, "session.updated", { info: info(session) });
    return response.writeHead(204).end();
  }
  if (request.method === "DELETE" && !verb) {
    session.stop.abort();
    sessions.delete(id);
    emit(session, "session.deleted", { info: info(session) });
    return reply(response, 200, true);
  }
  return refuse(response, 404, "nothing here");
}

async function route(request, response) {
  const url = new URL(request.url, "http://node.invalid");
  const [first, id, verb] = url.pathname.split("/").slice(1).map(decodeURIComponent);
  if (url.pathname === "/api/v1/events/sse") return subscribe(request, response, url.searchParams);
  if (url.pathname === "/api/v1/chat/message" && request.method === "POST") {
    return prompt(response, await readJson(request));
  }
  if (first === "session" && id) return ofSession(request, response, id, verb);
  if (first === "session" && request.method === "POST") return create(response, await readJson(request));
  const all = [...sessions.values()].map(info);
  if (first === "session" && request.method === "GET") return reply(response, 200, all);
  return refuse(response, 404, "nothing here");
}

const server = createServer((request, response) => {
  // Open to every page; nobody's credentials are used.
  response.setHeader("Access-Control-Allow-Origin", "*");
  if (request.method === "OPTIONS") {
    response.setHeader("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE");
    response.setHeader("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID");
    return void response.writeHead(204).end();
  }
  route(request, response).catch((why) => {
    if (response.headersSent) response.destroy(why);
    else refuse(response, why instanceof SyntaxError ? 400 : 500, String(why));
  });
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
