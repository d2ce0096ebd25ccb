// The Weights tab's board: verdict, facts, the SLERP note, and the table of tensors with search.

import { h, setText, setTexts, showProgress, terms, textField } from "../shared/dom.js";
import { patchView } from "../shared/explore_link.js";
import { count, plural } from "../shared/format.js";
import { sortableTable } from "../shared/table.js";
import { openTab } from "../shared/tabs.js";

const MOST_ROWS = 400; // of the table that are drawn

export function openWeights(element, { trigger, props, watch }) {
  const status = h("p.mi-hint", { role: "status" });
  const bar = h("progress.mi-loading", { hidden: true, "aria-label": "Comparing the parents" });
  const measure = h("button.mi-button", { hidden: true, onclick: startMeasuring });
  const verdict = h("p.mi-verdict");
  const facts = h("dl.mi-about");
  const [slerp, hint] = [h("p.mi-hint"), h("p.mi-hint")];
  const searching = { type: "search", placeholder: "Search: q_proj, layers.3, mlp …", maxlength: "100", oninput: list };
  const search = textField("Search tensors", searching);
  const found = h("span.mi-hint", { role: "status" });
  const table = h("div");
  const findBar = h("div.mi-row.mi-search", search, found);
  const tensors = h("section", { "aria-label": "Tensors" }, h("h3", "Tensor by tensor"), findBar, table);
  let shown = {};
  element.replaceChildren(h("div.mi.mi-weights", status, bar, measure, verdict, facts, slerp, hint, tensors));
  listenToHeatMap();

  function startMeasuring() {
    measure.hidden = true;
    trigger("measure", {});
  }
  function list() {
    const all = shown.rows || [];
    const rows = searchRows(all, search.value);
    const total = plural(all.length, "tensor");
    const drawn = rows.length > MOST_ROWS ? `, the first ${MOST_ROWS} are drawn` : "";
    setText(found, (rows.length === all.length ? total : `${count(rows.length)} of ${total}`) + drawn);
    const options = { onRow: (row) => showScope(row[1], row[2]), limit: MOST_ROWS };
    table.replaceChildren(sortableTable(shown.columns, rows, shown.name, options));
  }
  function draw() {
    shown = props.content ? JSON.parse(props.content) : {};
    setTexts([
      [status, shown.error || shown.text],
      [measure, shown.ask],
    ]);
    status.classList.toggle("mi-refused", Boolean(shown.error));
    showProgress(bar, shown.done, shown.total);
    for (const node of [verdict, facts, slerp, hint, tensors]) node.hidden = !shown.rows;
    if (!shown.rows) return;
    verdict.dataset.gauge = shown.gauge;
    setText(verdict, shown.verdict);
    setText(slerp, shown.slerp);
    setText(hint, shown.hint);
    facts.replaceChildren(...terms(shown.facts).flat());
    list();
  }
  watch("content", draw);
  draw();
  trigger("begin", {});
}

// The rows whose tensor, module and layer hold every word of the search.
function searchRows(rows, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const searched = ([tensor, module, layer]) => `${tensor} ${module} layer${layer}`.toLowerCase();
  return rows.filter((row) => words.every((word) => searched(row).includes(word)));
}

// Sets Explore's scope to one module of one layer (null: the module has none) and turns to it.
function showScope(module, layer) {
  patchView({ layers: layer === null || layer === "" ? "none" : String(layer), modules: [module] });
  openTab("explore");
}

let isListening = false;

// A click on a cell of the heat map, which is a component of its own: its `custom` is "module|layer".
function listenToHeatMap() {
  if (isListening) return;
  isListening = true;
  document.addEventListener("mi-pick", ({ target, detail }) => {
    if (target.closest("#weights-heat") && typeof detail.custom === "string") showScope(...detail.custom.split("|"));
  });
}
