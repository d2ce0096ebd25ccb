// Numbers as text, the same everywhere on the page.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const count = (n) => whole.format(n);
export const percent = (share) =>
  (share > 0 && share < 0.1 ? (100 * share).toFixed(1) : Math.round(100 * share)) + " %";
export const seconds = (s) => (s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`);
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// λ as text: at most four decimals, no trailing zeros; the same as the frame names of the server.
export const lamText = (lam) => String(roundLam(lam) + 0);
export const roundLam = (lam) => Math.round(lam * 1e4) / 1e4;

export function bytes(n) {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} GB`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} MB`;
  return `${Math.ceil(n / 1e3)} kB`;
}

// A pair's short name, as the server's: a preset's name, or the last part of each parent's path.
export const pairName = (spec) =>
  spec
    .split("?")[0]
    .split("|")
    .slice(0, 2)
    .map(
      (parent) =>
        parent
          .trim()
          .split(/[\\/]+/)
          .filter(Boolean)
          .pop() || parent,
    )
    .join(" | ");

// What somebody typed as a number: a comma counts as a point; NaN where it is none.
export function typedNumber(text) {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  return plain === "" ? NaN : Number(plain);
}
