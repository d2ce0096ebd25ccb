// What is said of a sweep, and when curves are drawn anew for it. No document.

import { count, plural, seconds } from "../shared/format.js";

const STATE_WORDS = {
  running: "running",
  paused: "paused",
  stopped: "stopped",
  done: "done",
  failed: "broke off",
  unfinished: "not complete",
};
const SHORTEST_REFRESH_MS = 2000;

// A run by name: a study may be swept and probed.
export const runName = ({ kind, study }) => (kind === "probes" ? `probes of ${study}` : study);

export function progressWords(sweep) {
  if (sweep.state === "running" && !sweep.total) return "loading the pair";
  const samples = `${count(sweep.done)} of ${plural(sweep.total, "sample")}`;
  const cells = sweep.cells_done === null ? "" : `${sweep.cells_done} of ${plural(sweep.cells, "cell")} done`;
  const rate = sweep.state === "running" && sweep.rate ? `${count(sweep.rate)} tokens/s` : "";
  return [STATE_WORDS[sweep.state], samples, cells, rate, timeWords(sweep)].filter(Boolean).join(" · ");
}

function timeWords({ state, eta, seconds: took }) {
  if (state === "running" && eta !== null) return `about ${seconds(eta)} left`;
  return state === "done" ? `in ${seconds(took)}` : "";
}

// What of a sweep the curves depend on, as text.
export const progressKey = ({ state, done, total }) => `${state} ${done} ${total}`;

// Whether curves are drawn anew now. `news`: the shown sweeps that went on. An end is shown at once; else drawing takes no
// more than a quarter of the time.
export function mayRefresh(news, sinceMs, tookMs) {
  if (!news.length) return false;
  return news.some(({ state }) => state !== "running") || sinceMs >= Math.max(SHORTEST_REFRESH_MS, 3 * tookMs);
}
