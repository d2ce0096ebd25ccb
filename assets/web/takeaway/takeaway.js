// Take away: the view of Explore as recipe, code and command; checkpoint, studies and reports as files; recipes in again.

import { h } from "../shared/dom.js";
import { whenExplore } from "../shared/explore_link.js";
import { checkpointBox } from "./checkpoint_box.js";
import { recipeBox } from "./recipe_box.js";
import { recipeInput } from "./recipe_input.js";
import { studiesBox } from "./studies_box.js";

const REST_MS = 200; // of Explore's view, before its recipe is made

export function openTakeaway(element, { props, server, watch }) {
  const checkpoint = checkpointBox(server);
  const recipe = recipeBox(server, (made) => {
    element.dataset.hash = made ? made.hash : "";
    checkpoint.show(made);
  });
  const input = recipeInput(server, recipe.refresh);
  const studies = studiesBox(server, JSON.parse(props.files));
  element.replaceChildren(h("div.mi.mi-take", recipe.node, input, checkpoint.node, studies.node));

  watch("news", () => studies.showNews(JSON.parse(props.news || "{}")));
  new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    recipe.refresh();
    studies.refresh();
  }).observe(element);
  let timer = null;
  whenExplore((app) => {
    app.view.watch(() => {
      clearTimeout(timer);
      timer = setTimeout(() => element.offsetParent !== null && recipe.refresh(), REST_MS);
    });
    recipe.refresh();
  });
}
