// The loading of another pair: phases with numbers, and a way to stop it. It is shown where it was begun.

import { viewQuery } from "../shared/address.js";
import { h, setText, showProgress, smallButton } from "../shared/dom.js";
import { answerOr, newToken } from "../shared/server.js";
import { refusal } from "./pair_summary.js";

export function pairLoading(app, setup) {
  let phase = 0;
  let token = "";
  let place = h("div"); // where it is shown
  const words = h("p.mi-hint.mi-num");
  const bar = h("progress.mi-loading", { "aria-label": "Loading the pair" });
  const stop = smallButton("Stop", stopLoading, { title: "Do not load this pair" });
  const shown = h("div.mi-load", words, bar, stop);

  function stopLoading() {
    stop.disabled = true;
    answerOr(false, app.server.stop(token));
  }
  // Loads a pair and shows in `result` how far that is.
  function begin(spec, result) {
    place = result;
    stop.disabled = false;
    token = newToken();
    app.trigger("openpair", { spec, token });
  }
  function showPhase(step) {
    const text = `${step.phase} of ${step.of}: ${step.text}…`;
    if (phase !== step.phase) app.showStatus(`Loading the pair, ${text}`); // spoken once a phase, not at every tensor
    phase = step.phase;
    showProgress(bar, step.done, step.total);
    setText(words, text);
    if (shown.parentNode !== place) place.replaceChildren(shown);
  }
  // Opens the page on the loaded pair. A question of one's own goes along; the examples of this pair's task stay here. Layers and
  // methods mean something else there.
  function openPair(name) {
    const { q, gold, t, seed } = app.view.get();
    const isExample = setup.examples.some((example) => example.q === q) || setup.strip.view.q === q;
    const asked = isExample ? {} : { q, gold };
    location.search = viewQuery({ ...setup.defaults, pair: name, ...asked, t, seed }, setup);
  }
  // A step of the loading as the server reports it.
  function show(step) {
    if (step.loaded) openPair(step.loaded);
    else if (!step.error) showPhase(step);
    else {
      phase = 0;
      place.replaceChildren(refusal(step.error));
      app.showStatus(step.error, "error");
    }
  }
  return { begin, show };
}
