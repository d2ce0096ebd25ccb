// The question: text, known answer, an example of each family, the controls, Run and Stop.

import { h, labelled, setText, textField } from "../shared/dom.js";
import { answerOf } from "../shared/server.js";
import { knownQuestions } from "./known_questions.js";

const HIGHEST_PX = 180; // of the question's field, which grows with its text
const PLACEHOLDER = "Ask something that has to be worked out…";
const GOLD_LABEL = "Known answer (optional; turns verdicts on)";

export function questionForm(app, setup) {
  const area = h("textarea.mi-prompt", {
    id: "mi-prompt",
    rows: "2",
    placeholder: PLACEHOLDER,
    spellcheck: "false",
    "aria-label": "Question",
    oninput: takeQuestion,
  });
  const gold = textField(GOLD_LABEL, { placeholder: "unknown", maxlength: String(setup.goldLimit), oninput: takeGold });
  gold.classList.add("mi-gold");
  const run = h(
    "button.mi-button.mi-primary",
    { title: "Run the strip (Ctrl+Enter)", onclick: () => app.start("strip") },
    "Run",
  );
  const stop = h("button.mi-button.mi-stop", { title: "Stop (Esc)", hidden: true, onclick: () => app.stop() }, "Stop");
  const steerTitle = "One response whose λ you move while it is written (s)";
  const steer = app.steering.isThere
    ? h("button.mi-button", { title: steerTitle, onclick: () => app.steer.start() }, "Steer")
    : h(
        "span.mi-hint",
        { title: "Steering needs a GPU that stays with a run" },
        "No steering: the GPU here is lent for each call.",
      );
  const progress = h("span.mi-progress.mi-num");
  const examples = setup.examples.map((example) =>
    h("button.mi-example", { title: example.q, onclick: () => take(example) }, example.family.replaceAll("_", " ")),
  );
  let isGoldTyped = false; // a known answer that came with a question goes when the question is edited; a typed one stays

  function take({ q, gold: known }) {
    isGoldTyped = false;
    app.view.set({ q, gold: known });
  }
  async function takeRandom() {
    const answer = await answerOf(app.server.draw(setup.pair.name));
    if (answer.error) app.showStatus(answer.error, "error");
    else take(answer);
  }
  function takeQuestion() {
    fit();
    app.view.set(isGoldTyped ? { q: area.value } : { q: area.value, gold: "" });
  }
  function takeGold() {
    const known = gold.value.trim();
    isGoldTyped = known !== "";
    app.view.set({ gold: known });
  }
  function fit() {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, HIGHEST_PX)}px`;
  }

  const randomTitle = `A random held-out question of ${setup.task}`;
  const random = h("button.mi-example.mi-random", { title: randomTitle, onclick: takeRandom }, "random question");
  const goldLabel = labelled("Known answer", gold);
  goldLabel.classList.add("mi-gold-label");
  const bar = h("div.mi-ask-bar", app.controls.node, h("div.mi-run", progress, steer, stop, run));
  const chips = h("div.mi-examples", { role: "group", "aria-label": "Examples" }, examples, setup.task ? random : null);
  const known = knownQuestions(app, setup);
  return {
    node: h(
      "section.mi-ask",
      { "aria-label": "Question" },
      h("div.mi-ask-row", area, goldLabel),
      known.label,
      chips,
      known.hint,
      bar,
    ),
    focus: () => area.focus(),
    draw(view) {
      if (area.value !== view.q) {
        area.value = view.q;
        fit();
      }
      known.draw(view);
      if (document.activeElement !== gold) gold.value = view.gold;
      examples.forEach((chip, i) => chip.setAttribute("aria-pressed", String(setup.examples[i].q === view.q)));
    },
    showRun(running, stale, words) {
      stop.hidden = !running;
      run.disabled = running;
      if (app.steering.isThere) steer.hidden = running;
      run.classList.toggle("mi-wanted", stale && !running);
      setText(progress, words);
    },
  };
}
