// Frames: the traces of a strip, one for each λ. What is said of one, and which one a λ shows. No document.

import { count, plural } from "../shared/format.js";

const VERDICTS = {
  correct: { sign: "✓", word: "correct", kind: "right" },
  wrong: { sign: "✗", word: "wrong", kind: "wrong" },
  no_answer: { sign: "○", word: "no answer", kind: "none" },
};

export const isPending = (frame) => ["queued", "running", "paused"].includes(frame.state);

// Whether a frame's thought can be stopped at earlier places: it has ended, and has one.
export const mayProbe = (frame) =>
  ["done", "cancelled"].includes(frame.state) && frame.tokens > 0 && Boolean(frame.thought);

// How a frame stands: a sign and a word for its reader, and a kind for its colour. What was cut off is not called wrong.
export function verdictOf(frame) {
  if (frame.state === "queued") return { sign: "", word: "waiting", kind: "quiet" };
  if (frame.state === "running") return { sign: "", word: isThinking(frame) ? "thinking" : "answering", kind: "live" };
  if (frame.state === "paused") return { sign: "❚❚", word: "paused", kind: "quiet" };
  if (frame.state === "failed") return { sign: "!", word: "failed", kind: "wrong" };
  if (frame.truncated)
    return { sign: "○", word: frame.finish === "memory" ? "cut by memory" : "cut at the limit", kind: "none" };
  if (frame.state === "cancelled") return { sign: "◼", word: "stopped", kind: "quiet" };
  return VERDICTS[frame.verdict] || { sign: "", word: "", kind: "quiet" };
}

const isThinking = (frame) => Boolean(frame.thought) && !frame.lenient;

export const hasFirstRight = (frame) => frame.first !== null && frame.first !== undefined;

// Share of the tokens that come after the answer was first right; null where that has no meaning.
export function shareAfterFirst(frame) {
  if (!hasFirstRight(frame) || frame.verdict !== "correct" || !frame.tokens) return null;
  return (frame.tokens - frame.first) / frame.tokens;
}

export const sameLam = (a, b) => Math.abs(a - b) < 1e-9;

export const byLam = (frames) => Object.values(frames).sort((a, b) => a.lam - b.lam);

// The frame nearest to a λ, at a tie the one of the smaller λ; null when there is none.
export function nearestFrame(frames, lam) {
  let nearest = null;
  for (const frame of frames) {
    if (!nearest || Math.abs(frame.lam - lam) < Math.abs(nearest.lam - lam) - 1e-9) nearest = frame;
  }
  return nearest;
}

// Frames of a run that will send nothing more: what was still being written is stopped.
export function endedFrames(frames) {
  const ended = (frame) => (isPending(frame) ? { ...frame, state: "cancelled" } : frame);
  return Object.fromEntries(Object.entries(frames).map(([id, frame]) => [id, ended(frame)]));
}

// The counts of a frame as the head of a pane shows them.
export function frameFacts(frame) {
  const answer = Math.max(0, frame.tokens - frame.think);
  const reflections = Object.values(frame.markers || {}).reduce((a, b) => a + b, 0);
  return {
    tokens: plural(frame.tokens, "token"),
    split: frame.tokens ? `${count(frame.think)} thought + ${count(answer)} answer` : "",
    speed: frame.state === "running" && frame.tps ? `${count(frame.tps)}/s` : "",
    reflect: reflections ? plural(reflections, "reflection") : "",
    loops: frame.looped ? "repeats itself" : "",
  };
}

const EMPTY_NOTES = {
  queued: "Waiting for a place in the batch…",
  running: "Reading the question…",
  cancelled: "Stopped before the first token.",
  done: "The model ended at once, without a word.",
};

// What is said in place of a trace, or below it: the message of the server, or why there is no text; "" for nothing.
export function frameNote(frame) {
  if (frame.message) return frame.message;
  return frame.thought || frame.answer ? "" : EMPTY_NOTES[frame.state] || "";
}
