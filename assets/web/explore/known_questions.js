// What a small pair knows: said beside the examples, and a friendly line where a question is none of it. The server judges a question
// when its text rests; a run waits for nothing of it.

import { h, smallButton } from "../shared/dom.js";
import { answerOr } from "../shared/server.js";

const REST_MS = 500; // of the question's text, before it is judged
const SPEAKS = "smollm2"; // the preset that is offered instead
const OPEN_TITLE = "A larger pair, for everyday English";

export function knownQuestions(app, setup) {
  const { knows, title, name } = setup.pair;
  const label = knows ? h("span.mi-knows", `${title}: ${knows}.`) : null;
  const hint = knows ? h("p.mi-unknown", { role: "status" }) : null;
  const examples = new Set(setup.examples.map(({ q }) => q));
  let judged = null; // the question that the line is about
  let timer = null;

  async function judge(question) {
    const isKnown = await answerOr(null, app.server.is_known({ pair: name, q: question }));
    if (question === judged && isKnown === false) hint.replaceChildren(...line());
  }
  function line() {
    const words = `This looks like none of the ${knows} that the pair knows, so its answer will make little sense.`;
    const open = smallButton("Open SmolLM2", () => app.pairs.load(SPEAKS), { title: OPEN_TITLE });
    return app.pairs.offers(SPEAKS) ? [h("span", words), open] : [h("span", words)];
  }
  return {
    label,
    hint,
    // Follows the question. The one that the page opens with and the examples are known.
    draw({ q }) {
      if (!knows || q === judged) return;
      const isFirst = judged === null;
      judged = q;
      clearTimeout(timer);
      hint.replaceChildren();
      if (!isFirst && q.trim() && !examples.has(q)) timer = setTimeout(() => judge(q), REST_MS);
    },
  };
}
