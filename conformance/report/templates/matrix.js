// The matrix: rows are searched and filtered, columns are chosen; a verdict counts where its column is shown.
const rows = [...document.querySelectorAll(".row")];
const BESIDE = "td, summary, .verdict"; // what no search looks at: verdicts are filtered by
const labels = buttons.filter((button) => button.dataset.filter === "column").length;

const choose = (columns) => {
  const chosen = (key) => !columns.length || columns.includes(key);
  for (const one of document.querySelectorAll("[data-column]")) one.hidden = !chosen(one.dataset.column);
  for (const head of document.querySelectorAll("[data-revision]")) {
    const left = head.dataset.revision.split(" ").filter(chosen).length;
    head.hidden = !left;
    head.colSpan = left || 1;
  }
  document.getElementById("chosen").textContent = columns.length ? `${columns.length} of ${labels}` : `all ${labels}`;
  for (const list of document.querySelectorAll(".top section")) list.hidden = !list.querySelector("li:not([hidden])");
};

// Of the columns that are shown: not everybody got the same, or somebody not always.
const differs = (cells) => {
  const said = new Set(cells.map((cell) => cell.dataset.verdict).filter((name) => name && name !== "not-applicable"));
  return said.size > 1 || cells.some((cell) => "flaky" in cell.dataset);
};

const apply = (wanted) => {
  const [verdicts, levels, columns, wants] = [pressed("verdict"), pressed("level"), pressed("column"), terms()];
  const differing = pressed("only").length > 0;
  choose(columns);
  let matching = 0;
  for (const row of rows) {
    const cells = [...row.querySelectorAll("td:not([hidden])")];
    const fits = cells.length > 0
      && (!verdicts.length || cells.some((cell) => verdicts.includes(cell.dataset.verdict)))
      && (!levels.length || levels.includes(row.dataset.level))
      && (!differing || differs(cells))
      && wants.every((term) => wordsOf(row, BESIDE).includes(term));
    matching += fits;
    row.hidden = !fits && row !== wanted;
    row.classList.toggle("wanted", row === wanted);
  }
  const any = (part) => part.querySelector(".row:not([hidden])") !== null;
  for (const area of document.querySelectorAll(".area")) area.hidden = !any(area);
  for (const family of document.querySelectorAll(".family")) {
    family.querySelector(".scroll").hidden = !any(family);
    family.querySelector(".none").hidden = any(family);
  }
  return tell(matching);
};

const unfold = (row) => {
  const why = row.querySelector("details");
  if (why) why.open = true;
};

// What the style needs to keep the heads of the columns in sight: whether a table fits, and how much is above it.
const bar = document.querySelector(".tools-bar");
const scrolls = [...document.querySelectorAll(".scroll")];
const measure = () => {
  const sticky = getComputedStyle(bar).position === "sticky";
  document.documentElement.style.setProperty("--bar", `${sticky ? bar.offsetHeight : 0}px`);
  let head = 0;
  for (const scroll of scrolls) {
    const fits = scroll.firstElementChild.scrollWidth <= scroll.clientWidth;
    scroll.classList.toggle("fits", fits);
    scroll.classList.toggle("framed", !fits);
    head = Math.max(head, scroll.querySelector("thead").offsetHeight);
  }
  document.documentElement.style.setProperty("--head", `${head}px`);
};
const watch = new ResizeObserver(measure);
for (const one of [bar, ...scrolls, ...scrolls.map((scroll) => scroll.firstElementChild)]) watch.observe(one);
measure();
go();
