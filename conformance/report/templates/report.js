// The report: one search over all targets, filters, deep links, keys.
const search = document.getElementById("search");
const clear = document.getElementById("clear");
const found = document.getElementById("found");
const rows = [...document.querySelectorAll(".row")];
const runs = [...document.querySelectorAll(".run")];
const buttons = [...document.querySelectorAll("[data-filter]")];
const unfoldedBefore = new Map(); // areas, as they were before something was searched

// What a search looks at: everything that a row says, but no button and no picture.
const words = new Map();
const wordsOf = (row) => {
  if (!words.has(row)) {
    const parts = [row.id];
    const walk = document.createTreeWalker(row, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) =>
      node.nodeType === Node.TEXT_NODE ? NodeFilter.FILTER_ACCEPT
        : node.matches("button, dt, figure.timeline, figcaption, .command, .kept, .probes, .more") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP);
    while (walk.nextNode()) parts.push(walk.currentNode.data);
    words.set(row, parts.join(" ").toLowerCase().replace(/\s+/g, " "));
  }
  return words.get(row);
};

const pressed = (kind) => buttons.filter((b) => b.dataset.filter === kind && b.getAttribute("aria-pressed") === "true")
  .map((b) => b.dataset.value);
const shown = () => rows.filter((row) => !row.hidden && row.checkVisibility());

const apply = (wanted) => {
  const verdicts = pressed("verdict");
  const levels = pressed("level");
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const filtered = verdicts.length + levels.length + terms.length > 0;
  let matching = 0;
  for (const row of rows) {
    const fits = (!verdicts.length || verdicts.includes(row.dataset.verdict))
      && (!levels.length || levels.includes(row.dataset.level))
      && terms.every((term) => wordsOf(row).includes(term));
    matching += fits;
    row.hidden = !fits && row !== wanted;
    row.classList.toggle("wanted", row === wanted);
  }
  for (const area of document.querySelectorAll(".area")) {
    const any = [...area.querySelectorAll(".row")].some((row) => !row.hidden);
    area.hidden = filtered && !any;
    if (filtered && !unfoldedBefore.has(area)) unfoldedBefore.set(area, area.open);
    if (filtered) area.open = any;
    else if (unfoldedBefore.has(area)) { area.open = unfoldedBefore.get(area); unfoldedBefore.delete(area); }
  }
  for (const run of runs) {
    for (const part of run.querySelectorAll(".attention, .areas")) part.hidden = filtered && !part.querySelector(".row:not([hidden])");
    run.querySelector(".none").hidden = !filtered || run.querySelector(".row:not([hidden])") !== null;
  }
  found.firstElementChild.textContent = `${matching} of ${rows.length} match`;
  found.hidden = !filtered;
  document.body.classList.toggle("filtering", filtered); // what matches is wanted, not what surrounds it
  return { verdicts, levels, filtered, matching };
};

// The hash: #penguin/2/PG-CON-01?verdict=fail,warn&level=MUST&q=words; every part may be absent.
const parsed = () => {
  const [place, query] = location.hash.slice(1).split("?");
  let name = place;
  try { name = decodeURIComponent(place); } catch { /* as it is */ }
  return { name, query: new URLSearchParams(query ?? "") };
};
const hash = (name) => {
  const query = new URLSearchParams();
  if (search.value.trim()) query.set("q", search.value.trim());
  for (const kind of ["verdict", "level"]) if (pressed(kind).length) query.set(kind, pressed(kind).join(","));
  const text = query.toString().replaceAll("%2C", ",");
  return text || name ? `#${name}${text ? `?${text}` : ""}` : "";
};
const keep = (name) => history.replaceState(null, "", hash(name) || location.pathname + location.search);

const unfold = (row) => {
  for (let box = row; box; box = box.parentElement.closest("details")) {
    unfoldedBefore.delete(box);
    box.open = true;
  }
};
const go = () => {
  const { name, query } = parsed();
  // A plain link inside the page says nothing of filters, and does not lose them.
  if (location.hash.includes("?")) {
    search.value = query.get("q") ?? "";
    for (const button of buttons) {
      const values = (query.get(button.dataset.filter) ?? "").split(",");
      button.setAttribute("aria-pressed", values.includes(button.dataset.value));
    }
  }
  const target = name ? document.getElementById(name) : null;
  const row = target?.closest(".row") ?? null;
  apply(row);
  if (row) unfold(row);
  if (target) {
    target.scrollIntoView({ block: "start", behavior: "instant" });
    (row?.querySelector("summary") ?? target.querySelector("a, summary"))?.focus({ preventScroll: true });
  }
  keep(name);
};

let waiting = 0;
const main = document.getElementById("main");
const changed = () => {
  const { filtered, matching } = apply(null);
  const top = main.getBoundingClientRect().top - document.querySelector(".tools-bar").offsetHeight;
  if (top < 0) scrollBy({ top, behavior: "instant" }); // what matches begins here
  keep("");
  clearTimeout(waiting);
  waiting = setTimeout(() => say(filtered ? `${matching} of ${rows.length} requirements match` : "All requirements are shown"), 400);
};
const showAll = () => {
  search.value = "";
  for (const button of buttons) button.setAttribute("aria-pressed", "false");
  changed();
};
search.addEventListener("input", changed);
clear.addEventListener("click", () => { showAll(); search.focus(); });
for (const button of buttons) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    changed();
  });
}
addEventListener("hashchange", go);

const step = (by) => {
  const all = shown();
  const here = all.indexOf(document.activeElement?.closest(".row"));
  const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1)];
  const summary = next?.querySelector("summary");
  summary?.focus({ preventScroll: true });
  summary?.scrollIntoView({ block: "nearest", behavior: "instant" });
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !found.hidden) { showAll(); return; }
  if (event.target.matches("input, textarea, select")) return;
  if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
});

// Bytes: what is shown can be read back exactly, so the hex dump and the copy need no second copy in the page.
const encoder = new TextEncoder();
const bytesOf = (pre) => {
  const bytes = [];
  let marked = [0, 0];
  const read = (parent) => {
    for (const node of parent.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) bytes.push(...encoder.encode(node.data.replaceAll("\n", "")));
      else if (node.localName === "mark") { const start = bytes.length; read(node); marked = [start, bytes.length]; }
      else if (node.localName === "b") bytes.push(parseInt(node.textContent.slice(2), 16));
      else if (node.localName === "i") bytes.push(...encoder.encode(unescaped(node.textContent)));
    }
  };
  read(pre);
  return { bytes, marked };
};
const NAMES = { 9: "\\t", 10: "\\n", 13: "\\r", 39: "\\'", 92: "\\\\" };
const hex2 = (byte) => byte.toString(16).padStart(2, "0");
const literal = (bytes) => `b'${bytes.map((byte) => NAMES[byte] ?? (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${hex2(byte)}`)).join("")}'`;

const dump = (pre) => {
  const { bytes, marked } = bytesOf(pre);
  const made = document.createElement("pre");
  made.className = "dump";
  made.tabIndex = 0;
  made.setAttribute("aria-label", "The same bytes in hexadecimal");
  const width = 16;
  const put = (parts, from, text, joint) => parts.forEach((part, index) => {
    const inside = from + index >= marked[0] && from + index < marked[1];
    const last = made.lastChild;
    if (inside && last?.localName === "mark") last.append(joint + part);
    else if (inside) { made.append(index ? joint : ""); const mark = document.createElement("mark"); mark.append(part); made.append(mark); }
    else made.append((index ? joint : "") + part);
  });
  for (let from = 0; from < bytes.length; from += width) {
    const line = bytes.slice(from, from + width);
    const offset = document.createElement("span");
    offset.className = "offset";
    offset.textContent = String(Number(pre.dataset.at) + from).padStart(8, " ") + "  ";
    made.append(offset);
    put(line.map(hex2), from, made, " ");
    made.append("   ".repeat(width - line.length) + "  ");
    put(line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")), from, made, "");
    made.append("\n");
  }
  return made;
};
document.addEventListener("click", (event) => {
  const box = event.target.closest(".bytes");
  const pre = box?.querySelector("pre:not(.dump)");
  if (event.target.closest(".bytes .copy")) copy(literal(bytesOf(pre).bytes), event.target.closest("button"));
  const button = event.target.closest(".bytes .hex");
  if (!button) return;
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  if (on) pre.after(dump(pre));
  else box.querySelector(".dump").remove();
  pre.hidden = on;
});

go();
// The browser goes to the hash by itself when the page is whole, and takes the focus away.
addEventListener("load", () => setTimeout(() => { if (document.activeElement === document.body) go(); }));
