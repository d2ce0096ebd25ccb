// The trace board: Instruct | blend at λ | pins | Thinking. Decides which frame each pane shows; panes draw it.

import { h } from "../shared/dom.js";
import { lamText } from "../shared/format.js";
import { answerOf } from "../shared/server.js";
import { isPending, mayProbe, nearestFrame, sameLam } from "./frames.js";
import { tracePane } from "./pane.js";
import { probeFlags } from "./probe_words.js";
import { viewOf } from "./strip.js";
import { showTokenCard } from "./token_card.js";
import { traceBody } from "./trace_body.js";

const SCORED_LENSES = ["writer", "entropy"];

const paneSpecs = ({ lam, pins }) => [
  { id: "instruct", name: "Instruct", lam: 0 },
  { id: "blend", name: "Blend", lam },
  ...pins.filter((x) => x !== 0 && x !== 1).map((x) => ({ id: `pin${x}`, name: "Pin", lam: x, removable: true })),
  { id: "thinking", name: "Thinking", lam: 1 },
];

export function traceBoard(app) {
  const row = h("div.mi-panes");
  const node = h("section.mi-board", { "aria-label": "Traces" }, row);
  const bodies = new Map(); // pane/strip/frame → body, so that scrubbing swaps finished trees
  const scores = new Map(); // strip/frame → scores of that trace; null while they are on their way
  let panes = [];
  const state = { folded: false, synced: false, diff: false, focus: null };

  const options = {
    isFolded: () => state.folded,
    onFold() {
      state.folded = !state.folded;
      update();
    },
    onFocus(id) {
      state.focus = state.focus === id ? null : id;
      update();
    },
    onUnpin: (lam) => app.view.set({ pins: app.view.get().pins.filter((x) => x !== lam) }),
    probing: (id) => ({
      probe: () => probe(id),
      stop: () => app.probes.stop(keyOf(id)),
      pick: (token) => pickStop(id, token),
    }),
    onScroll: (moved) => state.synced && scrollTogether(moved, panes),
  };

  function layout(specs) {
    if (specs.map((spec) => spec.id).join() !== panes.map((pane) => pane.id).join()) {
      const kept = new Map(panes.map((pane) => [pane.id, pane]));
      panes = specs.map((spec) => kept.get(spec.id) || tracePane(spec, options));
      row.replaceChildren(...panes.map((pane) => pane.node));
    }
    if (!panes.some((pane) => pane.id === state.focus)) state.focus = null;
    row.style.setProperty("--panes", panes.length);
    row.classList.toggle("mi-focused", Boolean(state.focus));
  }

  function update() {
    const view = app.view.get();
    const frames = app.strips.frames();
    const specs = paneSpecs(view);
    layout(specs);
    const base = frames.find((frame) => frame.lam === 0);
    specs.forEach((spec, i) => updatePane(panes[i], spec, frames, base));
    if (SCORED_LENSES.includes(view.lens)) fetchScores();
  }

  function updatePane(pane, spec, frames, base) {
    const isBlend = spec.id === "blend";
    const frame = isBlend ? nearestFrame(frames, spec.lam) : frames.find((f) => sameLam(f.lam, spec.lam));
    const isNear = frame && !sameLam(frame.lam, spec.lam);
    const name = isNear ? `nearest frame to ${lamText(spec.lam)}` : spec.name;
    pane.node.classList.toggle("mi-front", pane.id === state.focus);
    pane.frameId = frame ? frame.id : null;
    pane.frame = frame || null;
    const shown = { name, lam: spec.lam, stale: app.strips.isStale() };
    if (frame) Object.assign(shown, { body: bodyOf(pane, frame), lens: lensOf(frame, base) }, probing(frame));
    pane.update(frame, shown);
  }

  // -- probes --
  // A trace of the page, whichever strip or pane shows it.
  const traceKey = (frame) => `${frame.run || app.strips.current().token}/${frame.id}`;
  const paneOf = (id) => panes.find((pane) => pane.id === id);
  const keyOf = (id) => (paneOf(id)?.frame ? traceKey(paneOf(id).frame) : "");
  const sourceOf = (frame) => {
    const strip = app.strips.current();
    return { key: traceKey(frame), run: frame.run || strip.token, id: frame.id, view: viewOf(strip) };
  };
  function probe(id) {
    const { frame } = paneOf(id);
    const problem = probeProblem(frame);
    if (problem) app.showStatus(problem, "error");
    else app.probes.start(sourceOf(frame));
  }
  function pickStop(id, token) {
    app.probes.pick(keyOf(id), token);
    update();
    if (token !== null) paneOf(id).body()?.reveal(".mi-stop-here");
  }
  // The pane that a key means: the one with the focus, else the one in front, else the blend.
  function activePane() {
    const focused = panes.find((pane) => pane.node.contains(document.activeElement));
    return focused || paneOf(state.focus) || paneOf("blend");
  }

  const scoreKey = (id) => `${app.strips.current().token}/${id}`;

  function bodyOf(pane, frame) {
    const key = `${pane.id}/${scoreKey(frame.id)}`;
    if (!bodies.has(key)) bodies.set(key, traceBody(frame.lam, options));
    return bodies.get(key);
  }

  function probing(frame) {
    const found = app.probes.of(traceKey(frame));
    return { mayProbe: mayProbe(frame), probe: found };
  }

  function lensOf(frame, base) {
    const found = app.probes.of(traceKey(frame));
    return { ...plainLens(frame, base), flags: found && probeFlags(found, found.picked) };
  }

  function plainLens(frame, base) {
    if (state.diff && base && frame !== base) {
      return { mode: "diff", against: { text: `${base.thought}\n${base.answer}`, stamp: base.tokens } };
    }
    const mode = app.view.get().lens;
    return { mode, scores: SCORED_LENSES.includes(mode) ? scores.get(scoreKey(frame.id)) : null };
  }

  // Asks for the scores of the frames that are on the board, once each.
  async function fetchScores() {
    const { token, frames } = app.strips.current();
    for (const { frameId: id } of panes) {
      const frame = frames[id];
      const key = `${token}/${id}`;
      if (!frame || !["done", "cancelled"].includes(frame.state) || scores.has(key)) continue;
      scores.set(key, null);
      const request = { pair: app.view.get().pair, token: frame.run || token, id };
      const answer = await answerOf(app.server.score(request));
      if (answer.error) app.showStatus(answer.error, "error");
      else scores.set(key, answer);
      update();
    }
  }

  row.addEventListener("scroll", () => app.rail.leaders.draw(), { passive: true });
  node.addEventListener("click", (event) => {
    const word = event.target.closest(".mi-tok");
    const pane = word && panes.find((p) => p.node.contains(word));
    const found = pane && scores.get(scoreKey(pane.frameId));
    if (found) showTokenCard(word, found, Number(word.dataset.t), node);
  });

  return {
    node,
    update,
    panes: () => panes,
    traceKey: keyOf,
    focus: () => options.onFocus("blend"),
    probe: () => probe(activePane().id),
    unfocus: () => state.focus && options.onFocus(state.focus),
    // Scrolls the row so that the blend is seen first, which matters on a phone.
    reveal() {
      const blend = panes[1].node;
      row.scrollLeft = blend.offsetLeft - (row.clientWidth - blend.offsetWidth) / 2;
    },
    toggleDiff() {
      state.diff = !state.diff;
      update();
      return state.diff;
    },
    toggleSync() {
      state.synced = !state.synced;
      return state.synced;
    },
    // Drops what was made for other strips than this one.
    forget(token) {
      for (const [key, body] of bodies) {
        if (key.includes(token)) continue;
        body.node.remove();
        bodies.delete(key);
      }
      for (const key of [...scores.keys()]) if (!key.includes(token)) scores.delete(key);
    },
  };
}

// What keeps a trace from being probed, as far as the page knows; "": nothing. The server knows the rest.
function probeProblem(frame) {
  if (!frame || !frame.tokens) return "There is no trace to probe here. Run first.";
  if (isPending(frame)) return "This trace is still being written. Wait for its end, or stop it, and then probe it.";
  return frame.thought
    ? ""
    : "This response has no thought, so there is nothing to stop. Probe one that thinks (a higher λ).";
}

let isScrolling = false;

// Scrolls the other panes to the same share of their text.
function scrollTogether(moved, panes) {
  if (isScrolling) return;
  isScrolling = true;
  const share = moved.scrollTop / Math.max(1, moved.scrollHeight - moved.clientHeight);
  for (const other of panes.map((pane) => pane.scroller())) {
    if (other && other !== moved) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
  }
  requestAnimationFrame(() => (isScrolling = false));
}
