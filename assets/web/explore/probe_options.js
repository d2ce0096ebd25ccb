// How probes are made, for all panes: how many places, at which λ the model answers, how often it goes on freely.

import { closeOnPressOutside, h, labelled, option, textField } from "../shared/dom.js";
import { typedNumber } from "../shared/format.js";

const MOST_POINTS = 48;
const FREE = [0, 1, 2, 4, 8];
const ABOUT =
  "A probe stops the thought at the ends of sentences and lets the model answer at once (forced, greedy). A forced answer can fail " +
  "where going on succeeds, so continuations can stand beside it; each is a response of full length.";

export function probeOptions(app) {
  const { options, setOptions } = app.probes;
  const points = textField("Number of stops", {
    inputmode: "numeric",
    value: String(options().points),
    onchange: read,
  });
  const lam = textField("λ that answers", { inputmode: "decimal", placeholder: "its own", onchange: read });
  const free = h(
    "select.mi-field",
    { "aria-label": "Continuations of each stop", onchange: read },
    FREE.map((n) => option([n, String(n)])),
  );
  const row = h(
    "div.mi-row.mi-row-fields",
    labelled("Stops", points),
    labelled("λ that answers", lam),
    labelled("Going on freely", free),
  );
  const node = h(
    "details.mi-dropdown.mi-probe-options",
    h("summary.mi-button.mi-small", "Probes"),
    h("div.mi-panel", h("p.mi-hint", ABOUT), row),
  );
  closeOnPressOutside(node);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    event.stopPropagation();
    node.open = false;
    node.firstChild.focus();
  });

  function read() {
    const n = typedNumber(points.value);
    const at = typedNumber(lam.value);
    mark(points, !(Number.isInteger(n) && n >= 1 && n <= MOST_POINTS));
    mark(lam, lam.value.trim() !== "" && Number.isNaN(at));
    setOptions({
      points: isInvalid(points) ? options().points : n,
      lam: isInvalid(lam) ? "" : lam.value.trim(),
      free: Number(free.value),
    });
  }
  return node;
}

const isInvalid = (field) => field.getAttribute("aria-invalid") === "true";
const mark = (field, wrong) => field.setAttribute("aria-invalid", String(wrong));
