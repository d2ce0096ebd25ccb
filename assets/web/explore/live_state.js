// A run's states from what travels: each event holds what changed since the one before (mi_explorer/ui/explore/live.py).

const EVENT_PREFIX = "data: ";

// The state after a delta: its `frames` hold changed fields, `more` the text appended to fields, both by frame.
export function applyDelta(state, { more = {}, ...delta }) {
  const frames = { ...state.frames };
  for (const [id, changed] of Object.entries(delta.frames || {})) frames[id] = { ...frames[id], ...changed };
  for (const [id, appended] of Object.entries(more)) {
    frames[id] = { ...frames[id] };
    for (const [field, text] of Object.entries(appended)) frames[id][field] += text;
  }
  return { ...delta, frames };
}

// The whole events at the beginning of a text of server-sent events, parsed, and the rest of the text.
export function splitEvents(text) {
  const events = text.split("\n\n");
  const rest = events.pop();
  return { events: events.map((event) => JSON.parse(event.slice(EVENT_PREFIX.length))), rest };
}

// A state as an event of Gradio brings it: texts by frame, and one JSON text for the rest.
export function gradioState({ run, ...texts }) {
  const state = JSON.parse(run);
  for (const [id, frame] of Object.entries(state.frames)) {
    frame.thought = texts.thought[id];
    frame.answer = texts.answer[id];
  }
  return state;
}
