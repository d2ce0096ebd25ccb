// What probes of a trace say, in words and as places on its track. No document.
//
// A probe, as the server gives it (mi_explorer/ui/explore/probe_runs.py): { points: [{ token, answer, right, confidence, cut, place,
// free }], wanted: [tokens], sufficient, verbose, harmful, switches, tokens, right, scored, first, lam }. On the page it has a `state`
// ("running", "done", "stopped", "failed") and a `message` beside it.

import { clamp, count, lamText, percent, plural } from "../shared/format.js";

export const SIGNS = { right: "✓", wrong: "✗", none: "○", plain: "●" };
const WORDS = { right: "right", wrong: "wrong", none: "no answer", plain: "" };

// How a point stands: "right", "wrong", "none" without an answer, "plain" where no known answer tells right from wrong.
export function pointKind(point) {
  if (point.answer === null || point.cut) return "none";
  if (point.right === null) return "plain";
  return point.right ? "right" : "wrong";
}

// Where a point stands on the track: its place along the response and its height, both from 0 to 1.
export const pointPlace = (point, tokens) => ({
  x: clamp(point.token / Math.max(1, tokens), 0, 1),
  y: clamp(point.confidence ?? 0, 0, 1),
});

// A point in words, as its reader sees and hears it.
export function pointWords(point) {
  const kind = pointKind(point);
  const answer = point.answer === null ? "no answer" : `“${point.answer}”`;
  const cut = point.cut ? "cut off" : "";
  const verdict = kind === "right" || kind === "wrong" ? `${SIGNS[kind]} ${WORDS[kind]}` : "";
  const confidence = point.confidence === null ? "" : `confidence ${point.confidence.toFixed(2)}`;
  const said = [answer, verdict, cut, confidence, freeWords(point)].filter(Boolean).join(" · ");
  return `Stopped after token ${count(point.token)}: ${said}`;
}

// The continuations of a point beside its forced answer: "going on: 3 of 4 right".
function freeWords({ free }) {
  if (!free?.length) return "";
  return `going on: ${count(free.filter(Boolean).length)} of ${count(free.length)} right`;
}

// What all points say together: a few phrases, the most important first.
export function probeWords(probe) {
  if (!probe.points.length) return [];
  const switches = probe.switches ? `answer changes ${plural(probe.switches, "time")}` : "one answer throughout";
  if (!probe.scored) return [switches];
  return [sufficientWords(probe), disagreement(probe), harmWords(probe), switches, freeSummary(probe)].filter(Boolean);
}

function sufficientWords({ sufficient, verbose, right, harmful }) {
  if (sufficient !== null) return `sufficient at token ${count(sufficient)}, ${percent(verbose)} verbose`;
  if (right) return "no earlier stop is right and stays right";
  return harmful ? "" : "no stop gives the right answer";
}

function harmWords({ harmful, points }) {
  if (!harmful) return "";
  const last = points.filter((point) => point.right).at(-1);
  return `harmful: right when stopped after token ${count(last.token)}, wrong at the end`;
}

// Where the text and the model disagree on when the answer was there; "" where they agree, or one of them says nothing. Points lie
// apart: the text's place counts as the same one as that of the first point after it.
export function disagreement({ sufficient, first, points }) {
  if (sufficient === null || !first) return "";
  const next = points.find((point) => point.token >= first);
  if (sufficient === next?.token) return "";
  const side = sufficient < first ? "earlier" : "later";
  return `${plural(Math.abs(sufficient - first), "token")} ${side} than its text says (first right at ${count(first)})`;
}

// Forced and free side by side, over all points.
function freeSummary({ points }) {
  const drawn = points.filter((point) => point.free?.length);
  if (!drawn.length) return "";
  const forced = drawn.filter((point) => point.right).length / drawn.length;
  const all = drawn.flatMap((point) => point.free);
  return `forced right ${percent(forced)}, going on ${percent(all.filter(Boolean).length / all.length)}`;
}

// All that a probe says, phrase by phrase, for files: what the points say together, then each of them.
export function probeNotes(probe) {
  if (!probe?.points.length) return [];
  const all = [...probeWords(probe), settingWords(probe)].filter(Boolean);
  return [`probes: ${all.join(", ")}`, ...probe.points.map(pointWords)];
}

// How far a probe run is.
export function probeProgress({ points, wanted, state, waits, message }) {
  if (state === "running") return waits || (wanted ? `${points.length} of ${wanted.length} stops` : "probing…");
  if (state === "stopped") return "stopped";
  return state === "failed" ? message : "";
}

// With which settings a trace was probed, where they are not its own: "at λ 0.5".
export const settingWords = ({ lam }) => (lam === null || lam === undefined ? "" : `answers at λ ${lamText(lam)}`);

// The words that stand in the text: where stopping is sufficient, and the point that somebody picked. By part of the trace.
export function probeFlags(probe, picked) {
  const flags = { thought: [], answer: [] };
  if (!probe) return flags;
  const flag = (point, cls, text, title) =>
    flags[point.place.part].push({ at: point.place.at, class: cls, text, title });
  const enough = probe.state !== "running" && probe.points.find((point) => point.token === probe.sufficient);
  if (enough) flag(enough, "mi-sufficient", "sufficient here", "Stopped here or later, the model answers right");
  const shown = probe.points.find((point) => point.token === picked);
  if (shown) flag(shown, `mi-stop-here mi-stop-${pointKind(shown)}`, stopWords(shown), pointWords(shown));
  return flags;
}

function stopWords(point) {
  const answer = point.answer === null ? "no answer" : point.answer;
  return `stopped here: ${answer.length > 40 ? `${answer.slice(0, 39)}…` : answer}`;
}
