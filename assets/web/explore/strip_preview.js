// A precomputed strip on a card: λ is dragged through finished traces of a pair that is not loaded.

import { h, setText, setTexts } from "../shared/dom.js";
import { lamText, plural } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { answerOf } from "../shared/server.js";
import { byLam, nearestFrame, verdictOf } from "./frames.js";
import { refusal } from "./pair_summary.js";

const FIRST_LAM = 0.5;

export function stripPreview(app, { name, title }) {
  const node = h("div.mi-preview", { role: "group", "aria-label": `Precomputed strip of ${title}` });
  node.append(h("p.mi-hint", "Fetching its strip…"));
  fetchStrip();

  async function fetchStrip() {
    const strip = await answerOf(app.server.preview(name));
    node.replaceChildren(...(strip.error ? [refusal(strip.error)] : board(strip)));
  }

  function board(strip) {
    const frames = byLam(strip.frames);
    const lamWords = h("b.mi-num");
    const verdict = h("span.mi-preview-verdict");
    const tokens = h("span.mi-num");
    const thought = h("p.mi-preview-thought");
    const answer = h("p.mi-preview-answer");
    const text = h("div.mi-preview-text", { tabindex: "0", role: "region", "aria-label": "Trace" }, thought, answer);
    const input = h("input.mi-preview-range", {
      type: "range",
      min: "0",
      max: "1",
      step: "0.01",
      value: String(FIRST_LAM),
      "aria-label": `λ of the strip of ${title}`,
      oninput: draw,
    });
    function draw() {
      const lam = Number(input.value);
      const frame = nearestFrame(frames, lam);
      const { sign, word, kind } = verdictOf(frame);
      setText(lamWords, `λ ${lamText(frame.lam)}`);
      setText(verdict, `${sign} ${word}`.trim());
      verdict.className = `mi-preview-verdict mi-verdict-${kind}`;
      setText(tokens, plural(frame.tokens, "token"));
      setTexts([
        [thought, frame.thought],
        [answer, frame.answer],
      ]);
      input.style.setProperty("--lam", lamColour(lam));
      input.setAttribute("aria-valuetext", `λ ${lamText(frame.lam)}, ${word || plural(frame.tokens, "token")}`);
    }
    draw();
    const ends = [h("span.mi-end-instruct", "Instruct"), h("span.mi-end-thinking", "Thinking")];
    return [
      h("p.mi-preview-question", strip.view.q),
      h("div.mi-preview-head", lamWords, verdict, tokens),
      text,
      h("div.mi-preview-rail", ends[0], input, ends[1]),
      h("p.mi-hint.mi-preview-label", strip.label),
    ];
  }
  return node;
}
