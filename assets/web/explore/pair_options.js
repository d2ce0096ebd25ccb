// What may follow a pair's name as in a URL: what an adapter sits on, think tags and the like, as fields that are folded away.

import { h, option, textField } from "../shared/dom.js";

// `options`: [key, label, default, values (none: a text), what it is for] of each.
export function pairOptions(options) {
  const fields = options.map(([key, label, usual, values, about]) => ({
    key,
    usual,
    ...optionField(label, values, about),
  }));
  for (const { input, usual } of fields) input.value = usual;
  const hint = h("p.mi-hint", "They become part of the pair’s name, and so of every link and recipe.");
  const node = h(
    "details.mi-pair-options",
    h("summary", "Pair options"),
    hint,
    fields.map(({ row }) => row),
  );
  return {
    node,
    open: () => (node.open = true),
    // A name or spec with what is set here; what it says itself stays where nothing is.
    specWith(spec) {
      const [name, ...given] = spec.split("?");
      const query = new URLSearchParams(given.join("?"));
      for (const { key, usual, input } of fields) if (input.value !== usual) query.set(key, input.value);
      return query.size ? `${name}?${query}` : name;
    },
  };
}

function optionField(label, values, about) {
  const input = values.length
    ? h(
        "select.mi-field",
        values.map((value) => option([value, value])),
      )
    : textField(null, { maxlength: "100" });
  const id = `mi-${label.toLowerCase().replaceAll(" ", "-")}`;
  input.id = id;
  input.setAttribute("aria-describedby", `${id}-about`);
  const text = h("p.mi-hint", { id: `${id}-about` }, about);
  return { input, row: h("div.mi-pair-option", h("label", { for: id }, label), input, text) };
}
