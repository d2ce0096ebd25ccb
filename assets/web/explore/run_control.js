// The run of the page: what is asked for, what its states do to the strip, and what is said of it.

import { count, lamText } from "../shared/format.js";
import { newToken } from "../shared/server.js";
import { gradioState } from "./live_state.js";
import { Run } from "./run.js";
import { endedFrames } from "./frames.js";
import { endWords, isEmpty, keptFrames, placeWords, stripAfter, turnWords, viewKey } from "./strip.js";

// What keeps a view from being run, in words; null: nothing.
export function questionProblem({ q, gold }, { promptLimit, goldLimit }) {
  if (!q.trim()) return "There is no question yet. Write one, or take an example.";
  if (q.length > promptLimit) {
    return `The question has ${count(q.length)} characters; at most ${count(promptLimit)} are allowed. Shorten it.`;
  }
  return gold.length > goldLimit ? `The known answer may have at most ${goldLimit} characters.` : null;
}

// `app` gives view, board (the strips), showStatus, redraw, redrawSoon, question and rail; `link` is what a `Run` needs.
export function runControl(app, setup, link) {
  const { strips } = app;
  let active = null; // the run that goes on: { run, kind, key, before, stopping, hasTokens, turn, turnKey }

  // `kind`: "strip" for every λ, "here" for one more frame. A strip of other settings is made anew.
  function start(kind) {
    if (app.isRunning()) return;
    const view = app.view.get();
    const problem = questionProblem(view, setup);
    if (problem) {
      app.showStatus(problem, "error");
      if (!view.q.trim()) app.question.focus();
      return;
    }
    app.rail.stop();
    const before = strips.current();
    const here = kind === "here" && !strips.isStale() && !isEmpty(before);
    const kept = here ? keptFrames(before) : [];
    const request = { token: newToken(), kind: here ? "here" : "strip", view, kept };
    active = { kind: request.kind, key: viewKey(view), before, turn: "", turnKey: "" };
    active.run = new Run(request, link, { state: onState, wait: onWait, lost: onLost });
    app.showStatus(here ? `Running at λ ${lamText(view.lam)}.` : "Running the strip.");
    app.rail.drawLam();
    app.drawBar(); // the traces change with the first state, not yet
  }

  async function stop() {
    if (!active || active.stopping) return;
    active.stopping = true;
    app.redraw();
    if (!(await active.run.stop())) return;
    active = null;
    app.showStatus("Stopped before it began.");
    app.redraw();
  }

  // Ends the run for something else that takes its place. True if there was one.
  function leave() {
    if (!active) return false;
    active.run.leave();
    active = null;
    return true;
  }

  // The status line tells the place, and again only when it changes; the seconds run beside it.
  function onWait(turn) {
    active.turn = turn ? turnWords(turn) : "";
    const key = turn ? turn.what + placeWords(turn) : "";
    if (key !== active.turnKey) app.showStatus(turn ? waitSentence(turn, active.turn) : "");
    active.turnKey = key;
    app.drawBar();
  }

  function onLost(message) {
    const frames = active.run.begun ? endedFrames(strips.current().frames) : {};
    onState({ token: active.run.token, state: "failed", message, frames, sentence: "", bands: [] });
  }

  function onState(state) {
    const ended = state.state !== "running";
    const isFirst = !active.hasTokens && Object.values(state.frames).some((frame) => frame.tokens);
    if (isFirst) active.hasTokens = true;
    if (!ended && (state.waits || active.turnKey)) onWait(state.waits);
    if (!ended || !isEmpty(state)) showFrames(state);
    if (state.instead) strips.replace({ ...state.instead, key: viewKey(app.view.get()), source: state.instead.label });
    if (ended) finish(state);
    app.redrawSoon(isFirst || ended);
  }

  function showFrames(state) {
    const strip = stripAfter(active, state);
    if (active.kind === "here") strips.extend(strip);
    else strips.replace(strip);
  }

  function finish(state) {
    const duration = ((Date.now() - active.run.began) / 1000).toFixed(1);
    active = null;
    app.showStatus(endWords(state, duration), state.state === "failed" ? "error" : "");
    app.onRan(state.state === "done");
  }

  return {
    start,
    stop,
    leave,
    isRunning: () => Boolean(active),
    progress: () => active && { stopping: active.stopping, begun: active.run.begun, waits: active.turn },
    // A value of the component: events of Gradio bring states so.
    receive: (value) => active && value?.run && active.run.receive(gradioState(value)),
  };
}

function waitSentence(turn, words) {
  return `Waiting for ${turn.what === "slot" ? "a free place in the batch" : "a turn on the server"}: ${words}.`;
}
