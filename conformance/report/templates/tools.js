// Search, filters, deep links and keys. The page that uses them gives `rows`, `apply(wanted)`, which shows what matches
// and the row that is wanted, and `unfold(row)`; it calls `go()` when everything is there.
const search = document.getElementById("search");
const clear = document.getElementById("clear");
const found = document.getElementById("found");
const buttons = [...document.querySelectorAll("[data-filter]")];
const kinds = [...new Set(buttons.map((button) => button.dataset.filter))];

const pressed = (kind) => buttons.filter((b) => b.dataset.filter === kind && b.getAttribute("aria-pressed") === "true")
  .map((b) => b.dataset.value);
const terms = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);
const filtered = () => terms().length > 0 || kinds.some((kind) => pressed(kind).length > 0);
const shown = () => rows.filter((row) => !row.hidden && row.checkVisibility());

// What a search looks at: everything that a row says, but nothing that is on every row.
const words = new Map();
const wordsOf = (row, beside) => {
  if (!words.has(row)) {
    const parts = [row.id];
    const walk = document.createTreeWalker(row, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) =>
      node.nodeType === Node.TEXT_NODE ? NodeFilter.FILTER_ACCEPT
        : node.matches(beside) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP);
    while (walk.nextNode()) parts.push(walk.currentNode.data);
    words.set(row, parts.join(" ").toLowerCase().replace(/\s+/g, " "));
  }
  return words.get(row);
};

// What every `apply` ends with.
const tell = (matching) => {
  found.firstElementChild.textContent = `${matching} of ${rows.length} match`;
  found.hidden = !filtered();
  document.body.classList.toggle("filtering", filtered()); // what matches is wanted, not what surrounds it
  return matching;
};

// The hash: #penguin/2/PG-CON-01?q=words&verdict=fail,warn&level=MUST; every part may be absent.
const parsed = () => {
  const [place, query] = location.hash.slice(1).split("?");
  let name = place;
  try { name = decodeURIComponent(place); } catch { /* as it is */ }
  return { name, query: new URLSearchParams(query ?? "") };
};
const hash = (name) => {
  const query = new URLSearchParams();
  if (search.value.trim()) query.set("q", search.value.trim());
  for (const kind of kinds) if (pressed(kind).length) query.set(kind, pressed(kind).join(","));
  const text = query.toString().replaceAll("%2C", ",");
  return text || name ? `#${name}${text ? `?${text}` : ""}` : "";
};
const keep = (name) => history.replaceState(null, "", hash(name) || location.pathname + location.search);

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
    (row?.querySelector("summary, a.id") ?? target.querySelector("a, summary"))?.focus({ preventScroll: true });
  }
  keep(name);
};

let waiting = 0;
const main = document.getElementById("main");
const changed = () => {
  const matching = apply(null);
  const top = main.getBoundingClientRect().top - document.querySelector(".tools-bar").offsetHeight;
  if (top < 0) scrollBy({ top, behavior: "instant" }); // what matches begins here
  keep("");
  clearTimeout(waiting);
  waiting = setTimeout(() => say(filtered() ? `${matching} of ${rows.length} requirements match` : "All requirements are shown"), 400);
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
// The browser goes to the hash by itself when the page is whole, and takes the focus away.
addEventListener("load", () => setTimeout(() => { if (document.activeElement === document.body) go(); }));

const step = (by) => {
  const all = shown();
  const here = all.indexOf(document.activeElement?.closest(".row"));
  const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1)];
  const handle = next?.querySelector("summary, a.id");
  handle?.focus({ preventScroll: true });
  handle?.scrollIntoView({ block: "nearest", behavior: "instant" });
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !found.hidden) { showAll(); return; }
  if (event.target.matches("input, textarea, select")) return;
  if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
});
