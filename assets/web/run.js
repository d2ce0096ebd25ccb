// A run as the page hears of it: asked for once, then its states, its place while it waits, and the last word when nothing comes any more.
// It comes as one answer that streams (live.js), or as events of Gradio where a Space lends its GPU for those.
"use strict";
MI.LOST = {
  silent: "The server does not answer any more. What was written so far is kept.",
  mute: "The run ended without a word. What was written so far is kept.",
};
MI.runs = function (setup, { trigger, server }) {
  let evented = null; // the run that Gradio's events are of

  // Begins a run. Who listens hears: hear(state), wait(its place in line, null when that is not known), lose(words). Nothing comes after the end.
  function open(request) {
    const { token } = request, began = Date.now(), timer = setInterval(look, 1000);
    let heard = began, seen = false, over = false, told = null;
    const run = { token, seen: () => seen, listen: (to) => (told = to), hear, leave, stop };
    const answer = setup.live ? MI.live(MI.root() + setup.live, { ...request, tab: MI.visitor }, hear, gone) : null;
    if (!answer) (evented = run), trigger("run", request);

    function hear(state) {
      if (over || state.token !== token) return;
      heard = Date.now();
      if (state.state === "waiting") return told.wait(state.waits); // for its turn
      seen = true;
      if (state.state !== "running") end();
      told.hear(state);
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
      told.lose(words);
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
      if (!over) lose(words || ((await lives()) === null ? MI.LOST.silent : MI.LOST.mute));
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
        if (!seen) told.wait(stands);
      }
      if (Date.now() - heard < 8000) return;
      const alive = await lives();
      if (over) return;
      if (alive) return void (heard = Date.now());
      if (alive === false && Date.now() - heard < 20000 && !seen) return; // it waits for its turn
      lose(alive === null ? MI.LOST.silent : MI.LOST.mute);
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
  return { open, event };
};
