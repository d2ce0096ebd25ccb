// A run as one answer of the server: server-sent events, each with what changed since the one before (mi_explorer/ui/explore/live.py).
"use strict";
// Asks for a run; `hear` gets its whole states, `gone` words (or none) when the answer ends, `leave` hangs up.
MI.live = function (address, request, hear, gone) {
  const control = new AbortController();
  let state = { frames: {} };
  function take(piece) {
    const frames = { ...state.frames };
    for (const [id, changed] of Object.entries(piece.frames || {})) frames[id] = { ...frames[id], ...changed };
    for (const [id, more] of Object.entries(piece.more || {})) {
      frames[id] = { ...frames[id] };
      for (const [part, text] of Object.entries(more)) frames[id][part] += text;
    }
    state = { ...piece, frames };
    hear(state);
  }
  async function read() {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal: control.signal });
    if (!answer.ok) return (await answer.text()).slice(0, 500);
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "";
      const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = events.pop();
      for (const event of events) take(JSON.parse(event.slice("data: ".length)));
    }
  }
  read().then(gone, () => gone(""));
  return { leave: () => control.abort() };
};
MI.visitor = MI.token(); // this tab, for limits by visitor
