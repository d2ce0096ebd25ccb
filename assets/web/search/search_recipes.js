// The recipes of a search: a table to choose from, the chosen one's λ by layer, edited by hand, opened in Explore, taken away.

import { h, labelled, setText, smallButton, textField } from "../shared/dom.js";
import { patchView, showInExplore } from "../shared/explore_link.js";
import { clamp, lamText, typedNumber } from "../shared/format.js";
import { sortableTable } from "../shared/table.js";
import { openTab } from "../shared/tabs.js";
import { profileOf, profileWords, recipeOf } from "./layer_profile.js";
import { profileBars } from "./profile_bars.js";

const NO_PROFILE = "This recipe is of another method or of some layers only: it has no λ by layer to draw.";
const HINT = "Drag a bar, or press ↑ and ↓ on it. What is changed by hand was not measured: run it in Explore.";
const CHOOSE = "Choose a row to see its λ by layer.";

export function openSearchRecipes(element, { props, watch }) {
  const heading = h("h3");
  const table = h("div");
  const name = h("p.mi-profile-title", { "aria-live": "polite" });
  const hint = h("p.mi-hint");
  const bars = profileBars((edited) => setProfile({ ...edited, rest: profile.rest }));
  const rest = textField("λ elsewhere: norms, embeddings, head", { inputmode: "decimal", maxlength: "8" });
  const restField = labelled("Elsewhere", rest);
  rest.addEventListener("change", takeRest);
  const open = h("button.mi-button", { onclick: () => showInExplore(recipe()) }, "Open in Explore");
  const take = h("button.mi-button", { onclick: takeAway }, "Take away…");
  const reset = smallButton("Back to the measured one", () => choose(chosen));
  const buttons = h("div.mi-row", restField, open, take, reset);
  const panel = h("section.mi-profile-box", { "aria-label": "λ by layer" }, name, bars.node, hint, buttons);
  element.replaceChildren(h("div.mi.mi-search", heading, h("p.mi-hint", CHOOSE), table, panel));
  let shown = { rows: [], recipes: [] };
  let listed = "";
  let chosen = null; // the recipe of the chosen row
  let profile = null; // as edited; null where it has none

  const recipe = () => (profile ? recipeOf(profile, chosen.patch) : chosen.patch);
  const isEdited = () => profile && JSON.stringify(profile) !== JSON.stringify(measured());
  const measured = () => profileOf(chosen.patch, shown.layers);

  function takeAway() {
    patchView(recipe());
    openTab("takeaway");
  }
  function takeRest() {
    const lam = typedNumber(rest.value);
    rest.setAttribute("aria-invalid", String(!(lam >= 0 && lam <= 1)));
    if (lam >= 0 && lam <= 1) setProfile({ ...profile, rest: clamp(lam, 0, 1) });
  }
  function choose(one) {
    chosen = one;
    panel.hidden = !chosen;
    if (!chosen) return;
    profile = measured();
    bars.show(profile);
    drawWords();
  }
  function setProfile(next) {
    profile = next;
    drawWords();
  }
  function drawWords() {
    const budget = chosen.patch.budget === null ? "" : `, budget ${chosen.patch.budget}`;
    setText(name, isEdited() ? `Edited by hand: ${profileWords(profile)}${budget}` : chosen.label);
    setText(hint, profile ? HINT : NO_PROFILE);
    restField.hidden = !profile;
    if (profile) rest.value = lamText(profile.rest);
    reset.hidden = !isEdited();
  }
  function draw() {
    if (!props.content || props.content === listed) return;
    listed = props.content;
    shown = JSON.parse(props.content);
    element.firstChild.hidden = !shown.rows.length;
    setText(heading, shown.title);
    const pick = (row) => mark(row, shown.recipes[shown.rows.indexOf(row)]);
    table.replaceChildren(sortableTable(shown.columns, shown.rows, shown.name, { onRow: pick }));
    if (isEdited()) return; // work by hand outlasts a frontier that grows
    const same = shown.recipes.find(({ label }) => label === chosen?.label);
    choose(same || bestOf(shown));
  }
  function mark(row, one) {
    choose(one);
    for (const line of table.querySelectorAll("tbody tr"))
      line.toggleAttribute("data-chosen", line.firstChild.textContent === String(row[0]));
  }
  watch("content", draw);
  draw();
}

// What is shown first: a recipe that beat the line, else the last one with a profile of its own, else the first.
function bestOf({ rows, recipes }) {
  const better = rows.findIndex((row) => row.includes("better than the line"));
  if (better >= 0) return recipes[better];
  return recipes.findLast(({ patch }) => patch.method === "submodule") || recipes[0] || null;
}
