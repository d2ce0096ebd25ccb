// The profile: λ* per block, made on request, blended in Explore.

import { h, setText, setTexts } from "../shared/dom.js";
import { patchView } from "../shared/explore_link.js";
import { openTab } from "../shared/tabs.js";

const HINT =
  "In closed form, from both parents’ own answers to some questions: the λ at which a block’s output stays nearest to " +
  "Instruct’s on Instruct’s answers and to Thinking’s on Thinking’s (arXiv 2504.10902).";

export function openProfile(element, { trigger, props, watch }) {
  const make = h("button.mi-button", { onclick: start }, "Find λ* per block");
  const use = h("button.mi-button", { hidden: true, onclick: blend }, "Blend with this profile in Explore");
  const status = h("p.mi-hint", { role: "status" });
  const error = h("p.mi-refused", { role: "alert" });
  const result = h("p");
  const buttons = h("div.mi-row", make, use);
  let patch = null; // of Explore's view
  element.replaceChildren(
    h("div.mi.mi-weights", h("h3", "A λ for every block"), h("p.mi-hint", HINT), buttons, status, error, result),
  );

  function start() {
    make.disabled = true;
    setText(status, "Starting…");
    trigger("make", {});
  }
  function blend() {
    patchView(patch);
    openTab("explore");
  }
  function draw() {
    const shown = props.content ? JSON.parse(props.content) : {};
    patch = shown.patch || null;
    setTexts([
      [status, shown.text],
      [error, shown.error],
      [result, shown.sentence],
    ]);
    make.disabled = Boolean(shown.text);
    use.hidden = !patch;
  }
  watch("content", draw);
  draw();
  trigger("look", {});
}
