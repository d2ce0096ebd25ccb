// A run as the page hears of it: asked for once, then its states, its place while it waits, and the last word when nothing comes any more.
// It comes as one answer that streams (live.js), or as events of Gradio where a Space lends its GPU for those.
"use strict";
// A press on a button begins its run, and the click, about a tenth of a second later, takes it over.
MI.pressed = function (button, act) {
  button.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    if (e.pointerType === "mouse" && document.activeElement !== button) document.activeElement.blur(); // as the press is about to do: what is being typed counts. Under a finger the keyboard would fold away, and the button move
    act(button);
  });
};
const HELD = 2000; // milliseconds that a press may wait for its click; its run ends then
MI.runs = function (setup, { trigger, server }) {
  const SILENT = "The server does not answer any more. What was written so far is kept.", MUTE = "The run ended without a word. What was written so far is kept.";
  let evented = null; // the run that Gradio's events are of
  let early = null; // what a press has begun: { button, run, asked, timer }

  // Begins a run. Who listens hears: hear(state), wait(its place in line, null when that is not known), lose(words). Nothing comes after the end;
  // who listens later hears the last of each, which is all of it.
  function open(request) {
    const { token } = request, began = Date.now(), timer = setInterval(look, 1000);
    let heard = began, seen = false, over = false, told = null;
    const missed = {}; // what came before somebody listened
    const run = { token, began, seen: () => seen, listen, hear, leave, stop };
    const answer = setup.live ? MI.live(MI.root() + setup.live, { ...request, tab: MI.visitor }, hear, gone) : null;
    if (!answer) (evented = run), trigger("run", request);

    const tell = (what, value) => (told ? told[what](value) : (missed[what] = value));
    function listen(to) {
      told = to;
      for (const what of ["wait", "hear", "lose"]) if (what in missed) told[what](missed[what]);
    }
    function hear(state) {
      if (over || state.token !== token) return;
      heard = Date.now();
      if (state.state === "waiting") return tell("wait", state.waits); // for its turn
      seen = true;
      if (state.state !== "running") end();
      tell("hear", state);
    }
    function end() {
      over = true;
      clearInterval(timer);
    }
    // Ends it for this page; the server ends it when it notices.
    function leave() {
      if (over) return;
      end();
      answer ? answer.leave() : server.stop(token).catch(() => false);
    }
    function lose(words) {
      if (over) return;
      leave();
      tell("lose", words);
    }
    // Asks the server to end it, which its last state then tells. True if there will be none: it had not begun.
    async function stop() {
      const known = await server.stop(token).catch(() => false);
      if (known || over || seen) return false;
      end(); // the server has noted that nobody wants it any more
      if (answer) answer.leave();
      return true;
    }
    // The answer has ended: after the run, or without it.
    async function gone(words) {
      if (!over) lose(words || ((await lives()) === null ? SILENT : MUTE));
    }
    // Whether the server still runs it; null where it does not answer (Gradio then answers undefined).
    async function lives() {
      const known = await server.alive(token).catch(() => null);
      return typeof known === "boolean" ? known : null;
    }
    // The server gives signs of life; when they end, the run has ended too.
    async function look() {
      if (!answer && !seen && Date.now() - began > 1200) {
        const stands = await server.line(token).catch(() => null); // in Gradio's queue
        if (over) return;
        if (stands) heard = Date.now();
        if (!seen) tell("wait", stands);
      }
      if (Date.now() - heard < 8000) return;
      const alive = await lives();
      if (over) return;
      if (alive) return void (heard = Date.now());
      if (alive === false && Date.now() - heard < 20000 && !seen) return; // it waits for its turn
      lose(alive === null ? SILENT : MUTE);
    }
    return run;
  }

  // What an event of Gradio brings: texts by frame and one text for the rest (page.py), put together again.
  function event(value) {
    if (!evented || !value || !value.run) return;
    const state = JSON.parse(value.run);
    for (const [id, f] of Object.entries(state.frames)) (f.thought = value.thought[id]), (f.answer = value.answer[id]);
    evented.hear(state);
  }
  // Begins a run that is not wanted yet, of a press on `button`. Not as an event of Gradio's, which would take of a visitor's share of the GPU.
  function press(request, button) {
    drop();
    if (setup.live) early = { button, run: open(request), asked: asked(request), timer: setTimeout(drop, HELD) };
  }
  function drop() {
    if (early) clearTimeout(early.timer), early.run.leave();
    early = null;
  }
  // The run of a request: the one that the press began, unless that asked for something else.
  function begin(request) {
    const held = early && early.asked === asked(request) ? early : null;
    if (!held) return drop(), open(request);
    clearTimeout(held.timer);
    early = null;
    return held.run;
  }
  const asked = ({ token, ...rest }) => JSON.stringify(rest);
  addEventListener("pointerup", (e) => early && !early.button.contains(e.target) && drop(), true); // moved off; on the button a click follows
  addEventListener("pointercancel", drop, true); // a finger that scrolls
  return { press, begin, event };
};
