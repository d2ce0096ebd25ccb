// The Ablations tab's board: what is asked, where a run stands, what agrees with the paper, the table. Data: mi_explorer/ui/ablations.
"use strict";

MI.ablation = function (element, { trigger, props, watch }) {
  const h = MI.h;
  const about = h("p", { class: "mi-verdict" }), status = h("p", { class: "mi-hint mi-num", role: "status" });
  const bar = h("progress", { class: "mi-loading", hidden: true, "aria-label": "Samples made" }), error = h("p", { class: "mi-refused", role: "alert" });
  const sentence = h("p", { class: "mi-said" }), caption = h("p", { class: "mi-hint" }), cite = h("p", { class: "mi-hint" }), table = h("div", {});
  let listed = "";
  element.replaceChildren(h("div", { class: "mi mi-ablation" }, status, bar, error, about, sentence, caption, cite, h("h3", {}, "The paper's table"), table));

  function draw() {
    if (!props.content) return;
    const shown = JSON.parse(props.content), rows = JSON.stringify([shown.columns, shown.rows]);
    for (const [node, text] of [[about, shown.about], [status, shown.status], [error, shown.error], [sentence, shown.sentence], [caption, shown.caption], [cite, shown.cite]]) {
      MI.text(node, text || "");
      node.hidden = !text;
    }
    bar.hidden = !shown.total;
    if (shown.total) (bar.max = shown.total), (bar.value = shown.done);
    element.firstChild.setAttribute("aria-busy", String(Boolean(shown.total)));
    if (rows === listed) return;
    listed = rows;
    table.replaceChildren(MI.table(shown.columns, shown.rows, shown.name));
  }
  watch("content", draw);
  draw();
  trigger("begin", {});
};
