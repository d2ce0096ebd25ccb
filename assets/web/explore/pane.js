// One pane of the trace board: the head with its counts, the map of the trace, and the body of the frame that it shows.

import { h, setText, smallButton } from "../shared/dom.js";
import { lamText, percent } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { lastStep, lineageWords, wholeLineage } from "./branch_path.js";
import { probeTrack } from "./probe_track.js";
import { frameFacts, hasFirstRight, isPending, shareAfterFirst, verdictOf } from "./frames.js";
import { lamTrack } from "./lam_track.js";
import { isThinkingNow, stepFact } from "./steer_words.js";

const FACTS = ["lineage", "tokens", "split", "speed", "reflect", "after", "loops", "steps"];
const STOP_TITLE = "Close the thought now; the answer follows (t)";

// `spec` is { id, name, lam, removable, branch }; the board calls `update(frame, shown)`, where `shown` is
// { name, lam, stale, body, lens, mayProbe, mayBranch, probe }, the last five where there is a frame.
export function tracePane(spec, options) {
  const lam = h("span.mi-lam.mi-num");
  const name = h("span.mi-name");
  const chip = h("span.mi-chip");
  const facts = Object.fromEntries(FACTS.map((key) => [key, h(`span.mi-fact.mi-fact-${key}`)]));
  const noMap = h("div.mi-map", { "aria-hidden": "true" });
  const map = h("div.mi-map-box", noMap);
  const track = probeTrack(options.actions(spec.id));
  const empty = h("p.mi-note.mi-empty", { hidden: true }, "No trace yet. Run to see one.");
  const stack = h("div.mi-stack", empty);
  const title = h("div.mi-pane-title", lam, name, chip, paneTools(spec, options));
  const stopThought = stopThoughtButton(options, () => shownFrame);
  const lams = lamTrack();
  const factRow = h("div.mi-facts", Object.values(facts), track.tools, stopThought);
  const head = h("header.mi-pane-head", title, factRow, map, track.node, lams.node);
  const node = h("article.mi-pane", { "data-pane": spec.id }, head, stack);
  const lineage = spec.branch ? lineageWords(lastStep(spec.branch.path)) : "";
  if (lineage) facts.lineage.title = `${wholeLineage(spec.branch.path)}; the same seed`;
  let body = null;
  let shownFrame = null;
  let painted = "";

  function put(next) {
    if (body === next) return;
    if (body) body.show(false);
    body = next;
    if (!body) return;
    if (body.node.parentNode !== stack) stack.append(body.node);
    body.show(true);
  }
  function paint(colour) {
    if (colour === painted) return;
    painted = colour;
    head.style.setProperty("--lam", colour); // on the head alone: thousands of words that inherit it would be restyled
    node.style.borderTopColor = colour;
  }
  function setTitle(at, shown) {
    setText(lam, `λ ${lamText(at)}`);
    setText(name, shown.name);
    node.setAttribute("aria-label", `${[shown.name, lineage].filter(Boolean).join(" ")}, λ ${lamText(at)}`);
    node.classList.toggle("mi-stale", Boolean(shown.stale));
  }
  function showEmpty() {
    setText(chip, "");
    for (const key of FACTS) setText(facts[key], "");
    map.replaceChildren(noMap);
    track.update({});
    if (stopThought) stopThought.hidden = true;
    lams.draw(null, false);
    put(null);
  }
  function showFrame(frame, shown) {
    const { sign, word, kind } = verdictOf(frame);
    setText(chip, sign ? `${sign} ${word}` : word);
    chip.className = `mi-chip mi-chip-${kind}`;
    chip.hidden = !word;
    const after = shareAfterFirst(frame);
    const late = after !== null && after >= 0.005 ? `${percent(after)} after first right` : "";
    const words = { ...frameFacts(frame), lineage, after: late, steps: stepFact(frame) };
    for (const [key, text] of Object.entries(words)) setText(facts[key], text);
    if (stopThought) stopThought.hidden = !isThinkingNow(frame);
    lams.draw(frame, Boolean(spec.steered));
    drawMap(shown.body.map, frame);
    if (map.firstChild !== shown.body.map) map.replaceChildren(shown.body.map);
    track.update(shown);
    put(shown.body);
    body.node.setAttribute(
      "aria-label",
      `Trace of ${[shown.name, lineage].filter(Boolean).join(" ")}, λ ${lamText(frame.lam)}`,
    );
    body.update(frame, shown.lens);
  }

  return {
    id: spec.id,
    node,
    scroller: () => body && body.node,
    body: () => body,
    update(frame, shown) {
      const at = shown.at ?? (frame ? frame.lam : shown.lam);
      shownFrame = frame;
      paint(lamColour(at));
      setTitle(at, shown);
      node.setAttribute("aria-busy", String(Boolean(frame) && isPending(frame)));
      empty.hidden = Boolean(frame);
      if (frame) showFrame(frame, shown);
      else showEmpty();
    },
  };
}

// Null where thoughts cannot be stopped, or where somebody else has the button.
function stopThoughtButton({ onStopThought }, shownFrame) {
  if (!onStopThought) return null;
  const button = smallButton("Stop thinking", () => onStopThought(shownFrame()), { title: STOP_TITLE, hidden: true });
  button.classList.add("mi-stop-thought");
  return button;
}

function paneTools(spec, options) {
  const tool = (sign, title, label, onclick) => h("button.mi-icon", { title, "aria-label": label, onclick }, sign);
  if (spec.branch) {
    const focus = tool("⤢", "Focus (f)", "Focus this pane", () => options.onFocus(spec.id));
    const stop = tool("◼", "Stop this branch", "Stop this branch", () => options.onStopBranch(spec.id));
    const close = tool("×", "Close this branch", "Close this branch", () => options.onCloseBranch(spec.id));
    stop.classList.add("mi-stop-branch");
    return h("div.mi-pane-tools", stop, close, focus);
  }
  const label = `Remove the pin at λ ${lamText(spec.lam)}`;
  return h(
    "div.mi-pane-tools",
    spec.removable ? tool("×", "Remove this pin", label, () => options.onUnpin(spec.lam)) : null,
    spec.steered ? null : tool("⤢", "Focus (f)", "Focus this pane", () => options.onFocus(spec.id)),
  );
}

// The map of a trace: thought and answer by length, markers as ticks, first right as a flag, everything after it hatched.
function drawMap(map, frame) {
  const shared = frame.shared?.tokens || 0;
  const stamp = [frame.tokens, frame.think, frame.first, frame.state, frame.spots ? 1 : 0, shared].join();
  if (map.dataset.stamp === stamp) return;
  map.dataset.stamp = stamp;
  const total = Math.max(1, frame.tokens);
  const at = (tokens) => `${(100 * tokens) / total}%`;
  const part = (kind, from, to) => h(`i.mi-map-${kind}`, { style: { left: at(from), width: at(to - from) } });
  const tick = (kind, tokens) => h(`i.mi-map-${kind}`, { style: { left: at(tokens) } });
  const think = Math.min(frame.think, total);
  const letters = frame.thought.length || 1;
  const markers = (frame.spots?.thought || []).map(([start, , group]) =>
    tick(`tick.mi-mark-${group}`, (start / letters) * frame.think),
  );
  map.replaceChildren(
    part("think", 0, think),
    part("answer", think, frame.tokens),
    ...(shareAfterFirst(frame) === null ? [] : [part("after", frame.first, total)]),
    ...(shared ? [part("shared", 0, shared)] : []),
    ...markers,
    ...(hasFirstRight(frame) ? [tick("first", frame.first)] : []),
  );
}
