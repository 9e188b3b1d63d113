"use strict";
// Every page: colours, copying, and what is folded opens for print. Without scripts a page only loses comfort.
document.documentElement.classList.add("scripted");

const say = (words) => { document.getElementById("said").textContent = words; };

// The characters behind an element's text: escapes that we show stand for what they name.
const exact = (element) => {
  let text = "";
  for (const node of element.childNodes) {
    const shown = node.textContent;
    if (node.nodeType === Node.TEXT_NODE) text += shown;
    else if (node.classList.contains("esc")) text += unescaped(shown);
  }
  return text;
};
const SHORT = { "\\n": "\n", "\\r": "\r", "\\t": "\t" };
const unescaped = (shown) => SHORT[shown] ?? String.fromCodePoint(parseInt(shown.slice(2), 16));

const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    button.focus();
    if (!done) { say("Copying is not allowed here"); return; }
  }
  say(`Copied ${button.dataset.what}`);
  const label = button.firstChild;
  const before = label.textContent;
  if (before === "Copied") return;
  label.textContent = "Copied";
  setTimeout(() => { label.textContent = before; }, 1500);
};
document.addEventListener("click", (event) => {
  const button = event.target.closest(".command .copy");
  if (button) copy(exact(button.previousElementSibling), button);
});

const theme = document.getElementById("theme");
const THEMES = { auto: "as the system", light: "light", dark: "dark" };
const kept = (name, value) => {
  try { return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value); } catch { return null; }
};
const wear = (name) => {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  theme.lastElementChild.textContent = name;
  theme.setAttribute("aria-label", `Colours: ${THEMES[name]}`);
};
let worn = kept("sse-conformance-theme");
if (!(worn in THEMES)) worn = "auto";
wear(worn);
theme.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  worn = names[(names.indexOf(worn) + 1) % names.length];
  wear(worn);
  kept("sse-conformance-theme", worn);
});

// Browsers without ::details-content cannot unfold by style alone.
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.print:not([open])")) { folded.add(one); one.open = true; }
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
  folded.clear();
});
