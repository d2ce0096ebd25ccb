// The bar of the Search tab: opens it, says where a search stands and what came out; a click on a point opens it in Explore.

import { copyButton, h, setText, setTexts, showProgress } from "../shared/dom.js";
import { showInExplore } from "../shared/explore_link.js";
import { keptOwner } from "../shared/owner.js";
import { answerOr, NO_ANSWER } from "../shared/server.js";
import { workersBlock } from "../shared/workers.js";

export function openSearchBar(element, { trigger, props, server, watch }) {
  const status = h("p.mi-hint.mi-num", { role: "status" });
  const error = h("p.mi-refused", { role: "alert" });
  const progress = h("progress.mi-loading", { hidden: true, "aria-label": "Samples made" });
  const [verdict, empty] = [h("p.mi-verdict"), h("p.mi-search-empty")];
  const [caption, notes] = [h("p.mi-hint"), h("p.mi-hint")];
  const code = h("code.mi-search-code", { tabindex: 0 });
  const copy = copyButton(() => code.textContent);
  const same = h("details.mi-search-command", h("summary", "The same on the command line"), code, copy);
  let name = ""; // of the search that is shown
  const workers = workersBlock((change) => answerOr(NO_ANSWER, server.change_workers({ search: name, change })));
  const box = h("div.mi.mi-search", status, progress, workers.node, error, empty, verdict, caption, notes, same);
  element.replaceChildren(box);

  function draw() {
    if (!props.content) return;
    const shown = JSON.parse(props.content);
    setTexts([
      [status, shown.status],
      [error, shown.error],
      [empty, shown.empty],
      [verdict, shown.verdict],
      [caption, shown.caption],
      [notes, shown.notes],
    ]);
    verdict.dataset.gauge = shown.better ? "green" : "amber";
    name = shown.name || "";
    workers.update(shown, shown.state === "running");
    showProgress(progress, shown.done, shown.total);
    box.setAttribute("aria-busy", String(shown.state === "running"));
    same.hidden = !shown.command;
    setText(code, shown.command || "");
    element.dataset.state = shown.state;
  }
  watch("content", draw);
  draw();
  listenToPoints();
  const search = new URLSearchParams(location.search).get("search") || "";
  setTimeout(() => trigger("begin", { owner: keptOwner(), search }), 0);
}

let isListening = false;

// A click on a point of the figure, which is a component of its own: its `custom` is what Explore's view is set to.
function listenToPoints() {
  if (isListening) return;
  isListening = true;
  document.addEventListener("mi-pick", ({ target, detail }) => {
    if (target.closest("#search-candidates") && typeof detail.custom === "string")
      showInExplore(JSON.parse(detail.custom));
  });
}
