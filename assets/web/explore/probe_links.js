// Which traces were probed, and which branches there are, as short texts for the address. The server reads them, too
// (mi_explorer/ui/explore/branch_path.py). No document.

import { plural, roundLam } from "../shared/format.js";

const PROBE = /^(?:b([1-9]\d?)|([^/]{1,24}))\/(\d{1,3})(?:\/([^/]*)(?:\/(\d{1,2}))?)?$/;

// A probe as text: `target` is the λ of a trace, or { branch: its number from 1 }.
export function probeText(target, { points, lam, free }) {
  const where = typeof target === "object" ? `b${target.branch}` : String(roundLam(target));
  const at = lam === null || lam === undefined ? "" : String(lam);
  return `${where}/${points}${at || free ? `/${at}` : ""}${free ? `/${free}` : ""}`;
}

// The reverse: { at: λ or null, branch: number or null, points, lam: text, free }; null for another text.
export function probeOfText(text) {
  const match = PROBE.exec(text);
  if (!match) return null;
  const [, branch, at, points, lam, free] = match;
  const found = { at: at === undefined ? null : Number(at), branch: branch ? Number(branch) : null };
  return Number.isNaN(found.at) ? null : { ...found, points: Number(points), lam: lam || "", free: Number(free || 0) };
}

// A branch as text: its path, and the tokens that came of it once it has ended.
export const branchText = ({ path, frame }) => (frame?.check ? `${path}~${frame.check}` : path);

// The pane that a branch of a link came from, by its path: another branch, or the pane of the λ that wrote before it.
export function sourcePane(step, path, branches, { lam, pins }) {
  const cut = path.lastIndexOf(",");
  const parent = cut < 0 ? null : branches.find((branch) => branch.path === path.slice(0, cut));
  if (parent) return parent.id;
  if (step.from === 0) return "instruct";
  if (step.from === 1) return "thinking";
  if (pins.includes(step.from)) return `pin${step.from}`;
  return step.from === lam ? "blend" : null;
}

// What a link holds, in words: "2 branches and probes of 1 trace".
export function offerWords({ branches, probes }) {
  const parts = [];
  if (branches.length) parts.push(branches.length === 1 ? "1 branch" : `${branches.length} branches`);
  if (probes.length) parts.push(`probes of ${plural(probes.length, "trace")}`);
  return parts.join(" and ");
}
