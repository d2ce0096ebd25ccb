// Which parts of a trace's text are marked, and by what. Positions count UTF-16 units, as JavaScript's strings do. No document.

import { clamp, count, plural } from "../shared/format.js";
import { stepMarks } from "./steer_words.js";

const MOST_WORDS = 1200; // of each text that are compared: the table grows with their product

// Cuts `text` at the borders of `marks` ([start, end, class]) and `flags` ({ at }) into [string, classes, start].
export function cutText(text, marks, flags = []) {
  const borders = [0, text.length, ...marks.flatMap(([start, end]) => [start, end]), ...flags.map(({ at }) => at)];
  const cuts = [...new Set(borders.map((x) => clamp(x, 0, text.length)))].sort((a, b) => a - b);
  return cuts.slice(0, -1).map((start, i) => {
    const end = cuts[i + 1];
    const classes = marks.filter((mark) => mark[0] <= start && mark[1] >= end).map((mark) => mark[2]);
    return [text.slice(start, end), classes.join(" "), start];
  });
}

// The words of `text` that are not in `other`, by their longest common subsequence: [[start, end], …].
export function newWords(text, other) {
  const [a, b] = [wordsOf(text), wordsOf(other)];
  const common = commonLengths(a, b);
  const found = [];
  for (let i = 0, j = 0; i < a.length;) {
    if (j < b.length && a[i][0] === b[j][0]) {
      i++;
      j++;
    } else if (j < b.length && common[i][j + 1] > common[i + 1][j]) {
      j++;
    } else {
      found.push([a[i][1], a[i][1] + a[i][0].length]);
      i++;
    }
  }
  return found;
}

const wordsOf = (text) => [...text.matchAll(/\S+/g)].slice(0, MOST_WORDS).map((match) => [match[0], match.index]);

// Lengths of the longest common subsequences of a[i:] and b[j:], at [i][j].
function commonLengths(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const same = a[i][0] === b[j][0];
      table[i][j] = same ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}

// Where a text first differs from another: the length of their common prefix; null when they are the same.
export function firstDifference(text, other) {
  let i = 0;
  while (i < text.length && i < other.length && text[i] === other[i]) i++;
  return i === text.length && i === other.length ? null : i;
}

// The marks and flags of a part ("thought" or "answer") of a frame. A flag is a word that stands at a place:
// { at, class, text, title }. `lens`: { mode, against, flags }, where `against` is { text } of the trace to compare with and `flags`
// holds more of them by part.
export function partMarks(frame, part, lens) {
  const marks = [];
  const flags = [];
  if (lens.mode === "markers") {
    for (const [start, end, group] of frame.spots?.[part] || []) marks.push([start, end, `mi-mark mi-mark-${group}`]);
  }
  if (lens.against) {
    for (const [start, end] of newWords(frame[part], lens.against.text)) marks.push([start, end, "mi-new"]);
    const parting = partingFlag(frame, part, lens.against.text);
    if (parting) flags.push(parting);
  }
  const shared = sharedLength(frame, part);
  if (shared) marks.push([0, shared, "mi-shared"]);
  const steps = stepMarks(frame, part);
  marks.push(...steps.marks.map(([start, end, kind]) => [Math.max(start, shared), end, kind]));
  flags.push(...steps.flags);
  markFirstRight(frame, part, marks, flags);
  flags.push(...(lens.flags?.[part] || []));
  return { marks, flags };
}

// How many characters of a part of a branch another trace wrote.
export function sharedLength({ shared, thought }, part) {
  if (!shared?.tokens) return 0;
  if (shared.part === part) return shared.at;
  return part === "thought" ? thought.length : 0;
}

// Where λ begins to matter: by tokens where the server can tell (same prompt, decoding and seed), else by the text.
function partingFlag(frame, part, other) {
  const length = frame[part].length;
  if (frame.parted) {
    if (frame.parted.part !== part) return null;
    const at = Math.min(frame.parted.at, length);
    const text = `λ matters from token ${count(frame.parted.tokens + 1)}`;
    return { at, class: "mi-parted", text, title: sharedTokens(frame.parted.tokens) };
  }
  const offset = part === "thought" ? 0 : frame.thought.length + 1;
  const at = firstDifference(`${frame.thought}\n${frame.answer}`, other);
  if (!at || at < offset || at >= offset + length) return null;
  const title = "Compared as text: the server has no tokens of both traces under one prompt and seed";
  return { at: at - offset, class: "mi-parted", text: "text differs from here", title };
}

function sharedTokens(n) {
  const same = n
    ? `the first ${plural(n, "token")} ${n === 1 ? "is" : "are"} that of λ 0, token by token`
    : "already the first token is another than at λ 0";
  return `Same seed, same prompt: ${same}`;
}

function markFirstRight(frame, part, marks, flags) {
  const first = frame.verdict === "correct" ? frame.mark : null;
  if (!first) return;
  if (first.part === part) {
    marks.push([first.at, frame[part].length, "mi-after"]);
    const title = "Here the answer was right for the first time";
    if (frame.tokens > frame.first) flags.push({ at: first.at, class: "mi-first", text: "first right", title });
  } else if (part === "answer") {
    marks.push([0, frame[part].length, "mi-after"]);
  }
}
