// Painted text: marks laid over a trace as spans of text nodes. Where marks overlap, the text is cut at every border.
"use strict";

// Cuts `text` at the borders of `marks` ([start, end, class]) and at `flags` ([at, …]) into [string, classes, start]. Pure.
MI.pieces = function (text, marks, flags = []) {
  const cuts = new Set([0, text.length]), clamp = (x) => MI.clamp(x, 0, text.length);
  for (const [start, end] of marks) cuts.add(clamp(start)).add(clamp(end));
  for (const [at] of flags) cuts.add(clamp(at));
  const at = [...cuts].sort((a, b) => a - b), out = [];
  for (let i = 0; i + 1 < at.length; i++) {
    const cls = marks.filter(([s, e]) => s <= at[i] && e >= at[i + 1]).map((m) => m[2]);
    out.push([text.slice(at[i], at[i + 1]), cls.join(" "), at[i]]);
  }
  return out;
};

// Words of `text` that are not in `other`, by the longest common subsequence over words: [[start, end]…]. Long texts are cut.
MI.diff = function (text, other, most = 1200) {
  const words = (s) => [...s.matchAll(/\S+/g)].slice(0, most).map((m) => [m[0], m.index]);
  const a = words(text), b = words(other), n = a.length, m = b.length;
  const table = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--) table[i][j] = a[i][0] === b[j][0] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const out = [];
  for (let i = 0, j = 0; i < n; ) {
    if (j < m && a[i][0] === b[j][0]) i++, j++;
    else if (j < m && table[i][j + 1] > table[i + 1][j]) j++;
    else out.push([a[i][1], a[i][1] + a[i][0].length]), i++;
  }
  return out;
};

// Where a text first differs from another: the length of their common prefix, or null when neither goes on alone. Pure.
MI.parting = function (text, other) {
  let i = 0;
  while (i < text.length && i < other.length && text[i] === other[i]) i++;
  return i === text.length && i === other.length ? null : i;
};

MI.paint = function (thoughtText, answerText, frame, lens) {
  // Where λ begins to matter: by the tokens where the server could tell (same prompt, decoding and seed), else by the text.
  const exact = lens.against && frame.parted;
  const parted = lens.against && !exact ? MI.parting(frame.thought + "\n" + frame.answer, lens.against.text) : null;
  for (const [node, part, offset] of [[thoughtText, "thought", 0], [answerText, "answer", frame.thought.length + 1]]) {
    const text = frame[part], marks = [], flags = [];
    if (lens.scores && (lens.mode === "writer" || lens.mode === "entropy")) {
      node.replaceChildren(...MI.tokens(lens.scores, part, lens));
      continue;
    }
    if (lens.mode === "markers") for (const [start, end, group] of (frame.spots || {})[part] || []) marks.push([start, end, "mi-mark mi-mark-" + group]);
    if (lens.against) {
      for (const [start, end] of MI.diff(text, lens.against.text)) marks.push([start, end, "mi-new"]);
      if (exact && exact.part === part) flags.push([Math.min(exact.at, text.length), "mi-parted", `λ matters from token ${MI.count(exact.tokens + 1)}`, `Same seed, same prompt: ${exact.tokens ? `the first ${MI.plural(exact.tokens, "token")} ${exact.tokens === 1 ? "is" : "are"} that of λ 0, token by token` : "already the first token is another than at λ 0"}`]);
      if (parted !== null && parted > 0 && parted >= offset && parted < offset + text.length) flags.push([parted - offset, "mi-parted", "text differs from here", "Compared as text: the server has no tokens of both traces under one prompt and seed"]);
    }
    const mark = frame.verdict === "correct" ? frame.mark : null;
    if (mark && mark.part === part) {
      marks.push([mark.at, text.length, "mi-after"]);
      if (frame.tokens > frame.first) flags.push([mark.at, "mi-first", "first right", "Here the answer was right for the first time"]);
    } else if (mark && part === "answer") marks.push([0, text.length, "mi-after"]);
    const flag = ([, cls, words, title]) => MI.h("span", { class: "mi-flag " + cls, title }, words);
    const nodes = MI.pieces(text, marks, flags).flatMap(([piece, cls, start]) => [...flags.filter((f) => f[0] === start).map(flag), cls ? MI.h("span", { class: cls }, piece) : piece]);
    node.replaceChildren(...nodes, ...flags.filter((f) => f[0] >= text.length).map(flag));
  }
};

// Scored tokens as buttons-by-delegation: spans with data-t, coloured by who wrote them or by entropy.
MI.tokens = function (scores, part, lens) {
  const out = [];
  scores.tokens.forEach(([text, where, llr, entropy], i) => {
    if (where !== part) return;
    const strength = lens.mode === "writer" ? MI.clamp(Math.abs(llr) / 5, 0, 1) : MI.clamp(entropy / 2.5, 0, 1);
    const cls = "mi-tok " + (lens.mode === "writer" ? (llr > 0 ? "mi-tok-thinking" : "mi-tok-instruct") : "mi-tok-entropy");
    out.push(MI.h("span", { class: cls, "data-t": String(i), style: { "--s": strength.toFixed(3) } }, out.length ? text : text.trimStart()));
  });
  return out;
};
