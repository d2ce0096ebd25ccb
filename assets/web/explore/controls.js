// The recipe beyond λ: scope, method with its parameters, template policy, decoding; and how probes are made. Each sits under one
// dropdown whose summary says what is set.

import { closeOnPressOutside, h, labelled, option, setText, smallButton, textField } from "../shared/dom.js";
import { lamText, typedNumber } from "../shared/format.js";
import { scopeWords } from "./layers.js";
import { probeOptions } from "./probe_options.js";
import { scopeGrid } from "./scope_grid.js";

const DECODING_HINT =
  "The same question, recipe, decoding and seed give the same trace, alone or in company. Temperature 0 is greedy.";

export function controls(app, setup) {
  const scope = scopeGrid(app, setup);
  const method = methodControls(app, setup);
  const decoding = decodingControls(app, setup);
  const probes = probeOptions(app, () => setText(dropdowns.at(-1).value, probes.words()));
  const dropdowns = [
    dropdown("Scope", scope.node),
    dropdown("Method", method.node),
    dropdown("Decoding", decoding.node),
    dropdown("Probes", probes.node),
  ];
  for (const { node } of dropdowns) {
    node.addEventListener("toggle", () => {
      if (node.open) for (const other of dropdowns) if (other.node !== node) other.node.open = false;
    });
  }
  return {
    node: h(
      "div.mi-controls",
      dropdowns.map((d) => d.node),
    ),
    draw(view) {
      for (const part of [scope, method, decoding]) part.draw(view);
      const thought = view.budget === null ? "" : ` · thought ≤ ${view.budget}`;
      const answer = view.answer_lam === null ? "" : ` · answer λ ${lamText(view.answer_lam)}`;
      const decodingWords = `T ${view.t} · top-p ${view.top_p} · ≤ ${view.cap} · seed ${view.seed}${thought}${answer}`;
      const words = [scopeWords(view, setup.pair.modules), method.title(view), decodingWords, probes.words()];
      words.forEach((text, i) => setText(dropdowns[i].value, text));
    },
    // Closes what is open; whether there was something.
    close() {
      const open = dropdowns.find(({ node }) => node.open);
      if (open) open.node.open = false;
      return Boolean(open);
    },
  };
}

function dropdown(name, content) {
  const value = h("span.mi-control-value");
  const summary = h("summary", h("span.mi-control-name", name), value);
  const node = h("details.mi-dropdown", summary, h("div.mi-panel", content));
  closeOnPressOutside(node);
  return { node, value };
}

function methodControls(app, setup) {
  const method = h("select.mi-field", { "aria-label": "Merge method" }, setup.methods.map(methodOption));
  method.addEventListener("change", () => app.view.set({ method: method.value, params: {} }));
  const template = h("select.mi-field", { "aria-label": "Chat template" }, setup.templates.map(option));
  template.addEventListener("change", () => app.view.set({ template: template.value }));
  const about = h("p.mi-hint");
  const fields = h("div.mi-row");
  const choices = [labelled("Merge", method), labelled("Chat template", template)];
  const chosen = (view) => setup.methods.find(({ name }) => name === view.method);
  let fieldsOf = null; // the method and parameters that the fields show

  function parameterField(view, { name, title, about: help, default: usual, low, high }) {
    return numberField(app, { label: title, help, value: view.params[name] ?? usual, low, high }, (x) => {
      const { [name]: _old, ...rest } = app.view.get().params;
      app.view.set({ params: x === usual ? rest : { ...rest, [name]: x } });
    });
  }
  return {
    node: h("div", h("div.mi-row", choices), about, fields),
    title: (view) => chosen(view)?.title || view.method,
    draw(view) {
      const meta = chosen(view);
      method.value = view.method;
      template.value = view.template;
      setText(about, meta ? meta.about : "");
      const key = view.method + JSON.stringify(view.params);
      if (!meta || fieldsOf === key) return;
      fieldsOf = key;
      fields.replaceChildren(...meta.params.map((parameter) => parameterField(view, parameter)));
    },
  };
}

const methodOption = ({ name, title, available }) =>
  h("option", { value: name, disabled: !available }, title + (available ? "" : " (needs a base)"));

function decodingControls(app, setup) {
  const fields = setup.decoding.map(({ key, label, about, low, high, optional }) => {
    const field = { label, help: about, value: setup.defaults[key], low, high, optional };
    return { key, node: numberField(app, field, (x) => app.view.set({ [key]: x })) };
  });
  const dice = smallButton("New seed", () => app.view.set({ seed: Math.floor(Math.random() * 1e6) }));
  const row = h(
    "div.mi-row.mi-row-fields",
    fields.map(({ node }) => node),
    dice,
  );
  return {
    node: h("div", row, h("p.mi-hint", DECODING_HINT)),
    draw(view) {
      for (const { key, node } of fields) {
        const input = node.querySelector("input");
        if (document.activeElement === input) continue;
        input.value = String(view[key] ?? "");
        input.removeAttribute("aria-invalid");
      }
    },
  };
}

// A field for a number within a range; `set` gets it when it is one. An optional one may be empty: null.
function numberField(app, { label, help, value, low, high, optional }, set) {
  const text = { inputmode: "decimal", title: help || "", maxlength: "20", placeholder: optional ? "none" : null };
  const input = textField(null, { ...text, value: String(value ?? "") });
  input.classList.add("mi-num");
  input.addEventListener("change", () => {
    const x = typedNumber(input.value);
    const isNone = optional && input.value.trim() === "";
    const isWrong = !isNone && !(x >= low && x <= high);
    input.setAttribute("aria-invalid", String(isWrong));
    app.showStatus(isWrong ? `${label} must be a number from ${low} to ${high}.` : "", "error");
    if (!isWrong) set(isNone ? null : x);
  });
  return labelled(label, input);
}
