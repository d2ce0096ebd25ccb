// The recipe beyond λ: scope as a grid of modules × layers, method and its parameters, template policy, decoding.
// Each sits under one fold whose summary says what is set.
"use strict";

// Layer numbers as canonical text: [0,1,2,5] of 6 -> "0-2,5"; all of them -> "all"; none -> "none". Pure.
MI.layersText = function (on, layers) {
  if (on.length === layers) return "all";
  if (!on.length) return "none";
  const spans = [];
  for (const i of [...on].sort((a, b) => a - b)) {
    const last = spans[spans.length - 1];
    if (last && i <= last[1] + 1) last[1] = i;
    else spans.push([i, i]);
  }
  return spans.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(",");
};
// The reverse: canonical or typed text -> layer numbers, or null when it cannot be meant. Pure.
MI.layersOf = function (text, layers) {
  text = text.trim().toLowerCase();
  if (text === "all" || text === "*") return Array.from({ length: layers }, (_, i) => i);
  if (text === "none" || text === "") return [];
  const on = new Set();
  for (const part of text.split(",").map((p) => p.trim()).filter(Boolean)) {
    const m = part.match(/^(\d{1,4})(?:\s*-\s*(\d{1,4}))?$/);
    if (!m) return null;
    const a = Number(m[1]), b = Number(m[2] ?? m[1]);
    if (b < a || b >= layers) return null;
    for (let i = a; i <= b; i++) on.add(i);
  }
  return [...on].sort((a, b) => a - b);
};

MI.MODULE = { mlp: "MLP", norm: "norms", lm_head: "LM head" };

MI.knobs = function (app, setup) {
  const h = MI.h, layers = setup.pair.layers;
  const folds = [];
  const fold = (name, panel) => {
    const value = h("span", { class: "mi-knob-value" });
    const node = h("details", { class: "mi-fold-knob" }, h("summary", {}, h("span", { class: "mi-knob-name" }, name), value), h("div", { class: "mi-panel" }, panel));
    node.addEventListener("toggle", () => node.open && folds.forEach((f) => f.node !== node && (f.node.open = false)));
    folds.push({ node, value });
    return folds[folds.length - 1];
  };

  // scope
  const grid = h("div", { class: "mi-scope-grid", role: "group", "aria-label": "Scope: modules by layers" });
  const range = h("input", { class: "mi-field mi-num", type: "text", "aria-label": "Layers as text, for example 0-3,5", spellcheck: "false", maxlength: "200" });
  const presets = h("div", { class: "mi-presets" }, setup.presets.map((p) => h("button", { type: "button", class: "mi-button mi-small", onclick: () => app.view.set({ layers: p.layers, modules: p.modules }) }, p.label)));
  let drag = null;
  const setLayers = (on) => app.view.set({ layers: MI.layersText(on, layers) });
  const cellLayer = (e) => { const c = document.elementFromPoint(e.clientX, e.clientY)?.closest("[data-layer]"); return c && grid.contains(c) ? Number(c.dataset.layer) : null; };
  grid.addEventListener("pointerdown", (e) => {
    const cell = e.target.closest("[data-layer]");
    if (!cell) return;
    e.preventDefault();
    const layer = Number(cell.dataset.layer), on = new Set(MI.layersOf(app.view.get().layers, layers) || []);
    drag = { from: layer, add: !on.has(layer), base: on, moved: false };
    apply(layer);
    grid.setPointerCapture(e.pointerId);
  });
  grid.addEventListener("pointermove", (e) => { const layer = drag && cellLayer(e); if (layer !== null && drag) apply(layer); });
  for (const end of ["pointerup", "pointercancel"]) grid.addEventListener(end, () => (drag = null));
  function apply(to) {
    const on = new Set(drag.base);
    for (let i = Math.min(drag.from, to); i <= Math.max(drag.from, to); i++) drag.add ? on.add(i) : on.delete(i);
    setLayers([...on]);
  }
  range.addEventListener("change", () => {
    const on = MI.layersOf(range.value, layers);
    range.setAttribute("aria-invalid", String(on === null));
    if (on === null) return void app.say(`Layers look like “0-3,5”, “all” or “none”, from 0 to ${layers - 1}.`, "error");
    app.say("");
    setLayers(on);
  });
  const toggle = (module) => {
    const now = app.view.get().modules;
    app.view.set({ modules: setup.modules.filter((m) => (m === module) !== now.includes(m)) });
  };
  // The grid is made once and relit, so that a drag over it never loses its element.
  const cell = (i, cls, text = "") => h("i", { "data-layer": i, class: cls }, text);
  const each = (make) => Array.from({ length: layers }, (_, i) => make(i));
  const heads = each((i) => cell(i, "mi-col mi-num", layers <= 16 || i % 6 === 0 ? String(i) : ""));
  const rows = setup.modules.filter((m) => setup.pair.modules.includes(m)).map((m) => ({
    module: m,
    button: h("button", { type: "button", class: "mi-module", onclick: () => toggle(m) }, MI.MODULE[m] || m),
    cells: setup.layered.includes(m) ? each((i) => cell(i, "mi-cell")) : [h("i", { class: "mi-cell mi-wide", style: { "grid-column": `span ${layers}` } }, "whole model")],
  }));
  grid.style.setProperty("--layers", layers);
  grid.append(h("span", { class: "mi-corner" }, "layer"), ...heads, ...rows.flatMap((r) => [r.button, ...r.cells]));
  function drawScope(view) {
    const on = new Set(MI.layersOf(view.layers, layers) || []);
    heads.forEach((c, i) => c.classList.toggle("mi-lit", on.has(i)));
    for (const r of rows) {
      const lit = view.modules.includes(r.module);
      r.button.setAttribute("aria-pressed", String(lit));
      r.cells.forEach((c, i) => c.classList.toggle("mi-lit", lit && (!c.dataset.layer || on.has(i))));
    }
    if (document.activeElement !== range) range.value = view.layers;
  }
  const scope = fold("Scope", h("div", {}, h("p", { class: "mi-hint" }, "Only what is lit is blended; everything else stays Instruct. Drag over layers, click a module."), grid, h("div", { class: "mi-row" }, h("label", { class: "mi-labelled" }, "Layers", range), presets)));

  // method and template
  const method = h("select", { class: "mi-field", "aria-label": "Merge method" }, setup.methods.map((m) => h("option", { value: m.name, disabled: !m.available }, m.title + (m.available ? "" : " (needs a base)"))));
  const about = h("p", { class: "mi-hint" }), params = h("div", { class: "mi-row" });
  method.addEventListener("change", () => app.view.set({ method: method.value, params: {} }));
  const template = h("select", { class: "mi-field", "aria-label": "Chat template" }, setup.templates.map(([name, words]) => h("option", { value: name }, words)));
  template.addEventListener("change", () => app.view.set({ template: template.value }));
  let paramsFor = null;
  function drawMethod(view) {
    const meta = setup.methods.find((m) => m.name === view.method);
    if (method.value !== view.method) method.value = view.method;
    if (template.value !== view.template) template.value = view.template;
    MI.text(about, meta ? meta.about : "");
    if (!meta || paramsFor === meta.name + JSON.stringify(view.params)) return;
    paramsFor = meta.name + JSON.stringify(view.params);
    params.replaceChildren(...meta.params.map((p) => numberField(p.title, p.about, view.params[p.name] ?? p.default, p.low, p.high, (x) => {
      const next = { ...app.view.get().params, [p.name]: x };
      if (x === p.default) delete next[p.name];
      app.view.set({ params: next });
    })));
  }
  const blend = fold("Method", h("div", {}, h("div", { class: "mi-row" }, h("label", { class: "mi-labelled" }, "Merge", method), h("label", { class: "mi-labelled" }, "Chat template", template)), about, params));

  // decoding
  function numberField(label, title, value, low, high, set) {
    const field = h("input", { class: "mi-field mi-num", type: "text", inputmode: "decimal", value: String(value), title: title || "", spellcheck: "false", maxlength: "20" });
    field.addEventListener("change", () => {
      const x = Number(field.value.trim().replace(",", "."));
      const bad = field.value.trim() === "" || !Number.isFinite(x) || x < low || x > high;
      field.setAttribute("aria-invalid", String(bad));
      if (bad) return void app.say(`${label} must be a number from ${low} to ${high}.`, "error");
      app.say("");
      set(x);
    });
    return h("label", { class: "mi-labelled" }, label, field);
  }
  const drawn = setup.decoding.map((d) => [d.key, numberField(d.label, d.about, setup.defaults[d.key], d.low, d.high, (x) => app.view.set({ [d.key]: x }))]);
  const dice = h("button", { type: "button", class: "mi-button mi-small", onclick: () => app.view.set({ seed: Math.floor(Math.random() * 1e6) }) }, "New seed");
  const decoding = fold("Decoding", h("div", {}, h("div", { class: "mi-row mi-row-fields" }, drawn.map(([, n]) => n), dice), h("p", { class: "mi-hint" }, "The same question, recipe, decoding and seed give the same trace, alone or in company. Temperature 0 is greedy.")));

  function draw(view) {
    drawScope(view);
    drawMethod(view);
    for (const [key, label] of drawn) { const field = label.querySelector("input"); if (document.activeElement !== field) field.value = String(view[key]), field.removeAttribute("aria-invalid"); }
    const missing = setup.pair.modules.filter((m) => !view.modules.includes(m));
    MI.text(scope.value, (view.layers === "all" ? "all layers" : view.layers === "none" ? "no layer" : "layers " + view.layers.replaceAll(",", ", ")) + (missing.length ? (missing.length <= 2 ? ", without " + missing.map((m) => MI.MODULE[m] || m).join(", ") : ", " + (setup.pair.modules.filter((m) => view.modules.includes(m)).map((m) => MI.MODULE[m] || m).join(", ") || "no module")) : ""));
    const meta = setup.methods.find((m) => m.name === view.method);
    MI.text(blend.value, meta ? meta.title : view.method);
    MI.text(decoding.value, `T ${view.t} · top-p ${view.top_p} · ≤ ${view.cap} · seed ${view.seed}`);
  }
  document.addEventListener("pointerdown", (e) => folds.forEach((f) => f.node.open && !f.node.contains(e.target) && (f.node.open = false)));
  return { node: h("div", { class: "mi-knobs" }, folds.map((f) => f.node)), draw, close: () => folds.some((f) => f.node.open && !(f.node.open = false)) };
};
