// The Weights tab's board: verdict, facts, the SLERP note, and the table of tensors with search. Data: mi_explorer/ui/weights.
"use strict";

// Blend one cell of the weights in Explore: sets the scope and turns to it.
MI.scopeOf = function (module, layer) {
  MI.patch({ layers: layer === null || layer === "" ? "none" : String(layer), modules: [module] });
  MI.tab("explore");
};

MI.weights = function (element, { trigger, props, watch }) {
  const h = MI.h, most = 400;
  const status = h("p", { class: "mi-hint", role: "status" }), bar = h("progress", { class: "mi-loading", hidden: true, "aria-label": "Comparing the parents" });
  const ask = h("button", { class: "mi-button", type: "button", hidden: true, onclick: () => ((ask.hidden = true), trigger("measure", {})) });
  const verdict = h("p", { class: "mi-verdict" }), facts = h("dl", { class: "mi-about" }), slerp = h("p", { class: "mi-hint" });
  const search = h("input", { class: "mi-field", type: "search", placeholder: "Search: q_proj, layers.3, mlp …", "aria-label": "Search tensors", spellcheck: "false", maxlength: "100", oninput: () => list() });
  const count = h("span", { class: "mi-hint", role: "status" }), table = h("div", {}), hint = h("p", { class: "mi-hint" });
  const tensors = h("section", { "aria-label": "Tensors" }, h("h3", {}, "Tensor by tensor"), h("div", { class: "mi-row mi-search" }, search, count), table);
  const box = h("div", { class: "mi mi-weights" }, status, bar, ask, verdict, facts, slerp, hint, tensors);
  let shown = {};
  element.replaceChildren(box);

  function list() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), rows = shown.rows || [];
    const found = words.length ? rows.filter((r) => words.every((w) => `${r[0]} ${r[1]} layer${r[2]}`.toLowerCase().includes(w))) : rows;
    const drawn = found.length > most ? `, the first ${most} are drawn` : "";
    MI.text(count, (found.length === rows.length ? MI.plural(rows.length, "tensor") : `${MI.count(found.length)} of ${MI.plural(rows.length, "tensor")}`) + drawn);
    table.replaceChildren(MI.table(shown.columns, found, shown.name, (row) => MI.scopeOf(row[1], row[2]), most));
  }
  function draw() {
    shown = props.content ? JSON.parse(props.content) : {};
    MI.text(status, shown.error || shown.text || "");
    status.classList.toggle("mi-refused", Boolean(shown.error));
    status.hidden = !status.textContent;
    bar.hidden = !shown.total;
    if (shown.total) (bar.max = shown.total), (bar.value = shown.done);
    ask.hidden = !shown.ask;
    MI.text(ask, shown.ask || "");
    const there = Boolean(shown.rows);
    for (const node of [verdict, facts, slerp, hint, tensors]) node.hidden = !there;
    if (!there) return;
    verdict.dataset.gauge = shown.gauge;
    MI.text(verdict, shown.verdict);
    MI.text(slerp, shown.slerp);
    MI.text(hint, shown.hint);
    facts.replaceChildren(...shown.facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));
    list();
  }
  watch("content", draw);
  draw();
  trigger("begin", {});
};

// The profile: λ* per block, made on request, blended in Explore.
MI.profile = function (element, { trigger, props, watch }) {
  const h = MI.h;
  const make = h("button", { class: "mi-button", type: "button", onclick: () => ((make.disabled = true), MI.text(status, "Starting…"), trigger("make", {})) }, "Find λ* per block");
  const use = h("button", { class: "mi-button", type: "button", hidden: true, onclick: () => (MI.patch(patch), MI.tab("explore")) }, "Blend with this profile in Explore");
  const status = h("p", { class: "mi-hint", role: "status" }), error = h("p", { class: "mi-refused", role: "alert" }), said = h("p", {});
  let patch = null;
  element.replaceChildren(h("div", { class: "mi mi-weights" }, h("h3", {}, "A λ for every block"),
    h("p", { class: "mi-hint" }, "In closed form, from both parents’ own answers to some questions: the λ at which a block’s output stays nearest to Instruct’s on Instruct’s answers and to Thinking’s on Thinking’s (arXiv 2504.10902)."),
    h("div", { class: "mi-row" }, make, use), status, error, said));
  function draw() {
    const shown = props.content ? JSON.parse(props.content) : {};
    patch = shown.patch || null;
    for (const [node, text] of [[status, shown.text], [error, shown.error], [said, shown.said]]) MI.text(node, text || ""), (node.hidden = !text);
    make.disabled = Boolean(shown.text);
    use.hidden = !patch;
  }
  watch("content", draw);
  draw();
  trigger("look", {});
};

document.addEventListener("mi-pick", (event) => {
  if (!event.target.closest || !event.target.closest("#weights-heat") || typeof event.detail.custom !== "string") return;
  MI.scopeOf(...event.detail.custom.split("|"));
});
