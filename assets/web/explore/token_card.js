// The card of one token of a trace: what both parents would have written here where that is known, and how to go on from here at
// another λ. One card at a time.

import { h, setText } from "../shared/dom.js";
import { count, lamText, percent, typedNumber } from "../shared/format.js";

const FIRST_CHOICES = {
  both: "what both would say",
  instruct: "what Instruct would say",
  thinking: "what Thinking would say",
  neither: "neither's first choice",
};

const quoted = (text) => JSON.stringify(text).slice(1, -1);

// Shows the card of token `i` (its number, from 0) in `host`. `trace`: { tokens, scores: null or of all tokens, lam: λ that is offered,
// onMove(i), onGoOn(at, lam): a sentence where that cannot be, onClose() }. Returns { node, close }.
export function showTokenCard(host, trace, first) {
  host.querySelector(".mi-card")?.remove();
  let i = first;
  const word = h("code");
  const choice = h("span");
  const step = (sign, label, by) =>
    h("button.mi-icon", { "aria-label": label, title: label, onclick: () => move(i + by) }, sign);
  const steps = h("span.mi-card-steps", step("‹", "One token back", -1), step("›", "One token on", 1));
  const shut = h("button.mi-icon", { "aria-label": "Close", onclick: () => close() }, "×");
  const details = h("div.mi-card-details");
  const at = h("input.mi-field.mi-num", {
    inputmode: "numeric",
    "aria-label": "Tokens that are kept",
    onchange: readAt,
  });
  const lam = h("input.mi-field.mi-num", {
    inputmode: "decimal",
    "aria-label": "λ to go on at",
    value: lamText(trace.lam),
  });
  const go = h("button.mi-button.mi-small.mi-card-go", { type: "submit" }, "Go on");
  const note = h("p.mi-card-note", { role: "status" });
  const form = h(
    "form.mi-card-form",
    { onsubmit: goOn },
    h("label", "Go on from token ", at),
    h("label", "at λ ", lam),
    go,
  );
  const card = h(
    "aside.mi-card",
    { role: "dialog", "aria-label": "Token", onkeydown: onKey },
    h("header", word, choice, steps, shut),
    details,
    form,
    note,
  );
  host.append(card);
  draw();
  const isTouch = matchMedia("(pointer: coarse)").matches; // a focused field opens the keyboard over the trace
  (isTouch ? shut : lam).focus({ preventScroll: true });
  if (!isTouch) lam.select();

  function draw() {
    const { tokens, scores } = trace;
    setText(word, i < tokens.length ? quoted(tokens[i][0]) : "the end");
    at.value = String(i);
    at.setAttribute("aria-invalid", "false");
    setText(note, `Keeps the first ${count(i)} of ${count(tokens.length)} tokens; from there on all is written anew.`);
    note.dataset.kind = "";
    const detail = scores?.detail[i];
    setText(choice, detail ? FIRST_CHOICES[detail.argmax] : "");
    details.replaceChildren(...(detail ? scoredDetails(scores.tokens[i], detail) : []));
  }
  function move(to) {
    i = Math.min(trace.tokens.length, Math.max(0, to));
    draw();
    trace.onMove(i);
  }
  function readAt() {
    const wanted = typedNumber(at.value);
    const isToken = Number.isInteger(wanted) && wanted >= 0 && wanted <= trace.tokens.length;
    if (isToken) move(wanted);
    else refuse(at, `This trace has ${count(trace.tokens.length)} tokens. Choose a whole number up to that.`);
    return isToken;
  }
  function refuse(field, words) {
    field?.setAttribute("aria-invalid", "true");
    setText(note, words);
    note.dataset.kind = "error";
  }
  function goOn(event) {
    event.preventDefault();
    if (at.value !== String(i) && !readAt()) return;
    const wanted = typedNumber(lam.value);
    lam.setAttribute("aria-invalid", String(Number.isNaN(wanted)));
    const problem = Number.isNaN(wanted) ? "λ is a number, such as 0.5." : trace.onGoOn(i, wanted);
    if (problem) refuse(null, problem);
    else close();
  }
  function close() {
    card.remove();
    trace.onClose();
  }
  function onKey(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  }
  return { node: card, close };
}

const scoredDetails = ([, , llr, entropy], detail) => [
  h("p.mi-num.mi-card-facts", factsText(llr, entropy, detail)),
  h("div.mi-card-sides", nextTokens("instruct", "Instruct", detail), nextTokens("thinking", "Thinking", detail)),
  h("p", "Likeliest next tokens given what the blend wrote so far. Not a cause."),
];

function factsText(llr, entropy, { p, lam }) {
  const ratio = `log-ratio ${llr > 0 ? "+" : ""}${llr.toFixed(2)}`;
  const effective = lam === null ? "" : ` · effective λ ${lam.toFixed(2)}`;
  return `${ratio} · p ${percent(p)} · entropy ${entropy.toFixed(2)}${effective}`;
}

function nextTokens(role, title, detail) {
  const items = detail[role].map(([token, p]) =>
    h("li", h("code", quoted(token)), h("i", { style: { width: `${100 * p}%` } }), h("span.mi-num", percent(p))),
  );
  return h("div.mi-card-side", { class: `mi-side-${role}` }, h("h4", title), h("ol", items));
}
