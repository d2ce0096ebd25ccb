// A trace of the page as a value for a file. No document.

const TRACE = [
  "lam",
  "state",
  "verdict",
  "tokens",
  "think",
  "first",
  "truncated",
  "finish",
  "schedule",
  "check",
  "thought",
  "answer",
];
const PROBE = ["state", "lam", "asked", "sufficient", "verbose", "harmful", "switches", "first", "right"];
const BESIDE = ["lam", "pins", "lens", "branches", "probes", "schedule", "expected"]; // of a view, what this trace does not depend on

const part = (value, keys) =>
  Object.fromEntries(keys.filter((key) => value[key] !== undefined).map((key) => [key, value[key]]));

// `view`: what the trace was made for; `path`: of a branch; `probe`: what was asked of it, if anything.
export function traceFile(frame, view, path, probe) {
  const settings = Object.fromEntries(Object.entries(view).filter(([key]) => !BESIDE.includes(key)));
  const found = { ...settings, ...part(frame, TRACE) };
  if (path) found.branch = path;
  if (frame.shared) found.shared = frame.shared.tokens;
  if (probe?.points.length) {
    const points = probe.points.map(({ place: _place, ...point }) => point);
    found.probes = { ...part(probe, PROBE), points };
  }
  return found;
}
