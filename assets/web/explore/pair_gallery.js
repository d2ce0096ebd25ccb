// The gallery: a card for every pair that may be opened, and a place for one's own. Nothing is loaded before somebody says so.

import { h, smallButton, textField } from "../shared/dom.js";
import { answerOf } from "../shared/server.js";
import { pairCard } from "./pair_card.js";
import { pairOptions } from "./pair_options.js";
import { refusal, summaryOf } from "./pair_summary.js";

const PLACEHOLDER = "instruct | thinking | base";
const OWN_TITLE = "Folders or hub ids; the base may be left out";
const ABOUT =
  "A pair is two checkpoints of one model: Instruct answers at once, Thinking thinks first. λ blends their weights. " +
  "A strip that was made beforehand can be dragged here; nothing is loaded for it.";

export function pairGallery(app, setup, loading) {
  const isFree = setup.policy === "any"; // any name or spec may be given, not only presets
  const close = h("button.mi-icon", { "aria-label": "Close the gallery", title: "Close (Esc)", onclick: hide }, "✕");
  const grid = h("div.mi-tiles", h("p.mi-hint", "Asking what fits this machine…"));
  const head = h("div.mi-gallery-head", h("h2", "Pairs"), close);
  const node = h(
    "dialog.mi-gallery",
    { "aria-label": "Pairs" },
    head,
    h("div.mi-gallery-body", h("p.mi-hint", ABOUT), grid, isFree && ownPair(app, setup, loading)),
  );
  node.addEventListener("pointerdown", (event) => event.target === node && hide()); // the backdrop
  const cards = new Map(); // name → card
  let asked = null; // the answer of the server, on its way or there
  let wanted = ""; // the card that is shown once the cards are there

  function hide() {
    node.close();
  }
  function open(name) {
    wanted = name;
    if (!node.open) node.showModal();
    asked ||= fill();
    reveal();
  }
  // What fits may change with what else runs: it is asked anew at every visit of the page, not at every opening.
  async function fill() {
    const answer = await answerOf(app.server.gallery());
    if (answer.error) {
      asked = null;
      grid.replaceChildren(refusal(answer.error));
      return;
    }
    for (const card of answer.cards) cards.set(card.name, pairCard(app, setup, card, loading));
    grid.replaceChildren(...Array.from(cards.values(), (card) => card.node));
    reveal();
  }
  function reveal() {
    const card = cards.get(wanted);
    if (!card) return;
    card.node.scrollIntoView({ block: "center" });
    card.node.focus({ preventScroll: true });
  }
  return {
    node,
    open,
    // Loads a preset, and shows on its card how far that is.
    async load(name) {
      asked ||= fill();
      await asked;
      cards.get(name)?.load();
    },
  };
}

// A pair by folders or hub ids: Check reads configs and headers, Open loads.
function ownPair(app, setup, loading) {
  const result = h("div.mi-judged");
  const own = textField("Own pair: instruct | thinking", {
    placeholder: PLACEHOLDER,
    title: OWN_TITLE,
    maxlength: "1000",
  });
  own.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && judge());
  const check = smallButton("Check", judge);
  const options = pairOptions(setup.pairOptions);

  async function judge() {
    const name = own.value.trim();
    if (!name) {
      own.focus();
      return;
    }
    const spec = options.specWith(name);
    check.disabled = true;
    result.replaceChildren(h("p.mi-hint", "Reading configs and headers…"));
    const about = await answerOf(app.server.judge(spec));
    check.disabled = false;
    if (about.adapter) options.open();
    result.replaceChildren(...(about.error ? [refusal(about.error)] : judged(about, spec)));
  }
  function judged(about, spec) {
    const open = smallButton("Open this pair", begin, { disabled: !about.ok });
    function begin() {
      open.disabled = true;
      loading.begin(spec, result);
      result.scrollIntoView({ block: "nearest" });
    }
    const title = h("p", h("b", about.title), ` · ${about.facts}`);
    return [title, ...summaryOf(about), about.name === setup.pair.name ? null : open].filter(Boolean);
  }
  const words = h("p.mi-hint", "Folders or hub ids of an Instruct and a Thinking model, with a | between them.");
  return h("section.mi-own", h("h3", "A pair of your own"), words, h("div.mi-row", own, check), options.node, result);
}
