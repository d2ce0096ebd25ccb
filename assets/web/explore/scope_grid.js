// The scope as a grid of modules × layers: a drag over layers, a click on a module, presets, and layers as text.

import { h, labelled, smallButton, textField } from "../shared/dom.js";
import { layersOf, layersText, moduleWord } from "./layers.js";

const HINT = "Only what is lit is blended; everything else stays Instruct. Drag over layers, click a module.";
const MOST_NUMBERED = 16; // layers that all have their number written; of more, every sixth

export function scopeGrid(app, setup) {
  const { layers } = setup.pair;
  const each = (make) => Array.from({ length: layers }, (_, i) => make(i));
  const numbers = each((i) => h("i.mi-col.mi-num", { "data-layer": i }, numberOf(i, layers)));
  const rows = setup.modules.filter((module) => setup.pair.modules.includes(module)).map(moduleRow);
  const cells = rows.flatMap((row) => [row.button, ...row.cells]);
  const labels = { role: "group", "aria-label": "Scope: modules by layers", style: { "--layers": layers } };
  const grid = h("div.mi-scope-grid", labels, h("span.mi-corner", "layer"), numbers, cells);
  const text = textField("Layers as text, for example 0-3,5", { maxlength: "200", onchange: takeTyped });
  text.classList.add("mi-num");
  const presets = setup.presets.map(({ label, layers: span, modules }) =>
    smallButton(label, () => app.view.set({ layers: span, modules })),
  );
  listenToDrag(grid, {
    lit: () => new Set(layersOf(app.view.get().layers, layers) || []),
    set: (on) => app.view.set({ layers: layersText([...on], layers) }),
  });

  // The grid is made once and relit, so that a drag over it never loses its element.
  function moduleRow(module) {
    const button = h("button.mi-module", { onclick: () => toggle(module) }, moduleWord(module));
    const isLayered = setup.layered.includes(module);
    const wide = () => h("i.mi-cell.mi-wide", { style: { "grid-column": `span ${layers}` } }, "whole model");
    return { module, button, cells: isLayered ? each((i) => h("i.mi-cell", { "data-layer": i })) : [wide()] };
  }
  function toggle(module) {
    const now = app.view.get().modules;
    app.view.set({ modules: setup.modules.filter((m) => (m === module) !== now.includes(m)) });
  }
  function takeTyped() {
    const on = layersOf(text.value, layers);
    text.setAttribute("aria-invalid", String(on === null));
    app.showStatus(on ? "" : `Layers look like “0-3,5”, “all” or “none”, from 0 to ${layers - 1}.`, "error");
    if (on) app.view.set({ layers: layersText(on, layers) });
  }
  function draw(view) {
    const on = new Set(layersOf(view.layers, layers) || []);
    numbers.forEach((cell, i) => cell.classList.toggle("mi-lit", on.has(i)));
    for (const row of rows) {
      const isLit = view.modules.includes(row.module);
      row.button.setAttribute("aria-pressed", String(isLit));
      row.cells.forEach((cell, i) => cell.classList.toggle("mi-lit", isLit && (!cell.dataset.layer || on.has(i))));
    }
    if (document.activeElement !== text) text.value = view.layers;
  }
  const foot = h("div.mi-row", labelled("Layers", text), h("div.mi-presets", presets));
  return { node: h("div", h("p.mi-hint", HINT), grid, foot), draw };
}

const numberOf = (layer, layers) => (layers <= MOST_NUMBERED || layer % 6 === 0 ? String(layer) : "");

// A drag lights the layers that it passes, or puts them out where it began on a lit one. `lit()` is the set of lit layers.
function listenToDrag(grid, { lit, set }) {
  let drag = null; // { from, add, base }
  grid.addEventListener("pointerdown", (event) => {
    const cell = event.target.closest("[data-layer]");
    if (!cell) return;
    event.preventDefault();
    const from = Number(cell.dataset.layer);
    const base = lit();
    drag = { from, add: !base.has(from), base };
    dragTo(from);
    grid.setPointerCapture(event.pointerId);
  });
  grid.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-layer]");
    if (cell && grid.contains(cell)) dragTo(Number(cell.dataset.layer));
  });
  for (const end of ["pointerup", "pointercancel"]) grid.addEventListener(end, () => (drag = null));

  function dragTo(to) {
    const on = new Set(drag.base);
    for (let i = Math.min(drag.from, to); i <= Math.max(drag.from, to); i++) {
      if (drag.add) on.add(i);
      else on.delete(i);
    }
    set(on);
  }
}
