// Tokens per λ on the rail's own axis: thought, answer, and what came after the answer was first right. Click selects λ.
"use strict";

// The upper end of a linear axis: the next of 1, 2, 2.5, 5 × 10ⁿ at or above `most`. Pure.
MI.nice = function (most) {
  if (most <= 10) return 10;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((m) => m * power >= most) * power;
};

MI.bars = function (app) {
  const h = MI.h;
  const lines = h("div", { class: "mi-grid", "aria-hidden": "true" }), bars = h("div", { class: "mi-bars" });
  const cursor = h("i", { class: "mi-cursor", "aria-hidden": "true" });
  const told = h("p", { class: "mi-sentence" });
  const key = (cls, text) => h("span", {}, h("i", { class: cls, "aria-hidden": "true" }), text);
  const node = h("section", { class: "mi-chart", "aria-label": "Tokens per λ" },
    h("div", { class: "mi-chart-plot" }, lines, cursor, bars),
    h("div", { class: "mi-chart-foot" }, told, h("div", { class: "mi-legend" }, h("span", {}, "Tokens per λ:"), key("mi-key-think", "thought"), key("mi-key-answer", "answer"), key("mi-key-after", "after first right"))));

  function draw() {
    const frames = app.frames(), range = app.rail.span();
    const top = MI.nice(Math.max(0, ...frames.map((f) => f.tokens)));
    MI.fill(lines, top, () => [1, 0.5].map((s) => h("span", { style: { bottom: 100 * s + "%" } }, h("b", { class: "mi-num" }, MI.count(top * s)))));
    MI.fill(bars, JSON.stringify([frames.map((f) => f.lam), range]), () => frames.map((f) => bar(f.lam, range)));
    frames.forEach((f, i) => fit(bars.children[i], f, top));
    MI.text(told, app.strip().sentence || "");
    drawLam();
  }
  const bar = (lam, range) => h("button", { class: "mi-bar", type: "button", tabindex: "-1", style: { left: MI.place(lam, range), "--lam": MI.colour(lam) }, onclick: () => app.view.set({ lam }) },
    h("i", { class: "mi-bar-think" }), h("i", { class: "mi-bar-answer" }), h("i", { class: "mi-bar-after" }));
  function fit(bar, f, top) {
    const after = MI.after(f) || 0, word = MI.verdict(f)[1], [think, answer, late] = bar.children;
    const words = `λ ${MI.lam(f.lam)}: ${MI.plural(f.tokens, "token")}, ${MI.count(f.think)} of them thought${word ? ", " + word : ""}`;
    if (bar.title !== words) (bar.title = words), bar.setAttribute("aria-label", words);
    const high = (part, n) => (part.style.height = (100 * Math.max(0, n)) / top + "%");
    high(think, Math.min(f.think, f.tokens)), high(answer, f.tokens - f.think), high(late, after * f.tokens);
    late.style.bottom = (100 * f.tokens * (1 - after)) / top + "%";
  }
  function drawLam() {
    const { lam } = app.view.get(), frame = MI.nearest(app.frames(), lam);
    cursor.style.left = MI.place(lam, app.rail.span());
    cursor.style.setProperty("--lam", MI.colour(lam));
    const at = frame ? app.frames().indexOf(frame) : -1;
    const on = bars.querySelector(".mi-bar-on");
    if (on === bars.children[at]) return;
    if (on) on.classList.remove("mi-bar-on");
    if (at >= 0) bars.children[at].classList.add("mi-bar-on");
  }
  return { node, draw, drawLam };
};
