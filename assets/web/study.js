// What a study knows of the λ axis: bands for the rail, accuracy and think ratio as small curves behind it, figures in words.
"use strict";

// A value at λ between the measured points, by straight lines; null outside of them. Pure.
MI.between = function (points, key, lam) {
  for (let i = 0; i < points.length; i++) {
    const a = points[i], b = points[i + 1];
    if (Math.abs(a.lam - lam) < 1e-9) return a[key];
    if (b && lam > a.lam && lam < b.lam && a[key] !== null && b[key] !== null) return a[key] + ((b[key] - a[key]) * (lam - a.lam)) / (b.lam - a.lam);
  }
  return null;
};

MI.study = function (app) {
  const h = MI.h, high = 34;
  const svg = h("svg:svg", { class: "mi-spark", "aria-hidden": "true", viewBox: `0 0 1000 ${high}`, preserveAspectRatio: "none" });
  const source = h("span", { class: "mi-study-name" }), figures = h("span", { class: "mi-study-figures mi-num" });
  const key = (cls, words) => h("span", { class: "mi-study-key " + cls }, words);
  const words = h("p", { class: "mi-study", hidden: true }, source, figures, key("mi-key-mean", "accuracy"), key("mi-key-ratio", "think ratio"));
  let study = null, asked = null, shown = "", drawn = null;

  // Asks once for every recipe and decoding that is looked at; λ, pins, lens, question and seed do not matter to it.
  let timer = null;
  function look(view, again = false) {
    const { lam, pins, lens, q, gold, seed, cap, ...rest } = view, wanted = MI.key(rest);
    if (wanted === asked && !again) return;
    asked = wanted;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const found = await Promise.resolve(app.server.curve({ ...view, q: "", gold: "" })).catch(() => null);
      if (wanted !== asked) return;
      const text = JSON.stringify(found);
      if (text === shown) return;
      shown = text;
      study = found;
      app.rail.drawFrames();
      app.rail.lead();
    }, study === null && !shown ? 0 : 250);
  }

  function draw(range) {
    const stamp = [shown, ...range, app.view.get().cap].join();
    if (stamp === drawn) return; // frames stream in many times a second, a study does not
    drawn = stamp;
    words.hidden = !study;
    svg.replaceChildren();
    if (!study) return;
    const x = (lam) => (1000 * (lam - range[0])) / (range[1] - range[0]), y = (share) => 1 + (high - 2) * (1 - share);
    const line = (key) => study.points.filter((p) => p[key] !== null).map((p) => `${x(p.lam).toFixed(1)},${y(p[key]).toFixed(1)}`).join(" ");
    const sure = study.points.filter((p) => p.mean !== null && p.mean_ci[0] !== null);
    const band = [...sure.map((p) => [p.lam, p.mean_ci[1]]), ...sure.toReversed().map((p) => [p.lam, p.mean_ci[0]])];
    svg.append(
      h("svg:polygon", { class: "mi-spark-band", points: band.map(([l, s]) => `${x(l).toFixed(1)},${y(s).toFixed(1)}`).join(" ") }),
      h("svg:polyline", { class: "mi-spark-ratio", points: line("think_ratio") }),
      h("svg:polyline", { class: "mi-spark-mean", points: line("mean") }));
    const n = `n = ${MI.plural(study.questions, "question")}` + (study.samples > 1 ? ` × ${study.samples}` : "");
    const cap = study.cap === app.view.get().cap ? "" : ` · token limit ${MI.count(study.cap)}`;
    MI.text(source, `Bands and curves: ${study.origin === "live" ? "" : study.origin + " "}study “${study.name}” · ${study.task} · ${n}${cap}`);
    drawLam();
  }
  function drawLam() {
    if (!study) return;
    const { lam } = app.view.get();
    const point = study.points.find((p) => Math.abs(p.lam - lam) < 1e-9), mean = MI.between(study.points, "mean", lam), ratio = MI.between(study.points, "think_ratio", lam);
    const ci = point && point.mean_ci[0] !== null ? ` (${MI.percent(point.mean_ci[0])} to ${MI.percent(point.mean_ci[1])})` : "";
    MI.text(figures, mean === null ? `λ ${MI.lam(lam)} was not measured` : `${point ? "" : "≈ "}${MI.percent(mean)}${ci} right, ${ratio === null ? "–" : MI.percent(ratio)} with a thought, ${MI.count(MI.between(study.points, "tokens", lam))} tokens at λ ${MI.lam(lam)}`);
  }
  return { svg, words, look, draw, drawLam, on: () => Boolean(study), bands: () => (study ? study.bands : null), told: () => study && study.message };
};
