// A recipe from elsewhere: pasted or from a file, applied to Explore.

import { h, smallButton } from "../shared/dom.js";
import { currentView, patchView, showInExplore } from "../shared/explore_link.js";
import { answerOf } from "../shared/server.js";
import { setStatus, titledBox } from "./parts.js";

const LARGEST_BYTES = 256_000; // of a recipe's file
const PLACEHOLDER = "Paste a recipe (YAML or JSON), a mergekit configuration, or a link of this page.";

export function recipeInput(server, onApplied) {
  const field = { rows: 7, spellcheck: "false", "aria-label": "A recipe to apply", placeholder: PLACEHOLDER };
  const area = h("textarea.mi-take-area", field);
  const status = h("p.mi-hint.mi-take-status", { role: "status" });
  const accept = ".yaml,.yml,.json,.txt";
  const file = h("input", { type: "file", accept, hidden: true, "aria-label": "Recipe file", onchange: readFile });
  const buttons = h(
    "div.mi-row",
    smallButton("Apply to Explore", apply, { class: "mi-take-apply" }),
    smallButton("Open a file…", () => file.click()),
    smallButton("Show in Explore", () => showInExplore({})),
    file,
  );
  return titledBox("A recipe from elsewhere", "A recipe from elsewhere", area, buttons, status);

  async function readFile() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    if (chosen.size > LARGEST_BYTES) {
      setStatus(status, "This file is larger than any recipe.", true);
      return;
    }
    area.value = await chosen.text();
    apply();
  }
  async function apply() {
    const answer = await answerOf(server.read({ text: area.value, pair: currentView()?.pair || "" }));
    if (answer.error) {
      setStatus(status, answer.error, true);
      return;
    }
    patchView(answer.view);
    setStatus(status, `The ${answer.kind} is set in Explore.` + (answer.note ? ` ${answer.note}` : ""));
    onApplied();
  }
}
