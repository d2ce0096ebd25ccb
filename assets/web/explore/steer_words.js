// What was done to a response, read off its frame's `steps` (mi_explorer/ui/explore/board.py, change_steps). No document.

import { count, lamText, plural } from "../shared/format.js";

const PARTS = ["thought", "answer"];
const LONGEST_HINT = 4000; // characters; the server checks it again

// Which λ wrote which tokens: [{ lam, from, to }], in order.
export function writersOf(frame) {
  const begins = [{ lam: frame.lam, from: 0 }];
  for (const { lam, at } of frame.steps || []) if (lam !== null) begins.push({ lam, from: at });
  const writers = begins.map((writer, i) => ({ ...writer, to: begins[i + 1]?.from ?? frame.tokens }));
  return writers.filter(({ from, to }, i) => to > from || i === writers.length - 1);
}

// The λ that writes now.
export const lastLam = (frame) => writersOf(frame).at(-1).lam;

// Which λ wrote the character at a place of a part of the text.
export function lamAt(frame, part, at) {
  const isBefore = (step) => (step.part === part ? step.from <= at : PARTS.indexOf(step.part) < PARTS.indexOf(part));
  const before = (frame.steps || []).filter((step) => step.lam !== null && isBefore(step));
  return before.length ? before.at(-1).lam : frame.lam;
}

const FLAGS = {
  lam: ({ lam, at }) => ["mi-lam-flag", `λ ${lamText(lam)}`, `From token ${count(at + 1)} on λ ${lamText(lam)} wrote`],
  answer: ({ lam }) => ["mi-lam-flag", `λ ${lamText(lam)}`, "The λ of the answer"],
  hint: () => ["mi-hint-flag", "your hint", "Words that were put in by whoever steered"],
  stop: ({ at }) => ["mi-stop-flag", "thought stopped", `The thought was closed by hand after ${plural(at, "token")}`],
  budget: ({ at }) => ["mi-stop-flag", `budget of ${count(at)} reached`, "The thought was closed by its budget"],
};

// The marks and flags of a part of a steered frame, in the form of marks.js.
export function stepMarks(frame, part) {
  if (!frame.steps?.length) return { marks: [], flags: [] };
  const steps = frame.steps.filter((step) => step.part === part);
  const borders = [0, ...steps.filter(({ lam }) => lam !== null).map(({ from }) => from), frame[part].length];
  const marks = borders.slice(1).map((end, i) => [borders[i], end, "mi-wrote"]);
  for (const { cause, from, to } of steps) if (cause === "hint") marks.push([from, to, "mi-hinted"]);
  const flags = steps.map((step) => {
    const [kind, text, title] = FLAGS[step.cause](step);
    return { at: step.from, class: kind, text, title, lam: step.lam };
  });
  return { marks, flags };
}

const DONE = {
  hint: ({ at }) => `a hint at token ${count(at)}`,
  stop: ({ at }) => `the thought stopped at token ${count(at)}`,
  budget: ({ at }) => `the thought closed by its budget at token ${count(at)}`,
};

// What happened, as a sentence: "λ 1 wrote tokens 1–40, λ 0.8 from 41 on; a hint at token 95."
export function stepSentence(frame) {
  const writers = writersOf(frame).map(({ lam, from, to }, i, all) => {
    const where = i === all.length - 1 ? `from ${count(from + 1)} on` : `tokens ${count(from + 1)}–${count(to)}`;
    return `λ ${lamText(lam)} ${i ? "" : "wrote "}${where}`;
  });
  const done = (frame.steps || []).filter(({ cause }) => DONE[cause]).map((step) => DONE[step.cause](step));
  return `${writers.join(", ")}${done.length ? `; ${done.join(", ")}` : ""}.`;
}

// The same as a few words for the head of a pane; "" where nothing happened.
export function stepFact(frame) {
  const steps = frame.steps || [];
  const number = (cause) => steps.filter((step) => step.cause === cause).length;
  const words = [
    number("lam") ? `λ moved ${number("lam")}×` : "",
    number("hint") ? plural(number("hint"), "hint") : "",
    ...steps.filter(({ cause }) => cause === "stop").map(({ at }) => `thought stopped at ${count(at)}`),
    ...steps.filter(({ cause }) => cause === "budget").map(({ at }) => `budget of ${count(at)} reached`),
    ...steps.filter(({ cause }) => cause === "answer").map(({ lam }) => `answer at λ ${lamText(lam)}`),
  ];
  return words.filter(Boolean).join(", ");
}

// Whether a frame's thought is being written, so that it can be stopped.
export const isThinkingNow = (frame) =>
  ["running", "paused"].includes(frame.state) && Boolean(frame.thought) && !frame.closed && !frame.answer;

// What keeps a hint from being put in, in words; "": nothing.
export function hintProblem(text) {
  if (!text.trim()) return "The hint is empty. Write a few words that the thought goes on from.";
  return text.length > LONGEST_HINT
    ? `The hint has ${count(text.length)} characters; at most ${count(LONGEST_HINT)} are read. Shorten it.`
    : "";
}

// Whether a replay gave the same tokens, in words.
export function replayWords(replayed, frame) {
  if (!replayed) return "";
  const more = frame.tokens - replayed.tokens;
  if (replayed.equal && !more) return `Replayed: all ${plural(frame.tokens, "token")} are equal.`;
  if (replayed.equal)
    return `Replayed: the ${plural(replayed.tokens, "token")} are equal; ${count(more)} more came after them.`;
  const why = "Another machine, precision or version may round otherwise.";
  return `Replayed, but the tokens differ (${count(replayed.tokens)} were recorded, ${count(frame.tokens)} came). ${why}`;
}
