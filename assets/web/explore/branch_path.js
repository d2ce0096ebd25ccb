// The path of a branch as text: the λ that the first trace began with, and the schedule that leads to it, "1~120:0.5,200:0.2". The
// server reads it (mi_explorer/ui/explore/branches.py). No document.

import { count, lamText } from "../shared/format.js";

// The path of a branch of a trace: `source` is { lam, schedule } of a frame (λ at its beginning; what was done to it as text) or
// { path } of a branch. It goes on after `at` tokens at `lam`.
export function branchPath(source, at, lam) {
  const [first, steps] = source.path ? splitPath(source.path) : [String(source.lam), stepsOf(source.schedule || "")];
  const before = steps.filter(([token]) => token < at);
  return `${first}~${[...before, [at, String(lam)]].map(([token, what]) => `${token}:${what}`).join(",")}`;
}

const stepsOf = (text) =>
  text
    .split(",")
    .filter(Boolean)
    .map((step) => [parseInt(step, 10), step.slice(step.indexOf(":") + 1)]);

export const CHECK = /~\d{1,7}-[0-9a-f]{12}$/;

// [λ at the beginning, steps] of a path; what it says of the tokens that came of it is left out.
function splitPath(path) {
  const plain = path.replace(CHECK, "");
  const at = plain.indexOf("~");
  if (at < 0) return [plain, []];
  return [plain.slice(0, at), stepsOf(plain.slice(at + 1))];
}

// What a path says of its last step: { from: λ before it, at, lam }; null where it is no path.
export function lastStep(path) {
  const [first, steps] = splitPath(path);
  if (!steps.length || Number.isNaN(Number(first))) return null;
  const [at, what] = steps.at(-1);
  const before = [first, ...steps.slice(0, -1).map(([, x]) => x)].map(Number).filter((x) => !Number.isNaN(x));
  return Number.isNaN(Number(what)) ? null : { from: before.at(-1), at, lam: Number(what) };
}

// The lineage of a branch in a few words, and in full: "λ 1 until token 30, λ 0.5 until token 45, then λ 0.9".
export const lineageWords = ({ from, at }) => `from λ ${lamText(from)} at token ${count(at)}`;

export function wholeLineage(path) {
  const [first, steps] = splitPath(path);
  const changes = steps.filter(([, what]) => !Number.isNaN(Number(what)));
  const parts = changes.map(
    ([at], i) => `λ ${lamText(Number(i ? changes[i - 1][1] : first))} until token ${count(at)}`,
  );
  return `${parts.join(", ")}, then λ ${lamText(Number(changes.at(-1)[1]))}`;
}

// Panes in their order, with branches beside what they came from. `specs`: panes without them; a branch knows its `source` pane.
export function withBranches(specs, branches) {
  const all = [...specs];
  for (const branch of branches) {
    const kin = all.findLastIndex((spec) => spec.id === branch.source || spec.branch?.source === branch.source);
    const spec = { id: branch.id, name: "Branch", lam: branch.lam, removable: true, branch };
    all.splice(kin < 0 ? all.length : kin + 1, 0, spec);
  }
  return all;
}
