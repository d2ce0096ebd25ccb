// What a card of the gallery says about download, memory and fit. No document.

import { bytes } from "../shared/format.js";

const about = ({ exact }) => (exact ? "" : "about ");
const short = (n) => (n < 1e8 ? bytes(n) : `${(n / 1e9).toFixed(n < 1e10 ? 1 : 0)} GB`);

export function downloadWords({ download, shipped }) {
  if (download === 0) return shipped ? "none, it is here" : "none, it was fetched before";
  return download ? `about ${short(download)}` : "unknown";
}

export function memoryWords(card) {
  if (!card.needs) return "unknown";
  const { folded, rowwise } = card.needs;
  return `${about(card)}${short(folded)}; ${short(rowwise)} for every λ at once`;
}

// Whether a pair fits: { kind: "yes", "slow", "no" or "", sign, text }.
export function fitWords({ fits, needs, usable }) {
  if (fits === "rowwise") return { kind: "yes", sign: "✓", text: "Fits this machine, every λ at once" };
  if (fits === "folded") return { kind: "slow", sign: "✓", text: "Fits this machine, one λ after the other" };
  if (fits === "no")
    return { kind: "no", sign: "✗", text: `Needs ${short(needs.folded)}; ${short(usable)} may be used here` };
  return { kind: "", sign: "", text: "" };
}
