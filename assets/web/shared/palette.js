// One colour per λ: the scale is the server's, so that page, figures and files show the same.

let lamScale = [];

// `scale`: colours from λ 0 to λ 1, evenly spaced, each [red, green, blue].
export function setLamScale(scale) {
  lamScale = scale;
}

// The colour of a λ by straight lines between the colours of the scale; clamped outside of 0 to 1.
export function lamColour(lam, scale = lamScale) {
  const at = Math.min(1, Math.max(0, lam)) * (scale.length - 1);
  const left = Math.min(Math.floor(at), scale.length - 2);
  const mixed = scale[left].map((channel, i) => Math.round(channel + (scale[left + 1][i] - channel) * (at - left)));
  return `rgb(${mixed.join(" ")})`;
}

export const lamGradient = (scale = lamScale) =>
  `linear-gradient(to right, ${scale.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
