// The report: one search over all targets; areas unfold for what is found in them.
const rows = [...document.querySelectorAll(".row")];
const runs = [...document.querySelectorAll(".run")];
const unfoldedBefore = new Map(); // areas, as they were before something was searched
const BESIDE = "button, dt, figure.timeline, figcaption, .command, .kept, .probes, .more"; // what no search looks at

const apply = (wanted) => {
  const [verdicts, levels, wants] = [pressed("verdict"), pressed("level"), terms()];
  let matching = 0;
  for (const row of rows) {
    const fits = (!verdicts.length || verdicts.includes(row.dataset.verdict))
      && (!levels.length || levels.includes(row.dataset.level))
      && wants.every((term) => wordsOf(row, BESIDE).includes(term));
    matching += fits;
    row.hidden = !fits && row !== wanted;
    row.classList.toggle("wanted", row === wanted);
  }
  for (const area of document.querySelectorAll(".area")) {
    const any = [...area.querySelectorAll(".row")].some((row) => !row.hidden);
    area.hidden = filtered() && !any;
    if (filtered() && !unfoldedBefore.has(area)) unfoldedBefore.set(area, area.open);
    if (filtered()) area.open = any;
    else if (unfoldedBefore.has(area)) { area.open = unfoldedBefore.get(area); unfoldedBefore.delete(area); }
  }
  for (const run of runs) {
    for (const part of run.querySelectorAll(".attention, .areas")) part.hidden = filtered() && !part.querySelector(".row:not([hidden])");
    run.querySelector(".none").hidden = !filtered() || run.querySelector(".row:not([hidden])") !== null;
  }
  return tell(matching);
};

const unfold = (row) => {
  for (let box = row; box; box = box.parentElement.closest("details")) {
    unfoldedBefore.delete(box);
    box.open = true;
  }
};

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
