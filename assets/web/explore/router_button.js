// "Auto λ": a router reads the question with both parents and chooses λ; what it chose, and why, stands under the rail.

import { h, setTexts } from "../shared/dom.js";
import { answerOf } from "../shared/server.js";

const TITLE = "Let a router choose λ for this question: both parents read it once";

// { button, words, draw(view) }: `draw` takes the words away when they are of another λ or question.
export function routerButton(app) {
  const button = h("button.mi-button", { title: TITLE, onclick: choose }, "Auto λ");
  const words = h("p.mi-hint.mi-router", { role: "status", hidden: true });
  let shown = null; // { q, lam } that the words are of

  function say(text, of = null) {
    shown = of;
    setTexts([[words, text]]);
  }
  async function choose() {
    const { q, pair } = app.view.get();
    button.disabled = true;
    say("A router reads the question…");
    const found = await answerOf(app.server.route({ q, pair }));
    button.disabled = false;
    if (app.view.get().q !== q) {
      say("");
      return; // λ of another question
    }
    if (!found.error) app.view.set({ lam: found.lam });
    say(found.error ? "" : found.why, { q, lam: found.lam });
    app.showStatus(found.error || "", "error");
  }
  function draw({ q, lam }) {
    if (shown && (shown.q !== q || shown.lam !== lam)) say("");
  }
  return { button, words, draw };
}
