// A run as one answer of the server that streams: server-sent events, each a delta (live_state.js).

import { newToken } from "../shared/server.js";
import { applyDelta, splitEvents } from "./live_state.js";

export const TAB = newToken(); // this tab, for limits by visitor, and to steer its own runs
const LONGEST_MESSAGE = 500; // characters of a refusal that are shown

// Asks for a run. `onState` gets whole states; `onEnd` gets the words of a refusal, or "", when the answer ends.
// Returns a function that hangs up.
export function openStream(address, request, { onState, onEnd }) {
  const control = new AbortController();
  readStates(address, request, control.signal, onState).then(onEnd, () => onEnd(""));
  return () => control.abort();
}

async function readStates(address, request, signal, onState) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ ...request, tab: TAB });
  const answer = await fetch(address, { method: "POST", headers, body, signal });
  if (!answer.ok) return (await answer.text()).slice(0, LONGEST_MESSAGE);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let state = { frames: {} };
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return "";
    const { events, rest } = splitEvents(unread + decoder.decode(value, { stream: true }));
    unread = rest;
    for (const delta of events) {
      state = applyDelta(state, delta);
      try {
        onState(state);
      } catch (error) {
        reportError(error); // a fault of ours in drawing must not look like the end of the answer
      }
    }
  }
}
