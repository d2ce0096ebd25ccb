// A card of the gallery: what a pair can do, what it takes and whether it fits, its strip, and the ways to check and open it.

import { h, smallButton } from "../shared/dom.js";
import { answerOf } from "../shared/server.js";
import { downloadWords, fitWords, memoryWords } from "./pair_words.js";
import { refusal, summaryOf } from "./pair_summary.js";
import { stripPreview } from "./strip_preview.js";

// `card`: as the server's `pair_card` makes it.
export function pairCard(app, setup, card, loading) {
  const isHere = card.name === setup.pair.name;
  const result = h("div.mi-judged");
  const fit = fitWords(card);
  const facts = [
    ["Size", card.size ? `${card.size} parameters` : "unknown"],
    ["Download", downloadWords(card)],
    ["Memory", memoryWords(card)],
    ["Licence", card.licence || "see its model card"],
  ];
  const open = smallButton("Open", load, { class: fit.kind === "no" ? "" : "mi-primary" });
  const check = smallButton("Check", judge, { title: "Read configs and headers; from the hub where they are there" });
  const buttons = isHere ? h("span.mi-tile-here", "This page is on it.") : [open, check];
  const badge = fit.text
    ? h(`p.mi-fit.mi-fit-${fit.kind}`, h("b", { "aria-hidden": "true" }, fit.sign), fit.text)
    : null;
  const node = h(
    "article.mi-tile",
    { tabindex: "-1", "data-card": card.name, "aria-label": card.title },
    h(
      "div.mi-tile-words",
      h("h3", card.title),
      h("p.mi-tile-about", card.about),
      h(
        "dl.mi-tile-facts",
        facts.map(([term, text]) => h("div", h("dt", term), h("dd.mi-num", text))),
      ),
      badge,
      card.notes ? h("p.mi-hint.mi-tile-notes", card.notes) : null,
      h("div.mi-tile-buttons", buttons),
      result,
    ),
  );
  if (card.strip) {
    node.classList.add("mi-tile-wide");
    node.append(stripPreview(app, card));
  }

  async function judge() {
    check.disabled = true;
    result.replaceChildren(h("p.mi-hint", "Reading configs and headers…"));
    const about = await answerOf(app.server.judge(card.name));
    check.disabled = false;
    const found = about.error ? [refusal(about.error)] : [h("p", about.facts), ...summaryOf(about).filter(Boolean)];
    result.replaceChildren(...found);
  }
  function load() {
    if (isHere) return;
    result.replaceChildren(h("p.mi-hint", "Checking…"));
    loading.begin(card.name, result);
    result.scrollIntoView({ block: "nearest" });
  }
  return { node, load };
}
