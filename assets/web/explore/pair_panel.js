// The pair: what is loaded in words, and the way to another one. Check reads headers only; Open loads in numbered phases.

import { viewQuery } from "../shared/address.js";
import { closeOnPressOutside, h, option, setText, showProgress, smallButton, terms, textField } from "../shared/dom.js";
import { pairOptions } from "./pair_options.js";
import { answerOf, answerOr, newToken } from "../shared/server.js";

const PLACEHOLDER = "or: instruct | thinking | base";
const OWN_TITLE = "Folders or hub ids; the base may be left out";

const summaryOf = ({ rows, findings }) => [
  rows.length ? h("dl.mi-about", terms(rows)) : null,
  findings.length
    ? h(
        "ul",
        findings.map(({ kind, text }) => h("li", { "data-kind": kind }, text)),
      )
    : null,
];
const refusal = (text) => h("p.mi-refused", text);

export function pairPanel(app, setup) {
  const { pair, policy } = setup;
  const result = h("div.mi-judged");
  const loading = pairLoading(app, setup, result);
  const picker = policy === "fixed" ? null : pairPicker(app, setup, result, loading);
  const name = h("span.mi-pair", h("b", pair.title), h("span", pair.facts));
  const summary = h("summary", { title: "About this pair" }, name);
  const node = h("details.mi-dropdown.mi-findings", summary, h("div.mi-panel", summaryOf(pair), picker));
  closeOnPressOutside(node);
  return {
    node,
    // Closes the panel; whether it was open.
    close() {
      const wasOpen = node.open;
      node.open = false;
      return wasOpen;
    },
    showLoading: (step) => step && loading.show(step),
  };
}

function pairPicker(app, setup, result, loading) {
  const { pair, pairs } = setup;
  const isFree = setup.policy === "any"; // any name or spec may be given, not only presets
  const options = pairs.map(({ name, title, size }) => option([name, title + (size ? ` · ${size}` : "")]));
  const choice = h("select.mi-field", { "aria-label": "Pair" }, options);
  choice.value = pairs.some(({ name }) => name === pair.name) ? pair.name : pairs[0].name;
  const own = textField("Own pair: instruct | thinking", {
    placeholder: PLACEHOLDER,
    title: OWN_TITLE,
    maxlength: "1000",
  });
  own.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && judge());
  const check = smallButton("Check", judge);
  const details = pairOptions(setup.pairOptions);
  return [h("h3", "Another pair"), h("div.mi-row", choice, isFree && own, check), isFree && details.node, result];

  async function judge() {
    const name = own.value.trim() || choice.value;
    const spec = isFree ? details.specWith(name) : name;
    check.disabled = true;
    result.replaceChildren(h("p.mi-hint", "Reading configs and headers…"));
    const about = await answerOf(app.server.judge(spec));
    check.disabled = false;
    if (about.adapter) details.open();
    result.replaceChildren(...(about.error ? [refusal(about.error)] : judged(about, spec)));
  }
  function judged(about, spec) {
    const open = smallButton("Open this pair", begin, { disabled: !about.ok });
    function begin() {
      open.disabled = true;
      loading.begin(spec);
    }
    const title = h("p", h("b", about.title), ` · ${about.facts}`);
    return [title, ...summaryOf(about), about.name === pair.name ? null : open].filter(Boolean);
  }
}

// The loading of another pair, shown in `result`: phases with numbers, and a way to stop it.
function pairLoading(app, setup, result) {
  let phase = 0;
  let token = "";
  const words = h("p.mi-hint.mi-num");
  const bar = h("progress.mi-loading", { "aria-label": "Loading the pair" });
  const stop = smallButton("Stop", stopLoading, { title: "Do not load this pair" });
  const shown = h("div", words, bar, stop);

  function stopLoading() {
    stop.disabled = true;
    answerOr(false, app.server.stop(token));
  }
  function begin(spec) {
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
    if (!shown.isConnected) result.replaceChildren(shown);
  }
  // Opens the page on the loaded pair, with this question: layers and methods mean something else there.
  function openPair(name) {
    const { q, gold, t, seed } = app.view.get();
    location.search = viewQuery({ ...setup.defaults, pair: name, q, gold, t, seed }, setup);
  }
  // A step of the loading as the server reports it.
  function show(step) {
    if (step.loaded) openPair(step.loaded);
    else if (!step.error) showPhase(step);
    else {
      phase = 0;
      result.replaceChildren(refusal(step.error));
      app.showStatus(step.error, "error");
    }
  }
  return { begin, show };
}
