// The λ rail: the x-axis of the page. A native range input under a drawn track, frames, pins, stage bands and leaders.
"use strict";

// The span of λ that the rail shows: 0 to 1, wider when something lies outside. Pure.
MI.span = function (lams) {
  return [Math.min(0, ...lams), Math.max(1, ...lams)];
};
// The place of a λ on the rail as a CSS length; the same for everything that hangs on the axis.
MI.place = (lam, [low, high]) => `calc(var(--inset) + ${((lam - low) / (high - low)).toFixed(5)} * (100% - 2 * var(--inset)))`;
// The next frame from `lam` in a direction, or null: what the bracket keys step to when there are frames.
MI.step = function (lam, direction, frames) {
  const steps = frames.length > 1 ? frames.map((f) => f.lam) : Array.from({ length: 11 }, (_, i) => i / 10);
  const ahead = steps.filter((x) => (direction > 0 ? x > lam + 1e-9 : x < lam - 1e-9));
  return ahead.length ? (direction > 0 ? Math.min(...ahead) : Math.max(...ahead)) : null;
};

MI.rail = function (app) {
  const h = MI.h;
  const input = h("input", { type: "range", class: "mi-range", min: "0", max: "1", step: "0.01", "aria-label": "λ, the weight of Thinking" });
  const stages = h("div", { class: "mi-stages" }), dots = h("div", { class: "mi-frames", "aria-hidden": "true" });
  const knob = h("output", { class: "mi-knob mi-num", "aria-hidden": "true" });
  const ticks = h("div", { class: "mi-ticks mi-num", "aria-hidden": "true" });
  const leaders = h("svg:svg", { class: "mi-leaders", "aria-hidden": "true" });
  const box = h("input", { class: "mi-box mi-num", type: "text", inputmode: "decimal", "aria-label": "λ as a number, −1 to 2", spellcheck: "false", autocomplete: "off", maxlength: "12" });
  const play = h("button", { class: "mi-button mi-icon-button", type: "button", title: "Play λ from 0 to 1", "aria-label": "Play λ from 0 to 1" }, "▶");
  const pin = h("button", { class: "mi-button", type: "button", title: "Pin this λ (p)" }, "Pin");
  const here = h("button", { class: "mi-button", type: "button", title: "Make the frame at this λ" }, "Run here");
  const study = MI.study(app);
  const plot = h("div", { class: "mi-plot" }, study.svg, stages, h("div", { class: "mi-track" }), dots, input, knob, ticks);
  const node = h("section", { class: "mi-rail", "aria-label": "λ rail" }, leaders, plot,
    h("div", { class: "mi-rail-bar" },
      h("span", { class: "mi-end mi-end-instruct" }, "Instruct"),
      h("div", { class: "mi-rail-tools" }, h("label", { class: "mi-lambox" }, h("span", { "aria-hidden": "true" }, "λ"), box), play, pin, here),
      h("span", { class: "mi-end mi-end-thinking" }, "Thinking")));

  let range = [0, 1], animation = null;
  input.addEventListener("input", () => (stop(), app.view.set({ lam: Number(input.value) })));
  box.addEventListener("change", () => {
    const text = box.value.trim().replace(",", ".").replace("−", "-"), lam = Number(text);
    const bad = !text || !Number.isFinite(lam) || lam < -1 || lam > 2;
    box.setAttribute("aria-invalid", String(bad));
    if (bad) return void app.say(`λ must be a number from −1 to 2, not “${text.slice(0, 20)}”. It stays at ${MI.lam(app.view.get().lam)}.`, "error");
    app.say("");
    app.view.set({ lam: Math.round(lam * 1e4) / 1e4 });
  });
  box.addEventListener("keydown", (e) => e.key === "Enter" && !e.ctrlKey && box.blur());
  pin.addEventListener("click", () => app.pin());
  MI.pressed(here, (button) => app.press("here", button));
  here.addEventListener("click", () => app.run("here"));
  play.addEventListener("click", () => (animation ? stop() : start()));

  function start() {
    const began = performance.now(), seconds = 7, still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    play.textContent = "❚❚";
    const tick = (now) => {
      const share = Math.min(1, (now - began) / 1000 / seconds);
      app.view.set({ lam: still ? Math.round(share * 10) / 10 : Math.round(share * 100) / 100 });
      animation = share < 1 ? requestAnimationFrame(tick) : stop();
    };
    animation = requestAnimationFrame(tick);
  }
  function stop() {
    if (animation) cancelAnimationFrame(animation);
    play.textContent = "▶";
    return (animation = null);
  }

  function drawFrames() {
    const view = app.view.get(), frames = app.frames();
    range = MI.span([view.lam, ...frames.map((f) => f.lam), ...view.pins]);
    [input.min, input.max] = range;
    plot.classList.toggle("mi-studied", study.on());
    study.draw(range);
    const known = study.bands(), how = known ? "as the study's fit says" : "as this one strip shows it";
    const bands = known || app.strip().bands;
    MI.fill(stages, JSON.stringify([bands, range, how]), () => bands.map((b) => {
      const wide = (b.to - b.from) / (range[1] - range[0]);
      const words = { 1: "no thought", 2: "transition", 3: "thinking" }[b.stage];
      return h("span", { class: "mi-stage mi-stage-" + b.stage, title: `Stage ${b.stage}: ${words} (${how})`, style: { left: MI.place(b.from, range), width: `calc(${wide.toFixed(5)} * (100% - 2 * var(--inset)))` } }, h("b", {}, `stage ${b.stage}`), wide > 0.16 ? h("span", {}, " " + words) : "");
    }));
    const marked = frames.map((f) => [f.lam, ...MI.verdict(f)]);
    MI.fill(dots, JSON.stringify([marked, view.pins, range]), () => [
      ...marked.map(([lam, sign, , kind]) => h("i", { class: `mi-frame mi-frame-${kind}`, style: { left: MI.place(lam, range), "--lam": MI.colour(lam) } }, h("b", {}, kind === "live" || kind === "quiet" ? "" : sign))),
      ...view.pins.map((x) => h("i", { class: "mi-pinned", style: { left: MI.place(x, range) } }))]);
    MI.fill(ticks, String(range), () => {
      const marks = [];
      for (let x = Math.ceil(range[0] * 10 - 1e-9); x <= range[1] * 10 + 1e-9; x++) marks.push(x / 10);
      return marks.map((x) => h("span", { style: { left: MI.place(x, range) }, class: Math.round(x * 10) % 5 ? "mi-minor" : "" }, MI.lam(x)));
    });
    drawLam();
  }

  function drawLam() {
    const { lam, pins } = app.view.get();
    if (lam < range[0] || lam > range[1]) return drawFrames();
    if (Number(input.value) !== lam) input.step = "any", input.value = String(lam), input.step = Math.abs(lam * 100 - Math.round(lam * 100)) < 1e-9 ? "0.01" : "any";
    study.drawLam();
    const band = (study.bands() || app.strip().bands).find((b) => lam >= b.from && lam <= b.to);
    input.setAttribute("aria-valuetext", `λ ${MI.lam(lam)}` + (band ? `, stage ${band.stage}` : ""));
    MI.text(knob, MI.lam(lam));
    knob.style.left = MI.place(lam, range);
    input.style.setProperty("--lam", MI.colour(lam));
    if (document.activeElement !== box) box.value = MI.lam(lam), box.removeAttribute("aria-invalid");
    const exact = app.frames().some((f) => Math.abs(f.lam - lam) < 1e-9);
    here.classList.toggle("mi-wanted", !exact && !app.stale());
    here.disabled = app.running();
    MI.text(pin, pins.includes(lam) ? "Unpin" : "Pin");
  }

  // Leaders: from the foot of every pane to its λ on the rail. `lead` measures the panes; `leadBlend` only moves the blend's.
  let feet = null;
  function lead() {
    const box = leaders.getBoundingClientRect();
    if (!box.width) return;
    const inset = parseFloat(getComputedStyle(node).getPropertyValue("--inset"));
    feet = { height: box.height, at: (lam) => inset + ((lam - range[0]) / (range[1] - range[0])) * (box.width - 2 * inset) };
    const lines = app.board.panes().map((pane) => {
      const p = pane.node.getBoundingClientRect(), x = p.left + p.width / 2 - box.left;
      if (!p.width || x < 0 || x > box.width) return null;
      if (pane.id !== "blend") return curve(x, pane.id === "instruct" ? 0 : pane.id === "thinking" ? 1 : Number(pane.id.slice(3)), "");
      feet.x = x;
      return (feet.path = curve(x, app.view.get().lam, "mi-leader-main"));
    });
    leaders.replaceChildren(...lines.filter(Boolean));
  }
  const bend = (x, lam) => { const to = feet.at(lam).toFixed(1), from = x.toFixed(1), y = feet.height; return `M${from} 0 C ${from} ${y * 0.7}, ${to} ${y * 0.3}, ${to} ${y}`; };
  const curve = (x, lam, cls) => h("svg:path", { d: bend(x, lam), stroke: MI.colour(lam), class: cls });
  function leadBlend() {
    const { lam } = app.view.get();
    if (!feet || !feet.path) return;
    feet.path.setAttribute("d", bend(feet.x, lam));
    feet.path.setAttribute("stroke", MI.colour(lam));
  }
  let wide = null; // 0 while another tab is shown; studies may have been made there
  new ResizeObserver(() => {
    const now = leaders.clientWidth;
    if (now && wide === 0) study.look(app.view.get(), true);
    wide = now;
    lead();
  }).observe(leaders);

  return { node, study, drawFrames, drawLam, lead, leadBlend, step: (d) => { const to = MI.step(app.view.get().lam, d, app.frames()); if (to !== null) app.view.set({ lam: to }); }, stop, span: () => range };
};
