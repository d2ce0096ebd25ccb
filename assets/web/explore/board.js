// The trace board: Instruct | blend at λ | pins | Thinking. Decides which frame each pane shows; panes draw it.

import { h } from "../shared/dom.js";
import { lamText } from "../shared/format.js";
import { answerOf } from "../shared/server.js";
import { withBranches } from "./branch_path.js";
import { isPending, mayProbe, nearestFrame, sameLam } from "./frames.js";
import { tracePane } from "./pane.js";
import { isThinkingNow } from "./steer_words.js";
import { traceActions } from "./trace_actions.js";
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
    onStopThought: app.steering.isThere ? (frame) => app.stopThinking(frame) : null,
    onUnpin: (lam) => app.view.set({ pins: app.view.get().pins.filter((x) => x !== lam) }),
    onCloseBranch: (id) => app.branches.close(id),
    onStopBranch: (id) => app.branches.stop(id),
    actions: (id) => actions.of(id),
    onScroll: (moved) => state.synced && scrollTogether(moved, panes),
  };

  function layout(specs) {
    if (specs.map((spec) => spec.id).join() !== panes.map((pane) => pane.id).join()) {
      const kept = new Map(panes.map((pane) => [pane.id, pane]));
      panes = specs.map((spec) => kept.get(spec.id) || tracePane(spec, options));
      row.replaceChildren(...panes.map((pane) => pane.node));
      requestAnimationFrame(() => app.rail.leaders.draw());
    }
    if (!panes.some((pane) => pane.id === state.focus)) state.focus = null;
    row.style.setProperty("--panes", panes.length);
    row.classList.toggle("mi-focused", Boolean(state.focus));
  }

  function update() {
    const view = app.view.get();
    const frames = app.strips.frames();
    const specs = withBranches(paneSpecs(view), app.branches.current());
    layout(specs);
    const base = frames.find((frame) => frame.lam === 0);
    specs.forEach((spec, i) => updatePane(panes[i], spec, frames, base));
    if (SCORED_LENSES.includes(view.lens)) fetchScores();
  }

  function updatePane(pane, spec, frames, base) {
    const frame = frameFor(spec, frames);
    const isNear = frame && !sameLam(frame.lam, spec.lam);
    const name = isNear ? `nearest frame to ${lamText(spec.lam)}` : spec.name;
    pane.node.classList.toggle("mi-front", pane.id === state.focus);
    pane.frame = frame || null;
    pane.lam = spec.lam;
    const shown = { name, lam: spec.lam, stale: app.strips.isStale() };
    if (frame) Object.assign(shown, { body: bodyOf(pane, frame), lens: lensOf(frame, base), ...probing(frame) });
    pane.update(frame, shown);
  }

  const paneOf = (id) => panes.find((pane) => pane.id === id);
  // The pane that a key means: the one with the focus, else the one in front, else the blend.
  function activePane() {
    const focused = panes.find((pane) => pane.node.contains(document.activeElement));
    return focused || paneOf(state.focus) || paneOf("blend");
  }

  // A frame of the strip on the board, or of a branch beside it.
  const scoreKey = (frame) => `${app.strips.current().token}/${frame.key || frame.id}`;

  function bodyOf(pane, frame) {
    const key = `${pane.id}/${scoreKey(frame)}`;
    if (!bodies.has(key)) bodies.set(key, traceBody(frame.lam, options));
    return bodies.get(key);
  }

  function probing(frame) {
    const mayBranch = frame.tokens > 0 && !isPending(frame);
    return { mayProbe: mayProbe(frame), mayBranch, probe: app.probes.of(actions.keyOfFrame(frame)) };
  }

  const lensOf = (frame, base) => ({ ...plainLens(frame, base), flags: actions.flagsOf(frame) });

  function plainLens(frame, base) {
    if (state.diff && base && frame !== base) {
      return { mode: "diff", against: { text: `${base.thought}\n${base.answer}`, stamp: base.tokens } };
    }
    const mode = app.view.get().lens;
    return { mode, scores: SCORED_LENSES.includes(mode) ? scores.get(scoreKey(frame)) : null };
  }

  // Asks for the scores of the frames that are on the board, once each.
  async function fetchScores() {
    const { token } = app.strips.current();
    for (const { frame } of panes) {
      const key = frame && scoreKey(frame);
      if (!frame || !["done", "cancelled"].includes(frame.state) || scores.has(key)) continue;
      scores.set(key, null);
      const request = { pair: app.view.get().pair, token: frame.run || token, id: frame.id };
      const answer = await answerOf(app.server.score(request));
      if (answer.error) app.showStatus(answer.error, "error");
      else scores.set(key, answer);
      update();
    }
  }

  const scoresOf = (frame) => scores.get(scoreKey(frame)) || null;
  const actions = traceActions(app, { node, paneOf, scoresOf, update });

  row.addEventListener("scroll", () => app.rail.leaders.draw(), { passive: true });
  node.addEventListener("click", (event) => {
    const pane = panes.find((p) => p.node.contains(event.target));
    if (pane) actions.onClick(event, pane);
  });

  return {
    node,
    update,
    panes: () => panes,
    keyOfFrame: (frame) => actions.keyOfFrame(frame),
    probeFrame: (frame, options) => actions.probeFrame(frame, options),
    traceKey: (id) => actions.keyOf(id),
    focus: () => options.onFocus("blend"),
    // Closes the thought that is being written in the pane that a key means; of a finished one it is probed where it could end.
    stopThinking() {
      const { id, frame } = activePane();
      if (frame && isThinkingNow(frame) && options.onStopThought) app.stopThinking(frame);
      else actions.of(id).probe();
    },
    branch: () => actions.of(activePane().id).goOn(null),
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
      app.branches.forget([token, app.strips.current().token, app.strips.previous?.strip.token]);
      for (const [key, body] of bodies) {
        if (key.includes(token)) continue;
        body.node.remove();
        bodies.delete(key);
      }
      for (const key of [...scores.keys()]) if (!key.includes(token)) scores.delete(key);
    },
  };
}

// The frame that a pane shows.
function frameFor({ id, lam, branch }, frames) {
  if (branch) return branch.frame;
  return id === "blend" ? nearestFrame(frames, lam) : frames.find((frame) => sameLam(frame.lam, lam));
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
