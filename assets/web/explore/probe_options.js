// How probes are made, for all panes: at how many places, at which λ the model answers, how often it goes on freely.

import { h, labelled, option, textField } from "../shared/dom.js";
import { plural, typedNumber } from "../shared/format.js";

const MOST_POINTS = 48;
const FREE = [0, 1, 2, 4, 8];
const ABOUT =
  "A probe stops the thought at the ends of sentences and lets the model answer at once (forced, greedy). A forced answer can fail " +
  "where going on succeeds, so continuations can stand beside it; each is a response of full length.";

// `app.probes` keeps the options; `onChange` is called when they change.
export function probeOptions(app, onChange) {
  const { options, setOptions } = app.probes;
  const points = textField("Number of stops", { inputmode: "numeric", value: options().points, onchange: read });
  const lam = textField("λ that answers", { inputmode: "decimal", placeholder: "its own", onchange: read });
  const choices = FREE.map((n) => option([n, String(n)]));
  const free = h("select.mi-field", { "aria-label": "Continuations of each stop", onchange: read }, choices);
  const fields = [labelled("Stops", points), labelled("λ that answers", lam), labelled("Going on freely", free)];

  function read() {
    const n = typedNumber(points.value);
    const wrongPoints = mark(points, !(Number.isInteger(n) && n >= 1 && n <= MOST_POINTS));
    const wrongLam = mark(lam, lam.value.trim() !== "" && Number.isNaN(typedNumber(lam.value)));
    setOptions({
      points: wrongPoints ? options().points : n,
      lam: wrongLam ? "" : lam.value.trim(),
      free: Number(free.value),
    });
    onChange();
  }
  return {
    node: h("div.mi-probe-options", h("p.mi-hint", ABOUT), h("div.mi-row.mi-row-fields", fields)),
    words() {
      const { points: stops, lam: at, free: drawn } = options();
      return [plural(stops, "stop"), at ? `λ ${at}` : "", drawn ? `${drawn} free each` : ""]
        .filter(Boolean)
        .join(" · ");
    },
  };
}

function mark(field, wrong) {
  field.setAttribute("aria-invalid", String(wrong));
  return wrong;
}
