// What a small pair knows: said beside the examples, and a friendly line where a question is none of it. The server judges a question
// when its text rests; a run waits for nothing of it.

import { h, smallButton } from "../shared/dom.js";
import { answerOr } from "../shared/server.js";

const REST_MS = 500; // of the question's text, before it is judged
const SPEAKS = "smollm2"; // the preset that is offered instead

export function knownQuestions(app, setup) {
  const { knows, title, name } = setup.pair;
  const label = knows ? h("span.mi-knows", `${title}: it knows ${knows}.`) : null;
  const open = smallButton("Open SmolLM2", () => app.pairs.load(SPEAKS), {
    title: "A small pair that speaks everyday English",
  });
  const hint = h("div.mi-unknown", { role: "status", hidden: true });
  const examples = new Set(setup.examples.map(({ q }) => q));
  let judged = null; // the question that the line is about
  let timer = null;

  async function judge(question) {
    const isKnown = await answerOr(null, app.server.is_known({ pair: name, q: question }));
    if (question === judged) show(isKnown === false);
  }
  function show(isUnknown) {
    hint.hidden = !isUnknown;
    const words = `This does not look like one of the ${knows} that this pair knows: its answer will make little sense.`;
    const offer = app.pairs.offers(SPEAKS) ? ["For everyday English there is a larger pair.", open] : [];
    hint.replaceChildren(...(isUnknown ? [h("span", words, " ", offer[0] || ""), offer[1] || ""] : []));
  }
  return {
    label,
    hint,
    // Follows the question; the one that the page opens with is known.
    draw({ q }) {
      if (!knows || q === judged) return;
      const isFirst = judged === null;
      judged = q;
      clearTimeout(timer);
      show(false);
      if (!isFirst && q.trim() && !examples.has(q)) timer = setTimeout(() => judge(q), REST_MS);
    },
  };
}
