// Layers and modules of a scope as text. No document.

const MODULE_WORDS = { mlp: "MLP", norm: "norms", lm_head: "LM head" };

export const moduleWord = (module) => MODULE_WORDS[module] || module;

// Layer numbers as text: [0, 1, 2, 5] of 6 → "0-2,5"; all of them → "all"; none → "none".
export function layersText(numbers, layers) {
  if (numbers.length === layers) return "all";
  if (!numbers.length) return "none";
  const spans = [];
  for (const i of [...numbers].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    if (last && i <= last[1] + 1) last[1] = i;
    else spans.push([i, i]);
  }
  return spans.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

// The reverse, of text as somebody types it; null when it cannot be meant.
export function layersOf(text, layers) {
  const plain = text.trim().toLowerCase();
  if (plain === "all" || plain === "*") return Array.from({ length: layers }, (_, i) => i);
  if (plain === "none" || plain === "") return [];
  const numbers = new Set();
  for (const part of plain.split(",").filter((part) => part.trim())) {
    const match = part.trim().match(/^(\d{1,4})(?:\s*-\s*(\d{1,4}))?$/);
    if (!match) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last >= layers) return null;
    for (let i = first; i <= last; i++) numbers.add(i);
  }
  return [...numbers].sort((a, b) => a - b);
}

// A scope in words; `present`: the modules that the pair has.
export function scopeWords({ layers, modules }, present) {
  const where = { all: "all layers", none: "no layer" }[layers] || `layers ${layers.replaceAll(",", ", ")}`;
  const missing = present.filter((module) => !modules.includes(module));
  if (!missing.length) return where;
  if (missing.length <= 2) return `${where}, without ${missing.map(moduleWord).join(", ")}`;
  const left = present.filter((module) => modules.includes(module));
  return `${where}, ${left.map(moduleWord).join(", ") || "no module"}`;
}
