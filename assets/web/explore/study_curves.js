// What a study knows of the λ axis: bands for the rail, accuracy and think ratio as small curves behind it, figures in words.

import { h, setText } from "../shared/dom.js";
import { count, lamText, percent, plural } from "../shared/format.js";
import { answerOr } from "../shared/server.js";
import { shareOf, valueAt } from "./axis.js";
import { sameLam } from "./frames.js";
import { viewKey } from "./strip.js";

const WIDTH = 1000;
const HEIGHT = 34;
const REST_MS = 250; // of the settings, before the server is asked again

export function studyCurves(app) {
  const box = { "aria-hidden": "true", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
  const svg = h("svg:svg.mi-spark", box);
  const source = h("span.mi-study-name");
  const figures = h("span.mi-study-figures.mi-num");
  const keys = [h("span.mi-study-key.mi-key-mean", "accuracy"), h("span.mi-study-key.mi-key-ratio", "think ratio")];
  const words = h("p.mi-study", { hidden: true }, source, figures, keys);
  let study = null;
  let answer = ""; // the last answer, as text
  let asked = null; // the recipe and decoding that it is of
  let drawn = null;
  let timer = null;

  // Asks once for every recipe and decoding that is looked at, or `again`; question, seed and token limit do not matter to it.
  function look(view, again = false) {
    const wanted = viewKey({ ...view, q: "", gold: "", seed: 0, cap: 0 });
    if (wanted === asked && !again) return;
    asked = wanted;
    clearTimeout(timer);
    timer = setTimeout(() => fetchStudy(view, wanted), answer ? REST_MS : 0);
  }
  async function fetchStudy(view, wanted) {
    const found = await answerOr(null, app.server.curve({ ...view, q: "", gold: "" }));
    const text = JSON.stringify(found);
    if (wanted !== asked || text === answer) return;
    answer = text;
    study = found;
    app.rail.drawFrames();
    app.rail.leaders.draw();
  }

  function draw(span) {
    const { cap } = app.view.get();
    const stamp = [answer, ...span, cap].join();
    if (stamp === drawn) return; // frames stream in many times a second, a study does not
    drawn = stamp;
    words.hidden = !study;
    svg.replaceChildren(...(study ? curves(study.points, span) : []));
    if (!study) return;
    setText(source, sourceWords(study, cap));
    drawLam();
  }
  function drawLam() {
    if (study) setText(figures, figuresAt(study.points, app.view.get().lam));
  }
  return { svg, words, look, draw, drawLam, bands: () => (study ? study.bands : null) };
}

function curves(points, span) {
  const place = (lam, share) => {
    const y = 1 + (HEIGHT - 2) * (1 - share);
    return `${(WIDTH * shareOf(lam, span)).toFixed(1)},${y.toFixed(1)}`;
  };
  const line = (key) =>
    points
      .filter((p) => p[key] !== null)
      .map((p) => place(p.lam, p[key]))
      .join(" ");
  const sure = points.filter((p) => p.mean !== null && p.mean_ci[0] !== null);
  const above = sure.map((p) => place(p.lam, p.mean_ci[1]));
  const below = sure.toReversed().map((p) => place(p.lam, p.mean_ci[0]));
  return [
    h("svg:polygon.mi-spark-band", { points: [...above, ...below].join(" ") }),
    h("svg:polyline.mi-spark-ratio", { points: line("think_ratio") }),
    h("svg:polyline.mi-spark-mean", { points: line("mean") }),
  ];
}

function sourceWords(study, cap) {
  const origin = study.origin === "live" ? "" : `${study.origin} `;
  const n = `n = ${plural(study.questions, "question")}${study.samples > 1 ? ` × ${study.samples}` : ""}`;
  const limit = study.cap === cap ? "" : ` · token limit ${count(study.cap)}`;
  return `Bands and curves: ${origin}study “${study.name}” · ${study.task} · ${n}${limit}`;
}

function figuresAt(points, lam) {
  const mean = valueAt(points, "mean", lam);
  if (mean === null) return `λ ${lamText(lam)} was not measured`;
  const point = points.find((p) => sameLam(p.lam, lam));
  const [low, high] = point ? point.mean_ci : [null, null];
  const interval = low === null ? "" : ` (${percent(low)} to ${percent(high)})`;
  const ratio = valueAt(points, "think_ratio", lam);
  const thought = `${ratio === null ? "–" : percent(ratio)} with a thought`;
  const tokens = `${count(valueAt(points, "tokens", lam))} tokens`;
  return `${point ? "" : "≈ "}${percent(mean)}${interval} right, ${thought}, ${tokens} at λ ${lamText(lam)}`;
}
