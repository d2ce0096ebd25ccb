// What a page tells its server about a run of its own: λ moved, a hint, the thought stopped, pause and resume.

import { NO_ANSWER, serverAddress } from "../shared/server.js";
import { TAB } from "./run_stream.js";

const LONGEST_MESSAGE = 500; // characters of a refusal that are shown

// `path` of the server's route ("": runs cannot be steered). `act(token, id, what)` resolves to "", or to why it was not done.
export function steeringOf(path) {
  async function act(token, id, what) {
    const body = JSON.stringify({ token, id, tab: TAB, ...what });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(serverAddress(path), { method: "POST", headers, body }).catch(() => null);
    if (!answer) return NO_ANSWER;
    return answer.ok ? "" : (await answer.text()).slice(0, LONGEST_MESSAGE) || NO_ANSWER;
  }
  return { isThere: Boolean(path), act };
}

// Sends the newest of many values, one request at a time: `send(value)` returns a promise.
export function newestOnly(send) {
  let waiting = null; // { value }
  let isSending = false;
  async function push(value) {
    waiting = { value };
    if (isSending) return;
    isSending = true;
    while (waiting) {
      const { value: next } = waiting;
      waiting = null;
      await send(next);
    }
    isSending = false;
  }
  return push;
}
