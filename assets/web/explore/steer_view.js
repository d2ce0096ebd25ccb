// Steer: one response in the place of the board. While it is written, λ on the rail is the λ of its next token; it can be paused,
// its thought stopped, a hint put in; and what was done can be replayed and shared.

import { h } from "../shared/dom.js";
import { lamText } from "../shared/format.js";
import { newToken } from "../shared/server.js";
import { endedFrames, isPending } from "./frames.js";
import { gradioState } from "./live_state.js";
import { tracePane } from "./pane.js";
import { Run } from "./run.js";
import { questionProblem } from "./run_control.js";
import { steerBar } from "./steer_bar.js";
import { isThinkingNow, lastLam, replayWords } from "./steer_words.js";
import { newestOnly } from "./steering.js";
import { endWords, turnWords, viewKey } from "./strip.js";
import { traceBody } from "./trace_body.js";

const FRAME_ID = "steered";

// `app` gives view, steering (steering.js), showStatus, redraw and rail; `link` is what a `Run` needs.
export function steerView(app, setup, link) {
  let active = null; // the run that goes on: { run, view, isReplay, stopping }
  let record = null; // what can be replayed and shared: { view it began with, key, schedule, expected }
  let frame = null;
  let result = ""; // of the last replay, in words
  let body = null;
  let isFolded = false;
  let isOpen = false;

  const pane = tracePane(
    { id: "steer", name: "Steered", lam: 0, steered: true },
    { isFolded: () => isFolded, onFold: fold, onScroll: () => {}, onStopThought: null, actions: () => ({}) },
  );
  const bar = steerBar({ pause, stopThinking, hint, replay, close, problem: (words) => tell(words) });
  const node = h("section.mi-steer", { "aria-label": "Steer", hidden: true }, bar.node, pane.node);

  function fold() {
    isFolded = !isFolded;
    draw();
  }
  const tell = (words) => app.showStatus(words, words ? "error" : "");

  // -- running --
  function start() {
    if (app.isRunning()) return;
    const view = { ...app.view.get(), schedule: "", expected: "" };
    const problem = questionProblem(view, setup);
    if (problem) {
      tell(problem);
      if (!view.q.trim()) app.question.focus();
      return;
    }
    record = null;
    begin(view, bar.pace(), false);
    app.showStatus(`Steering from λ ${lamText(view.lam)}. Drag λ while it writes.`);
  }
  function replay() {
    if (app.isRunning() || !record) return;
    const { view, schedule, expected } = record;
    app.view.set({ lam: view.lam });
    begin({ ...view, schedule, expected }, 0, true);
    app.showStatus("Replaying what was done.");
  }
  function begin(view, pace, isReplay) {
    app.rail.stop();
    frame = null;
    result = "";
    body?.node.remove();
    body = traceBody(view.lam, { isFolded: () => isFolded, onFold: fold, onScroll: () => {} });
    active = { view, isReplay };
    const request = { token: newToken(), kind: "steer", view, pace };
    active.run = new Run(request, link, { state: onState, wait: onWait, lost: onLost });
    show(true);
  }
  function onWait(turn) {
    app.showStatus(turn ? `Waiting: ${turnWords(turn)}.` : "");
  }
  function onLost(message) {
    onState({ state: "failed", message, frames: frame ? endedFrames({ [FRAME_ID]: frame }) : {} });
  }
  function onState(state) {
    const isFirst = !frame?.tokens;
    frame = state.frames[FRAME_ID] || frame;
    if (state.state !== "running") finish(state);
    if (isFirst || !active) app.redraw();
    else draw();
  }
  function finish(state) {
    const { view, isReplay, run } = active;
    active = null;
    if (frame && !isReplay) {
      record = { view, key: viewKey(view), schedule: frame.schedule || "", expected: frame.check || "" };
    }
    result = frame && isReplay ? replayWords(state.replayed, frame) : "";
    const duration = ((Date.now() - run.began) / 1000).toFixed(1);
    app.showStatus(
      result ? `Replay ended after ${duration} s.` : endWords(state, duration),
      state.state === "failed" ? "error" : "",
    );
    app.viewWasSteered();
  }
  async function stop() {
    if (!active || active.stopping) return;
    active.stopping = true;
    if (!(await active.run.stop())) return;
    active = null;
    app.showStatus("Stopped before it began.");
    app.redraw();
  }
  // Ends the run for something else that takes its place. True if there was one.
  function leave() {
    const wasRunning = Boolean(active);
    active?.run.leave();
    active = null;
    if (isOpen) show(false);
    return wasRunning;
  }

  // -- steering --
  const mayAct = () => Boolean(active && frame && !active.isReplay && app.steering.isThere && isPending(frame));
  async function act(what) {
    if (!mayAct()) return false;
    const problem = await app.steering.act(active.run.token, FRAME_ID, what);
    if (problem) tell(problem);
    return !problem;
  }
  const sendLam = newestOnly((lam) => act({ what: "lambda", lam }));
  function stopThinking() {
    if (frame && isThinkingNow(frame)) act({ what: "stop" });
    else tell("No thought is being written that could be stopped.");
  }
  function pause(isWanted = frame?.state !== "paused") {
    return act({ what: isWanted ? "pause" : "resume" });
  }
  // A hint stands on a line of its own.
  function hint(text) {
    return act({ what: "hint", text: `\n${text.trim()}\n` });
  }
  app.view.watch((view, changed) => {
    if (changed.has("lam") && mayAct()) sendLam(view.lam);
    if (isOpen && !active) draw();
  });

  // -- showing --
  function show(on) {
    isOpen = on;
    node.hidden = !on;
    app.redraw();
    app.rail.leaders.draw();
    if (on && app.rail.node.getBoundingClientRect().bottom > innerHeight) node.scrollIntoView({ block: "start" });
  }
  function close() {
    if (active) return;
    show(false);
    record = null;
    app.showStatus("");
    app.viewWasSteered();
  }
  function draw() {
    const lam = active?.view.lam ?? record?.view.lam ?? app.view.get().lam;
    const shown = {
      name: active?.isReplay ? "Replay" : "Steered",
      lam,
      at: frame ? lastLam(frame) : lam,
      stale: isStale(),
    };
    if (frame) Object.assign(shown, { body, lens: { mode: "plain" } });
    pane.update(frame, shown);
    bar.draw({
      frame,
      isRunning: Boolean(active),
      maySteer: mayAct(),
      isSteerable: app.steering.isThere,
      hasRecord: Boolean(record),
      result,
      isThinking: Boolean(frame) && isThinkingNow(frame),
    });
  }
  const isStale = () => Boolean(record) && record.key !== viewKey(app.view.get());

  // -- links --
  // The view of a link: what was done is part of it as long as the rest of the view is the one that it was done to.
  function sharedView(view) {
    if (!isOpen || !record || isStale()) return view;
    const { schedule, expected } = record;
    return { ...view, lam: record.view.lam, schedule, expected };
  }
  // Opens what a link holds: `view` with its schedule. It is made again at once where that takes nothing of a visitor's share.
  function openLink(view) {
    const { schedule, expected, ...rest } = view;
    record = { view: { ...rest, schedule: "", expected: "" }, key: viewKey(view), schedule, expected };
    frame = null;
    show(true);
    if (link.stream) replay();
    else app.showStatus("This link holds a steered response. Press Replay to make it again.");
  }

  return {
    node,
    start,
    stop,
    leave,
    close,
    draw,
    stopThinking,
    pause,
    openLink,
    sharedView,
    focusHint: () => bar.focusHint(),
    isOpen: () => isOpen,
    isRunning: () => Boolean(active),
    stopping: () => Boolean(active?.stopping),
    frame: () => frame,
    receive: (value) => active && value?.run && active.run.receive(gradioState(value)),
  };
}
