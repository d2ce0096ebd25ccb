// A strip: the frames that were made for one view, and where they come from. No document.
//
// { token, frames: { id: frame }, sentence, bands, key, label?, view?, precomputed?, source?, mixed? }. `key` is the view that
// the strip was made for, as `viewKey` gives it; `source` names a strip from elsewhere, `mixed` one that has new frames since.

import { count, lamText, pairName, plural, seconds } from "../shared/format.js";
import { byLam, endedFrames, isPending } from "./frames.js";

const KEPT_FIELDS = ["id", "lam", "tokens", "state", "first", "verdict", "closed", "lenient", "truncated"];

// What a view looks at, and what stands beside its strip.
const BESIDE = ["lam", "pins", "lens", "branches", "probes", "schedule", "expected"];

// What the frames of a strip depend on, as text.
export function viewKey(view) {
  return JSON.stringify(
    Object.keys(view)
      .filter((key) => !BESIDE.includes(key))
      .sort()
      .map((key) => [key, view[key]]),
  );
}

// The view that a strip was made for, as far as it can be told.
export const viewOf = (strip) =>
  strip.key.startsWith("[") ? Object.fromEntries(JSON.parse(strip.key)) : strip.view || {};

export const isEmpty = (strip) => !Object.keys(strip.frames).length;

// The strip after a state of a run. `begun`: the run's { kind: "strip" or "here", key, before: the strip until then }.
export function stripAfter({ kind, key, before }, state) {
  const frames = Object.fromEntries(Object.entries(state.frames).map(([id, f]) => [id, { run: state.token, ...f }]));
  if (kind !== "here") return { token: state.token, key, sentence: state.sentence || "", bands: state.bands, frames };
  const strip = {
    token: before.token,
    key,
    sentence: state.sentence || before.sentence,
    bands: state.bands.length || state.state !== "running" ? state.bands : before.bands,
    frames: { ...before.frames, ...frames },
  };
  const origin = before.mixed || before.source || (before.precomputed && "Precomputed strip");
  return origin ? { ...strip, mixed: origin } : strip;
}

// The frames of a strip as the server needs them for one more: no texts, and the run that wrote each.
export const keptFrames = (strip) =>
  Object.values(strip.frames).map((frame) => ({
    ...Object.fromEntries(KEPT_FIELDS.map((field) => [field, frame[field]])),
    run: frame.run || strip.token,
  }));

// A strip that nothing writes to any more.
export const endedStrip = (strip) => ({ ...strip, frames: endedFrames(strip.frames) });

// Where the traces on the board come from, in words.
export function stripLabel(strip, view, { stale, running, pair }) {
  if (strip.source && strip.view.pair !== pair) {
    return `${strip.source} of the pair “${pairName(strip.view.pair)}”, which is not loaded`;
  }
  if (stale) return "These traces belong to other settings. Run to renew them.";
  if (strip.precomputed || strip.source) return strip.label;
  if (strip.mixed) return `${strip.mixed} with frames of your own`;
  if (isEmpty(strip)) return "";
  return running ? "Live" : `Your run · n = 1 per λ · T ${view.t} · seed ${view.seed}`;
}

// How far a run is, in words; `waits`: its place in a queue, or "".
export function progressWords(strip, { stopping, begun, waits }) {
  if (stopping) return "stopping…";
  if (!begun) return waits ? `waiting, ${waits}` : "waiting for the server…";
  const frames = byLam(strip.frames);
  const ended = endedCount(frames);
  const speed = frames.reduce((sum, frame) => sum + (frame.state === "running" ? frame.tps : 0), 0);
  const rate = speed ? ` · ${count(speed)} tokens/s` : "";
  return `${ended} of ${frames.length} λ${rate}` + (waits ? ` · waiting, ${waits}` : "");
}

const endedCount = (frames) => frames.filter((frame) => !isPending(frame)).length;

// What a run's last state says: how many traces in how many seconds, or why it ended.
export function endWords(state, duration) {
  const traces = plural(Object.keys(state.frames).length, "trace");
  const words = { done: `${traces} in ${duration} s.`, stopped: "Stopped. What was written so far is kept." };
  return (state.message || words[state.state] || "") + verifiedWords(state);
}

// Of a frame made from the tokens of its neighbour: how many of them the engine found to be this λ's too.
function verifiedWords({ verified, frames }) {
  const frame = verified && Object.values(frames)[0];
  if (!frame) return "";
  const all = verified.kept === frame.tokens;
  const kept = `${all ? "all" : "the first"} ${plural(verified.kept, "token")} of λ ${lamText(verified.lam)}`;
  const written = `${verified.kept === 1 ? "is" : "are"} written here too`;
  const parting = all ? "" : `; token ${count(verified.kept + 1)} is the first where λ matters`;
  return ` Verified in one pass: ${kept} ${written}${parting}.`;
}

// A turn ({ place, of, seconds }) in words: "place 2 of 5", and "about 7 s" where that is known.
export const placeWords = ({ place, of }) => (of > 1 ? `place ${count(place)} of ${count(of)}` : "next in turn");
export const turnWords = (turn) => placeWords(turn) + (turn.seconds === null ? "" : `, about ${seconds(turn.seconds)}`);
