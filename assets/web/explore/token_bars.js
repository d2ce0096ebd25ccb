// Tokens per λ on the rail's own axis: thought, answer, and what came after the answer was first right. A click selects λ.

import { fillOnce, h, setText } from "../shared/dom.js";
import { count, lamText, plural } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { lamPlace, niceTop } from "./axis.js";
import { nearestFrame, shareAfterFirst, verdictOf } from "./frames.js";

const LEGEND = [
  ["think", "thought"],
  ["answer", "answer"],
  ["after", "after first right"],
];
const hidden = { "aria-hidden": "true" };

export function tokenBars(app) {
  const lines = h("div.mi-grid", hidden);
  const bars = h("div.mi-bars");
  const cursor = h("i.mi-cursor", hidden);
  const sentence = h("p.mi-sentence");
  const keys = LEGEND.map(([kind, text]) => h("span", h(`i.mi-key-${kind}`, hidden), text));
  const foot = h("div.mi-chart-foot", sentence, h("div.mi-legend", h("span", "Tokens per λ:"), keys));
  const node = h(
    "section.mi-chart",
    { "aria-label": "Tokens per λ" },
    h("div.mi-chart-plot", lines, cursor, bars),
    foot,
  );

  function draw() {
    const frames = app.strips.frames();
    const span = app.rail.span();
    const top = niceTop(Math.max(0, ...frames.map((frame) => frame.tokens)));
    fillOnce(lines, top, () => [gridLine(top, 1), gridLine(top, 0.5)]);
    const lams = frames.map((frame) => frame.lam);
    fillOnce(bars, JSON.stringify([lams, span]), () => lams.map((lam) => bar(lam, span)));
    frames.forEach((frame, i) => fitBar(bars.children[i], frame, top));
    setText(sentence, app.strips.current().sentence || "");
    drawLam();
  }
  function bar(lam, span) {
    const style = { left: lamPlace(lam, span), "--lam": lamColour(lam) };
    const parts = LEGEND.map(([kind]) => h(`i.mi-bar-${kind}`));
    return h("button.mi-bar", { tabindex: "-1", style, onclick: () => app.view.set({ lam }) }, parts);
  }
  function drawLam() {
    const { lam } = app.view.get();
    cursor.style.left = lamPlace(lam, app.rail.span());
    cursor.style.setProperty("--lam", lamColour(lam));
    const frames = app.strips.frames();
    const next = bars.children[frames.indexOf(nearestFrame(frames, lam))];
    const lit = bars.querySelector(".mi-bar-on");
    if (lit === next) return;
    lit?.classList.remove("mi-bar-on");
    next?.classList.add("mi-bar-on");
  }
  return { node, draw, drawLam };
}

const gridLine = (top, share) => h("span", { style: { bottom: `${100 * share}%` } }, h("b.mi-num", count(top * share)));

function fitBar(bar, frame, top) {
  const { word } = verdictOf(frame);
  const counts = `${plural(frame.tokens, "token")}, ${count(frame.think)} of them thought`;
  const words = `λ ${lamText(frame.lam)}: ${counts}${word ? `, ${word}` : ""}`;
  if (bar.title !== words) {
    bar.title = words;
    bar.setAttribute("aria-label", words);
  }
  const late = (shareAfterFirst(frame) || 0) * frame.tokens;
  const heights = [Math.min(frame.think, frame.tokens), frame.tokens - frame.think, late];
  heights.forEach((tokens, i) => (bar.children[i].style.height = `${(100 * Math.max(0, tokens)) / top}%`));
  bar.children[2].style.bottom = `${(100 * (frame.tokens - late)) / top}%`;
}
