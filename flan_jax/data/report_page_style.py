"""Style and behaviour of an inspection's page: search, sort, unfold."""

CSS = """
body { max-width: 1480px; } h3 { font-size: 15px; margin: 18px 0 6px; }
.controls { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin: 12px 0; }
.controls input, .controls select, .controls button { font: inherit; padding: 5px 9px;
  border: 1px solid #c5ced9; border-radius: 6px; background: #fff; }
.controls input { flex: 1 1 320px; } #count { color: #5b6675; }
#tasks > thead th { position: sticky; top: 0; background: #fff; cursor: pointer;
  white-space: nowrap; }
#tasks th[aria-sort=ascending]::after { content: " ▲"; font-size: 10px; }
#tasks th[aria-sort=descending]::after { content: " ▼"; font-size: 10px; }
#tasks > tbody { scroll-margin-top: 36px; }
#tasks tr.row:hover { background: #f5f7fa; }
#tasks tr.bad td { background: #fdf1f2; }
tr.row button { font: inherit; border: 0; background: none; padding: 0; color: #2f6fb7;
  text-align: left; cursor: pointer; overflow-wrap: anywhere; }
tr.row button::before { content: "▸ "; }
tr.row button[aria-expanded=true]::before { content: "▾ "; }
tr.more > td { padding: 4px 16px 20px 24px; background: #fafbfc; }
.bar { display: inline-block; width: 70px; height: 9px; background: #e6eaf0; margin-right: 6px; }
.bar i { display: block; height: 100%; background: #2f6fb7; }
.hist { display: inline-flex; align-items: flex-end; height: 22px; gap: 1px; }
.hist i { display: block; width: 7px; background: #8fb2da; min-height: 1px; }
.hist i.cut, .bar i.cut { background: #d1495b; }
.hist.big { height: 72px; } .hist.big i { width: 26px; }
.ends { font-size: 10px; color: #5b6675; display: flex; }
.ends span { width: 27px; text-align: center; }
.pair { display: flex; flex-wrap: wrap; gap: 12px 56px; }
.pair > div { display: flex; gap: 24px; align-items: flex-end; } .pair table { width: auto; }
.pair td, .templates td:last-child, tr.row td.n { white-space: nowrap; }
.templates th:nth-child(4) { width: 18%; } .bad-text { color: #b02a3b; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0; }
dt { color: #5b6675; } dd { margin: 0; overflow-wrap: anywhere; }
.sample { border: 1px solid #dde3ea; border-radius: 8px; background: #fff; padding: 8px 12px;
  margin: 8px 0; font-size: 14px; }
.sample b { color: #5b6675; font-weight: 600; font-size: 12px; }
.sample details summary { font-weight: 400; color: #5b6675; font-size: 12px; }
.sign { color: #b8912f; } .field { color: #2f6fb7; }
.verdict { padding: 10px 14px; border-radius: 8px; background: #e9f6ee; }
.verdict.bad { background: #fdf1f2; }
"""

SCRIPT = """
const table = document.getElementById("tasks");
const bodies = [...table.tBodies];
const search = document.getElementById("search"), only = document.getElementById("only");
function unfold(body, open) {
  body.rows[1].hidden = !open;
  body.querySelector("button").setAttribute("aria-expanded", open);
}
function filter() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const body of bodies) {
    const fits = words.every(word => body.dataset.find.includes(word)) &&
      (!only.value || body.dataset.marks.split(" ").includes(only.value));
    body.hidden = !fits;
    shown += fits;
  }
  document.getElementById("count").textContent = shown + " of " + bodies.length + " tasks";
}
search.addEventListener("input", filter);
only.addEventListener("change", filter);
table.addEventListener("click", event => {
  const head = event.target.closest("th[data-column]");
  if (head) return sort(head);
  const row = event.target.closest("tr.row");
  if (row) unfold(row.parentNode, row.nextElementSibling.hidden);
});
function sort(head) {
  const falling = head.getAttribute("aria-sort") === "ascending" ||
    (head.classList.contains("n") && head.getAttribute("aria-sort") !== "descending");
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const key = body => body.rows[0].cells[head.cellIndex].dataset.value;
  bodies.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = head.classList.contains("n") ? x - y : x.localeCompare(y);
    return falling ? -order : order;
  });
  table.append(...bodies);
}
document.getElementById("fold").addEventListener("click", () => {
  const shown = bodies.filter(body => !body.hidden);
  const open = shown.some(body => body.rows[1].hidden);
  for (const body of shown) unfold(body, open);
});
for (const body of bodies) unfold(body, location.hash === "#" + body.id);
filter();
"""
