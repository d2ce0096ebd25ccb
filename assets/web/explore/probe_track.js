// The track under a pane's map: one dot for each place where the thought was stopped, higher where the model was surer. A dot is a
// button: it says what the model answered there; arrow keys go from dot to dot.

import { fillOnce, h, setText } from "../shared/dom.js";
import { pointKind, pointPlace, pointWords, probeProgress, probeWords, settingWords, SIGNS } from "./probe_words.js";

const TITLE = "Stop the thought at several places and ask what the model would answer there (t)";
const BRANCH_TITLE = "Go on from one of its tokens at another λ (b); or click a word";
const FILE_TITLE = "Save this trace with its lineage and its probes as a file";
const STOP_TITLE = "Stop probing; what is there stays";

// `act`: { probe(), stop(), pick(token or null), goOn(token), save() } of the trace that the pane shows.
export function probeTrack(act) {
  const button = h("button.mi-probe-button", { hidden: true, onclick: press });
  const dots = h("div.mi-probe-dots");
  const band = h("i.mi-probe-enough");
  const first = h("i.mi-probe-first", { title: "The text is first right here" });
  const plot = h(
    "div.mi-probe-plot",
    { role: "group", "aria-label": "Probes: where the thought was stopped" },
    band,
    first,
    dots,
  );
  const words = h("p.mi-probe-words");
  const goOn = h("button.mi-probe-go", { hidden: true, onclick: () => act.goOn(picked) }, "Go on from here…");
  const branch = h(
    "button.mi-probe-button",
    { hidden: true, title: BRANCH_TITLE, onclick: () => act.goOn(null) },
    "Branch",
  );
  const file = h("button.mi-probe-button", { hidden: true, title: FILE_TITLE, onclick: () => act.save() }, "JSON");
  const tools = h("span.mi-trace-tools", button, branch, file);
  const node = h("div.mi-probe", { hidden: true }, plot, h("div.mi-probe-line", words, goOn));
  let probe = null;
  let looked = null; // the token of the dot under the pointer or the focus
  let picked = null;

  function press() {
    if (probe?.state === "running") act.stop();
    else act.probe();
  }
  function look(token) {
    looked = token;
    drawWords();
  }
  function drawWords() {
    const token = looked ?? picked;
    const point = token === null ? null : probe?.points.find((p) => p.token === token);
    const summary = () => [...probeWords(probe), settingWords(probe), probeProgress(probe)].filter(Boolean).join(" · ");
    setText(words, point ? pointWords(point) : summary());
    words.title = words.textContent;
    goOn.hidden = picked === null;
  }
  function dot(point, tokens) {
    const kind = pointKind(point);
    const { x, y } = pointPlace(point, tokens);
    return h(
      `button.mi-probe-dot.mi-probe-${kind}`,
      {
        style: { "--x": x.toFixed(4), "--y": y.toFixed(3) },
        "data-token": String(point.token),
        "aria-label": pointWords(point),
        "aria-pressed": String(point.token === picked),
        tabindex: "-1",
        onclick: () => act.pick(point.token === picked ? null : point.token),
        onfocus: () => look(point.token),
        onblur: () => look(null),
        onpointerenter: () => look(point.token),
        onpointerleave: () => look(null),
        onkeydown: onKey,
      },
      SIGNS[kind],
    );
  }
  function onKey(event) {
    const all = [...dots.querySelectorAll("button")];
    const at = all.indexOf(event.currentTarget);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape" && picked !== null) {
      event.stopPropagation();
      act.pick(null);
    }
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    all[Math.min(all.length - 1, Math.max(0, to))]?.focus();
  }
  function drawDots() {
    const { points, wanted, tokens } = probe;
    const focused = dots.contains(document.activeElement) ? document.activeElement.dataset.token : null;
    const key = JSON.stringify([points, wanted, tokens, picked]);
    fillOnce(dots, key, () => {
      const there = new Set(points.map((point) => point.token));
      const missing = (wanted || []).filter((token) => !there.has(token));
      const still = missing.map((token) => h("i.mi-probe-wanted", { style: { "--x": (token / tokens).toFixed(4) } }));
      return [...still, ...points.map((point) => dot(point, tokens))];
    });
    const all = [...dots.querySelectorAll("button")];
    const stop = all.find((x) => x.dataset.token === String(picked)) || all[0];
    if (stop) stop.tabIndex = 0;
    if (focused && !dots.contains(document.activeElement)) {
      all.find((x) => x.dataset.token === focused)?.focus({ preventScroll: true });
    }
  }
  function drawPlaces() {
    const { sufficient, first: text, tokens, state } = probe;
    band.hidden = state === "running" || sufficient === null || sufficient === undefined;
    if (!band.hidden) band.style.setProperty("--x", (sufficient / tokens).toFixed(4));
    first.hidden = !text;
    if (text) first.style.setProperty("--x", (text / tokens).toFixed(4));
  }

  return {
    node,
    tools,
    // `mayProbe`, `mayBranch`: whether the trace can be asked at all; `now`: its probe, if there is one.
    update({ mayProbe = false, mayBranch = false, probe: now }) {
      probe = now || null;
      picked = probe?.picked ?? null;
      button.hidden = !mayProbe;
      branch.hidden = file.hidden = !mayBranch;
      const isRunning = probe?.state === "running";
      setText(button, isRunning ? "Stop probing" : "Probe");
      button.title = isRunning ? STOP_TITLE : TITLE;
      node.hidden = !probe;
      if (!probe) return;
      drawDots();
      drawPlaces();
      drawWords();
    },
  };
}
