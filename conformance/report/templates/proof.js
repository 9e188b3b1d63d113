"use strict";
// The kill matrix: search and filters; a link to a fault opens it.
const entries = [...document.querySelectorAll(".entry")];
const words = new Map(entries.map((entry) => [entry, entry.textContent.toLowerCase()]));
const search = document.getElementById("search");
const found = document.getElementById("found");
const buttons = [...document.querySelectorAll(".filters button")];
const pressed = (button) => button.getAttribute("aria-pressed") === "true";

const filter = () => {
  const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const revisions = buttons.filter((button) => button.dataset.revision && pressed(button)).map((button) => button.dataset.revision);
  const odd = buttons.some((button) => "oddities" in button.dataset && pressed(button));
  let shown = 0;
  for (const entry of entries) {
    const here = entry.dataset.in.split(" ");
    entry.hidden = !(wanted.every((word) => words.get(entry).includes(word)) && revisions.every((one) => here.includes(one)) && (!odd || "odd" in entry.dataset));
    shown += !entry.hidden;
  }
  for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".entry:not([hidden])");
  found.hidden = shown === entries.length;
  found.textContent = `${shown} of ${entries.length}`;
  say(found.hidden ? "" : `${shown} of ${entries.length} are shown`);
};
search.addEventListener("input", filter);
for (const button of buttons) button.addEventListener("click", () => { button.setAttribute("aria-pressed", String(!pressed(button))); filter(); });

const open = () => {
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (entry === null || !entry.classList.contains("entry")) return;
  if (entry.hidden) { search.value = ""; for (const button of buttons) button.setAttribute("aria-pressed", "false"); filter(); }
  entry.open = true;
  entry.scrollIntoView();
};
addEventListener("hashchange", open);
open();
