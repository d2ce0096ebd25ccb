// What preflight says of a pair: rows of facts, and findings.

import { h, terms } from "../shared/dom.js";

export const summaryOf = ({ rows, findings }) => [
  rows.length ? h("dl.mi-about", terms(rows)) : null,
  findings.length
    ? h(
        "ul.mi-finding-list",
        findings.map(({ kind, text }) => h("li", { "data-kind": kind }, text)),
      )
    : null,
];

export const refusal = (text) => h("p.mi-refused", text);
