// The first visit: four steps in a card beside the page, which stays usable. Whoever ends or skips it never sees it again.

import { h, setText, smallButton } from "../shared/dom.js";

const SEEN_KEY = "mi-tour";
const STEPS = [
  {
    target: ".mi-ask",
    title: "Ask a question",
    text: "Take an example or write your own, then Run: every λ answers it, in one go.",
  },
  {
    target: ".mi-board",
    title: "Read the traces",
    text: "The thought folds, the answer stands out. Lenses show which model wrote which word; click a word for more.",
  },
  {
    target: ".mi-rail",
    title: "Drag λ",
    text: "0 is the Instruct model, 1 the Thinking model, between them lies a blend of both. The middle trace follows at once.",
  },
  {
    target: "#tabs [role=tablist]",
    title: "Go further",
    text: "The tabs show what was measured along λ, and let you take a blend away. The header has other pairs, where there are any.",
  },
];

// Shows the tour in `element`, unless this browser has seen it or cannot remember that.
export function firstTour(element) {
  if (!mayShow()) return;
  let place = 0;
  let lit = null;
  const title = h("b");
  const text = h("p");
  const count = h("span.mi-tour-count");
  const back = smallButton("Back", () => show(place - 1));
  const next = smallButton("Next", () => (place + 1 < STEPS.length ? show(place + 1) : end()));
  const skip = smallButton("Skip", end, { title: "Close, and do not show this again" });
  const words = h("div", { "aria-live": "polite" }, title, text);
  const buttons = h("div.mi-tour-buttons", count, skip, back, next);
  const card = h("section.mi-tour", { "aria-label": "First steps", onkeydown: escape }, words, buttons);

  function show(step) {
    place = step;
    setText(title, STEPS[place].title);
    setText(text, STEPS[place].text);
    setText(count, `${place + 1} of ${STEPS.length}`);
    back.hidden = place === 0;
    skip.hidden = place === STEPS.length - 1;
    setText(next, place === STEPS.length - 1 ? "Done" : "Next");
    light(document.querySelector(STEPS[place].target));
  }
  function light(node) {
    lit?.classList.remove("mi-tour-lit");
    lit = node;
    lit?.classList.add("mi-tour-lit");
    if (place > 0) lit?.scrollIntoView({ block: "nearest" });
    const seen = lit?.getBoundingClientRect();
    card.classList.toggle("mi-tour-high", Boolean(seen) && seen.top > innerHeight / 2); // it hides nothing that it speaks of
  }
  function escape(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // it stops no run
    end();
  }
  function end() {
    remember();
    light(null);
    card.remove();
  }
  element.querySelector(".mi").prepend(card); // the first that Tab reaches
  show(0);
}

function mayShow() {
  try {
    return localStorage.getItem(SEEN_KEY) === null;
  } catch {
    return false;
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN_KEY, "seen");
  } catch {
    // then it is seen once more
  }
}
