// The card of one token: what both parents would have written here, and how far along λ the blend stood.

import { h } from "../shared/dom.js";
import { percent } from "../shared/format.js";

const FIRST_CHOICES = {
  both: "what both would say",
  instruct: "what Instruct would say",
  thinking: "what Thinking would say",
  neither: "neither's first choice",
};

const quoted = (text) => JSON.stringify(text).slice(1, -1);

// Shows the card of the i-th token of `scores` in `host`, in place of another one; `word` is the token's element.
export function showTokenCard(word, scores, i, host) {
  const [text, , llr, entropy] = scores.tokens[i];
  const detail = scores.detail[i];
  host.querySelectorAll(".mi-card").forEach((old) => old.remove());
  host.querySelectorAll(".mi-tok-picked").forEach((old) => old.classList.remove("mi-tok-picked"));
  word.classList.add("mi-tok-picked");
  const close = h("button.mi-icon", { "aria-label": "Close", onclick: closeCard }, "×");
  const choice = h("span", FIRST_CHOICES[detail.argmax]);
  const sides = [nextTokens("instruct", "Instruct", detail), nextTokens("thinking", "Thinking", detail)];
  const card = h(
    "aside.mi-card",
    { role: "dialog", "aria-label": "Token", onkeydown: onKey },
    h("header", h("code", quoted(text)), choice, close),
    h("p.mi-num.mi-card-facts", factsText(llr, entropy, detail)),
    h("div.mi-card-sides", sides),
    h("p", "Likeliest next tokens given what the blend wrote so far. Not a cause."),
  );
  host.append(card);
  close.focus({ preventScroll: true });

  function closeCard() {
    card.remove();
    word.classList.remove("mi-tok-picked");
  }
  function onKey(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    closeCard();
  }
}

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
