// The lenses on the traces: which one is on, what its colours mean, and two switches beside them.

import { h, smallButton } from "../shared/dom.js";

const NAMES = { plain: "Plain", markers: "Markers", writer: "Who wrote it", entropy: "Entropy" };
const LEGENDS = {
  markers: { reflect: "wait, hmm", switch: "instead", verify: "check" },
  writer: { instruct: "Instruct likelier", thinking: "Thinking likelier" },
  entropy: { entropy: "unsure" },
};

export function lensBar(app, setup) {
  const buttons = setup.lenses.map((lens) =>
    h("button.mi-seg", { "data-lens": lens, onclick: () => app.view.set({ lens }) }, NAMES[lens]),
  );
  const diffTitle = "Mark the words that λ = 0 does not have (d)";
  const diff = switchButton("Diff to λ 0", diffTitle, () => app.board.toggleDiff());
  const sync = switchButton("Sync scroll", "Scroll all panes together", () => app.board.toggleSync());
  const legend = h("span.mi-lens-legend");
  const group = h("div.mi-segs", { role: "group", "aria-label": "Lens" }, buttons);
  return {
    node: h("div.mi-lenses", legend, group, diff, sync),
    toggleDiff: () => diff.click(),
    draw({ lens }) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.lens === lens));
      const items = Object.entries(LEGENDS[lens] || {});
      legend.replaceChildren(...items.map(([kind, text]) => h(`span.mi-legend-${kind}`, text)));
    },
  };
}

// A button that stays pressed while what it switches is on; `toggle` returns whether it is.
function switchButton(text, title, toggle) {
  const press = () => button.setAttribute("aria-pressed", String(Boolean(toggle())));
  const button = smallButton(text, press, { title, "aria-pressed": "false" });
  return button;
}
