// The controls of a steered response: pause, stop thinking, a hint, the pace; replay and the way back when it has ended.

import { h, option, setText, smallButton, textField } from "../shared/dom.js";
import { hintProblem } from "./steer_words.js";

const PACES = [
  ["8", "8 tokens/s"],
  ["15", "15 tokens/s"],
  ["30", "30 tokens/s"],
  ["60", "60 tokens/s"],
  ["0", "full speed"],
];
const USUAL_PACE = "15";
const HINT_PLACEHOLDER = "A hint in your own words, then Enter";
const NOT_HERE = "A GPU that is lent for each call writes this, so it can be replayed but not steered.";

// `act`: { pause(isWanted), stopThinking(), hint(text) → whether it was put in, replay(), close(), problem(words) }.
export function steerBar(act) {
  const pause = smallButton("Pause", () => act.pause(), { title: "Pause, or go on (k)" });
  const stop = smallButton("Stop thinking", () => act.stopThinking(), {
    title: "Close the thought now; the answer follows (t)",
  });
  const field = textField("A hint for the thought", { placeholder: HINT_PLACEHOLDER, title: "Put in a hint (h)" });
  const pace = h("select.mi-field", { "aria-label": "Pace" }, PACES.map(option));
  pace.value = USUAL_PACE;
  const replay = smallButton("Replay", () => act.replay(), { title: "Make it again from what was done" });
  const close = smallButton("Back to the strip", () => act.close(), { title: "Back to the strip (Esc)" });
  const words = h("span.mi-steer-words");
  const form = h(
    "form.mi-steer-hint",
    { onsubmit: putIn },
    field,
    h("button.mi-button.mi-small", { type: "submit" }, "Put in"),
  );
  const live = h("div.mi-steer-live", pause, stop, form);
  const ended = h("div.mi-steer-ended", words, replay, close);
  const node = h("div.mi-steer-bar", live, ended, h("label.mi-steer-pace", h("span", "Pace"), pace));
  let isHeld = false; // paused for the hint that is being written
  let maySteer = false;

  field.addEventListener("input", () => {
    if (field.value && maySteer && !isHeld && pause.dataset.paused !== "1") {
      isHeld = true;
      act.pause(true);
    }
    if (!field.value) goOn();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // it would stop the run
    field.value = "";
    goOn();
    field.blur();
  });
  async function goOn() {
    if (!isHeld) return;
    isHeld = false;
    await act.pause(false);
  }
  async function putIn(event) {
    event.preventDefault();
    const problem = hintProblem(field.value);
    if (problem) {
      act.problem(problem);
      return;
    }
    if (!(await act.hint(field.value))) return;
    field.value = "";
    await goOn();
  }

  return {
    node,
    pace: () => Number(pace.value),
    focusHint: () => !live.hidden && field.focus(),
    draw({ frame, isRunning, maySteer: may, isSteerable, hasRecord, result, isThinking }) {
      maySteer = may;
      if (!isRunning) isHeld = false;
      const isPaused = frame?.state === "paused";
      live.hidden = !may;
      ended.hidden = isRunning;
      pace.disabled = isRunning;
      pace.parentNode.hidden = !isSteerable;
      replay.hidden = !hasRecord;
      stop.disabled = !isThinking;
      field.disabled = !may;
      setText(pause, isPaused ? "Go on" : "Pause");
      pause.dataset.paused = isPaused ? "1" : "";
      pause.setAttribute("aria-pressed", String(isPaused));
      setText(words, result || (isSteerable ? "" : NOT_HERE));
      words.classList.toggle("mi-steer-same", result.includes("equal"));
    },
  };
}
