// The Ablations tab's board: what is asked, where a run stands, what agrees with the paper, and the paper's table.

import { h, setTexts, showProgress } from "../shared/dom.js";
import { sortableTable } from "../shared/table.js";

const TEXTS = {
  status: ["p.mi-hint.mi-num", { role: "status" }],
  error: ["p.mi-refused", { role: "alert" }],
  about: ["p.mi-verdict", {}],
  sentence: ["p", {}],
  caption: ["p.mi-hint", {}],
  cite: ["p.mi-hint", {}],
};

export function openAblation(element, { trigger, props, watch }) {
  const texts = Object.entries(TEXTS).map(([key, [selector, properties]]) => [key, h(selector, properties)]);
  const [status, ...others] = texts.map(([, node]) => node);
  const bar = h("progress.mi-loading", { hidden: true, "aria-label": "Samples made" });
  const table = h("div");
  const box = h("div.mi.mi-ablation", status, bar, others, h("h3", "The paper's table"), table);
  let listed = "";
  element.replaceChildren(box);

  function draw() {
    if (!props.content) return;
    const shown = JSON.parse(props.content);
    setTexts(texts.map(([key, node]) => [node, shown[key]]));
    showProgress(bar, shown.done, shown.total);
    box.setAttribute("aria-busy", String(Boolean(shown.total)));
    const content = JSON.stringify([shown.columns, shown.rows]);
    if (content === listed) return;
    listed = content;
    table.replaceChildren(sortableTable(shown.columns, shown.rows, shown.name));
  }
  watch("content", draw);
  draw();
  trigger("begin", {});
}
