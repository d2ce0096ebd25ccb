// The bar of the Curves tab: opens it, keeps the address, says what is shown, and watches background runs.
"use strict";
MI.curves = function (element, { trigger, props, server, watch }) {
  const h = MI.h;
  const lines = h("ul", { class: "mi-curve-lines" }), notes = h("div", { class: "mi-curve-notes" });
  const status = h("p", { class: "mi-curve-status", role: "status" });
  element.replaceChildren(h("div", { class: "mi mi-curves" }, status, lines, notes));

  // The address names what is shown: `study=` and `published=`, once for each.
  function address(content) {
    const query = new URLSearchParams(location.search);
    query.delete("study"), query.delete("published");
    for (const name of content.studies) query.append("study", name);
    for (const name of content.overlays) query.append("published", name);
    history.replaceState(history.state, "", location.pathname + "?" + query + location.hash);
  }
  const said = (cls, text) => text && h("p", { class: cls }, text);
  function draw() {
    if (!props.content) return;
    const content = JSON.parse(props.content);
    address(content);
    element.dataset.ready = "1";
    lines.replaceChildren(...content.lines.map((line) => h("li", {},
      h("p", {}, h("b", {}, line.name), " ", h("span", { class: "mi-curve-about" }, line.about)),
      said("mi-curve-stage", [line.stages, line.useful].filter(Boolean).join(" ")), said("mi-curve-claims", line.claims))));
    const empty = content.lines.length ? [] : ["No curve is chosen. Take a study above, or set up a sweep below: it is saved as it runs."];
    notes.replaceChildren(...[...content.messages, ...empty].map((text) => said("mi-curve-message", text)), ...content.budget.map((text) => said("mi-curve-budget", text)));
  }
  watch("content", draw);
  draw();
  const asked = new URLSearchParams(location.search);
  setTimeout(() => trigger("opened", { studies: asked.getAll("study"), overlays: asked.getAll("published") }), 0);
};
