// The λ axis and what hangs on it: spans, places, steps, ticks, values between measured points. No document.

import { sameLam } from "./frames.js";

// The span of λ that the rail shows: 0 to 1, wider when something lies outside.
export const lamSpan = (lams) => [Math.min(0, ...lams), Math.max(1, ...lams)];

// The place of a λ on the rail as a CSS length; the same for everything that hangs on the axis.
export const lamPlace = (lam, span) =>
  `calc(var(--inset) + ${shareOf(lam, span).toFixed(5)} * (100% - 2 * var(--inset)))`;

export const shareOf = (lam, [low, high]) => (lam - low) / (high - low);

// The next λ from `lam` in a direction (1 or -1), or null: from frame to frame, or by tenths where there are none.
export function nextStep(lam, direction, frames) {
  const steps = frames.length > 1 ? frames.map((frame) => frame.lam) : Array.from({ length: 11 }, (_, i) => i / 10);
  const ahead = steps.filter((x) => direction * (x - lam) > 1e-9);
  if (!ahead.length) return null;
  return direction > 0 ? Math.min(...ahead) : Math.max(...ahead);
}

// The tenths within a span.
export function tenths([low, high]) {
  const first = Math.ceil(low * 10 - 1e-9);
  const last = Math.floor(high * 10 + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) / 10);
}

const ROUND_TOPS = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];

// The upper end of a linear axis: a round number at or above `most`.
export function niceTop(most) {
  if (most <= 10) return 10;
  const power = 10 ** Math.floor(Math.log10(most));
  return ROUND_TOPS.find((top) => top * power >= most) * power;
}

// A value at λ between the measured points, by straight lines; null outside of them.
export function valueAt(points, key, lam) {
  for (let i = 0; i < points.length; i++) {
    const [left, right] = [points[i], points[i + 1]];
    if (sameLam(left.lam, lam)) return left[key];
    const within = right && lam > left.lam && lam < right.lam && left[key] !== null && right[key] !== null;
    if (within) return left[key] + (right[key] - left[key]) * shareOf(lam, [left.lam, right.lam]);
  }
  return null;
}
