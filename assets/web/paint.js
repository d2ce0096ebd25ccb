// Painted text: marks laid over a trace as spans of text nodes. Where marks overlap, the text is cut at every border.
"use strict";

// Cuts `text` at the borders of `marks` ([start, end, class, title]) into [string, classes] pieces. Pure.
MI.pieces = function (text, marks) {
  const cuts = new Set([0, text.length]);
  for (const [start, end] of marks) cuts.add(MI.clamp(start, 0, text.length)).add(MI.clamp(end, 0, text.length));
  const at = [...cuts].sort((a, b) => a - b), out = [];
  const open = [...marks].sort((a, b) => a[0] - b[0]);
  for (let i = 0; i + 1 < at.length; i++) {
    const cls = open.filter(([s, e]) => s <= at[i] && e >= at[i + 1]).map((m) => m[2]);
    out.push([text.slice(at[i], at[i + 1]), cls.join(" ")]);
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

MI.paint = function (thoughtText, answerText, frame, lens) {
  for (const [node, part] of [[thoughtText, "thought"], [answerText, "answer"]]) {
    const text = frame[part];
    if (lens.scores && (lens.mode === "writer" || lens.mode === "entropy")) {
      node.replaceChildren(...MI.tokens(lens.scores, part, lens));
      continue;
    }
    const marks = [];
    if (lens.mode === "markers") for (const [start, end, group] of (frame.spots || {})[part] || []) marks.push([start, end, "mi-mark mi-mark-" + group]);
    if (lens.mode === "diff" && lens.against) for (const [start, end] of MI.diff(text, lens.against.text)) marks.push([start, end, "mi-new"]);
    const mark = frame.mark, passed = mark && mark.part === "thought" && part === "answer";
    if (frame.verdict === "correct" && mark && (mark.part === part || passed)) marks.push([passed ? 0 : mark.at, text.length, "mi-after"]);
    node.replaceChildren(...MI.pieces(text, marks).map(([piece, cls]) => (cls ? MI.h("span", { class: cls }, piece) : piece)));
    if (frame.verdict === "correct" && mark && mark.part === part && frame.tokens > frame.first) {
      const flag = MI.h("span", { class: "mi-first", title: "Here the answer was right for the first time" }, "first right");
      const after = node.querySelector(".mi-after");
      after ? after.before(flag) : node.append(flag);
    }
  }
};

// Scored tokens as buttons-by-delegation: spans with data-t, coloured by who wrote them or by entropy.
MI.tokens = function (scores, part, lens) {
  const out = [];
  scores.tokens.forEach(([text, where, llr, entropy], i) => {
    if (where !== part) return;
    const strength = lens.mode === "writer" ? MI.clamp(Math.abs(llr) / 5, 0, 1) : MI.clamp(entropy / 2.5, 0, 1);
    const cls = "mi-tok " + (lens.mode === "writer" ? (llr > 0 ? "mi-tok-thinking" : "mi-tok-instruct") : "mi-tok-entropy");
    out.push(MI.h("span", { class: cls, "data-t": String(i), style: { "--s": strength.toFixed(3) } }, text));
  });
  return out;
};
