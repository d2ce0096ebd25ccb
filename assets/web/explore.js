// Explore, put together: one view, one strip, the parts that draw them, and the run that fills the strip.
"use strict";
// Mounts the page once its pair is known: at once, unless the address names another one, which the server then hands over.
MI.start = function (element, api) {
  let app = null;
  const asked = new URLSearchParams(location.search).get("pair");
  const mount = () => (app = app || MI.mount(element, api));
  api.watch("opened", () => (app ? app.open() : mount()));
  if (!asked || asked === JSON.parse(api.props.setup).pair.name || api.props.opened) mount();
};

const REST = 40; // milliseconds without a drawing, after which an update need not wait for the next frame
MI.mount = function (element, { trigger, props, server, watch }) {
  const h = MI.h, setup = JSON.parse(props.setup);
  const view = MI.observable({ ...setup.defaults, ...setup.landing.view });
  const writeAddress = MI.addressBar(setup.fields, setup.version, setup.linkLimit);
  const status = h("p", { class: "mi-status", role: "status" });
  let strip = { ...setup.landing, key: MI.key(view.get()), precomputed: true };
  let aside = null; // the strip that was here before this one, with the view that it was made for: { strip, view }
  const runs = MI.runs(setup, { trigger, server });
  let active = null; // the run that is going on
  let ordered = null, pending = false, drawn = 0;

  const app = {
    view, server, say,
    strip: () => strip,
    frames: () => (ordered = ordered || Object.values(strip.frames).sort((a, b) => a.lam - b.lam)),
    stale: () => Object.keys(strip.frames).length > 0 && strip.key !== MI.key(view.get()),
    running: () => Boolean(active),
    pin() {
      const { lam, pins } = view.get();
      if (!pins.includes(lam) && pins.length >= setup.mostPins) return say(`At most ${setup.mostPins} pins.`, "error");
      view.set({ pins: pins.includes(lam) ? pins.filter((x) => x !== lam) : [...pins, lam].sort((a, b) => a - b) });
    },
    visible: () => element.offsetParent !== null, // false while another tab is shown
    run, press, stop, open, trigger, patch, show,
  };
  app.board = MI.board(app);
  app.rail = MI.rail(app);
  app.bars = MI.bars(app);
  const knobs = MI.knobs(app, setup), ask = MI.ask(app, setup, knobs), lenses = MI.lenses(app, setup);
  const help = MI.help();
  app.pairs = MI.pairs(app, setup);
  const label = h("span", { class: "mi-source" });
  const swap = h("button", { class: "mi-button mi-small", type: "button", title: "Show the strip that was here before, with its settings; once more brings this one back", hidden: true, onclick: back }, "Previous strip");
  element.replaceChildren(h("div", { class: "mi" }, MI.header(app, setup, help), ask.node,
    h("div", { class: "mi-board-bar" }, label, swap, status, lenses.node), app.board.node, app.rail.node, app.rail.study.words, app.bars.node, help));

  function say(words, kind = "") {
    MI.text(status, words);
    status.dataset.kind = words ? kind : "";
  }

  // -- the run ---------------------------------------------------------------------------------------------------------
  // What keeps this view from being run, in words; null: nothing.
  function hindrance({ q, gold }) {
    if (!q.trim()) return "There is no question yet. Write one, or take an example.";
    if (q.length > setup.promptLimit) return `The question has ${MI.count(q.length)} characters; at most ${MI.count(setup.promptLimit)} are allowed. Shorten it.`;
    return gold.length > setup.goldLimit ? `The known answer may have at most ${setup.goldLimit} characters.` : null;
  }
  function request(kind) {
    if (kind === "here" && (app.stale() || !Object.keys(strip.frames).length)) kind = "strip";
    const kept = kind === "here" ? Object.values(strip.frames) : [];
    const brief = kept.map(({ id, run, lam, tokens, state, first, verdict, closed, lenient, truncated }) => ({ id, run: run || strip.token, lam, tokens, state, first, verdict, closed, lenient, truncated }));
    return { token: MI.token(), kind, view: view.get(), kept: brief };
  }
  function press(kind, button) {
    if (!active && !hindrance(view.get())) runs.press(request(kind), button);
  }
  function run(wanted) {
    if (active) return;
    const now = view.get(), words = hindrance(now);
    if (words) return say(words, "error"), now.q.trim() || ask.area.focus();
    app.rail.stop();
    const asked = request(wanted), { kind } = asked;
    active = { run: runs.begin(asked), kind, key: MI.key(now), before: strip };
    say(kind === "here" ? `Running at λ ${MI.lam(now.lam)}.` : "Running the strip.");
    active.run.listen({ hear, wait, lose });
    app.rail.drawLam(), bar(); // the traces change with the first answer, not yet
  }
  function lose(message) {
    hear({ token: active.run.token, state: "failed", message, frames: active.run.seen() ? lost(strip.frames) : {}, sentence: "", bands: [] });
  }
  async function stop() {
    if (!active || active.stopping) return;
    active.stopping = true;
    redraw();
    if (!(await active.run.stop())) return;
    active = null;
    say("Stopped before it began.");
    redraw();
  }
  // Says where the run stands. The status line tells the place, and again only when it changes; the seconds run beside it.
  function wait(stands) {
    const words = stands ? (stands.of > 1 ? `place ${MI.count(stands.place)} of ${MI.count(stands.of)}` : "next in turn") : "";
    const eta = stands && stands.seconds !== null ? `about ${MI.seconds(stands.seconds)}` : "";
    active.waits = stands ? [words, eta].filter(Boolean).join(", ") : "";
    const key = stands ? stands.what + words : "";
    if (active.told !== key) say(stands ? `Waiting for ${stands.what === "slot" ? "a free place in the batch" : "a turn on the server"}: ${active.waits}.` : "");
    active.told = key;
    bar();
  }
  const lost = (frames) => Object.fromEntries(Object.entries(frames).map(([k, f]) => [k, ["queued", "running"].includes(f.state) ? { ...f, state: "cancelled" } : f]));

  function hear(value) {
    const ended = value.state !== "running", first = !active.written && Object.values(value.frames).some((f) => f.tokens);
    if (first) active.written = true;
    if (!ended && (value.waits || active.told)) wait(value.waits);
    const frames = Object.fromEntries(Object.entries(value.frames).map(([k, f]) => [k, { ...f, run: value.token }]));
    if (Object.keys(frames).length || !ended) {
      const here = active.kind === "here";
      if (!here && strip === active.before) keep(made(strip));
      strip = { token: here ? active.before.token : value.token, key: active.key, sentence: value.sentence || (here ? active.before.sentence : ""), bands: value.bands.length || ended || !here ? value.bands : active.before.bands, frames: here ? { ...active.before.frames, ...frames } : frames };
      if (here && (active.before.precomputed || active.before.source || active.before.mixed)) strip.mixed = active.before.mixed || active.before.source || "Precomputed strip";
      if (!here) app.board.forget(value.token);
    }
    if (value.instead && strip === active.before) keep(made(strip));
    if (value.instead) (strip = { ...value.instead, key: MI.key(view.get()), source: value.instead.label }), app.board.forget(value.instead.token); // no GPU: a precomputed strip
    if (ended) {
      const n = Object.keys(frames).length, seconds = ((Date.now() - active.run.began) / 1000).toFixed(1);
      active = null;
      const words = { done: `${MI.plural(n, "trace")} in ${seconds} s.`, stopped: "Stopped. What was written so far is kept.", failed: value.message }[value.state];
      say((words || value.message) + verified(value), value.state === "failed" ? "error" : "");
    }
    ordered = null;
    later(first || ended);
  }
  // Keeps the strip on the board for `back`, with a view; `made` is the one that a strip was made for, as far as it can be told.
  function keep(looked) {
    if (Object.keys(strip.frames).length) aside = { strip: { ...strip, frames: lost(strip.frames) }, view: looked };
  }
  const made = (of) => (of.key.startsWith("[") ? Object.fromEntries(JSON.parse(of.key)) : of.view || {});
  function back() {
    if (active || !aside) return;
    app.rail.stop();
    const other = aside;
    aside = { strip, view: view.get() };
    strip = other.strip;
    ordered = null;
    app.board.forget(strip.token);
    patch(other.view);
    redraw(), say("");
  }
  // A frame made from the tokens of its neighbour: how many of them the engine found to be this λ's too.
  function verified({ verified: found, frames }) {
    const frame = found && Object.values(frames)[0];
    if (!frame) return "";
    const all = found.kept === frame.tokens;
    return ` Verified in one pass: ${all ? "all" : "the first"} ${MI.plural(found.kept, "token")} of λ ${MI.lam(found.lam)} ${found.kept === 1 ? "is" : "are"} written here too` + (all ? "." : `; token ${MI.count(found.kept + 1)} is the first where λ matters.`);
  }
  // First tokens, the end, and an update after a rest draw at once, a burst of them once, at the next frame; a hidden tab draws when it is seen again.
  function later(urgent) {
    if (pending) return;
    if (!document.hidden && (urgent || performance.now() - drawn > REST)) return redraw();
    pending = true;
    requestAnimationFrame(() => ((pending = false), redraw()));
  }

  // -- drawing ---------------------------------------------------------------------------------------------------------
  function redraw() {
    drawn = performance.now();
    app.board.update();
    app.rail.drawFrames();
    app.bars.draw();
    bar();
  }
  function bar() {
    const frames = app.frames(), live = frames.filter((f) => f.state === "running"), over = frames.filter((f) => !["queued", "running"].includes(f.state));
    const speed = live.reduce((sum, f) => sum + f.tps, 0);
    ask.state(Boolean(active), app.stale(), !active ? "" : active.stopping ? "stopping…" : !active.run.seen() ? (active.waits ? `waiting, ${active.waits}` : "waiting for the server…") : `${over.length} of ${frames.length} λ` + (speed ? ` · ${MI.count(speed)} tokens/s` : "") + (active.waits ? ` · waiting, ${active.waits}` : ""));
    const elsewhere = strip.source && strip.view.pair !== setup.pair.name ? ` of the pair “${strip.view.pair}”, which is not loaded` : "";
    const words = elsewhere ? strip.source + elsewhere : app.stale() ? "These traces belong to other settings. Run to renew them." : strip.precomputed || strip.source ? strip.label : strip.mixed ? `${strip.mixed} with frames of your own` : frames.length ? (active ? "Live" : `Your run · n = 1 per λ · T ${view.get().t} · seed ${view.get().seed}`) : "";
    MI.text(label, words);
    label.classList.toggle("mi-warn", app.stale());
    swap.hidden = !aside || Boolean(active);
  }
  const inside = (lam) => lam >= 0 && lam <= 1; // beyond it the rail itself may have grown
  view.watch((now, changed) => {
    const moved = changed.size === 1 && changed.has("lam");
    if (!moved) ordered = null, knobs.draw(now), ask.draw(now), lenses.draw(now);
    app.board.update();
    moved ? app.rail.drawLam() : app.rail.drawFrames();
    moved ? app.bars.drawLam() : app.bars.draw();
    moved && inside(now.lam) ? app.rail.leadBlend() : app.rail.lead();
    if (!moved) bar(), app.rail.study.look(now);
    writeAddress(now);
  });
  watch("value", () => runs.event(props.value));
  watch("value", () => app.pairs.hear((props.value || {}).loading));
  // What the address asked for. A question from elsewhere has no traces yet: the strip on the page is marked stale.
  function open() {
    if (!props.opened) return;
    const opened = JSON.parse(props.opened);
    element.dataset.opened = "1";
    const asked = opened.given.length ? opened.view : {};
    view.set(Object.fromEntries(Object.entries(asked).filter(([k]) => opened.given.includes(k))));
    if (opened.messages.length) say(opened.messages.join(" "), "error");
  }

  // -- what other tabs ask for (core.js) -------------------------------------------------------------------------------
  const known = new Set(setup.fields.map(([key]) => key).filter((key) => key !== "pair"));
  function patch(part) {
    view.set(Object.fromEntries(Object.entries(part).filter(([k, x]) => known.has(k) && x !== undefined)));
  }
  // A finished strip from elsewhere takes the place of the one on the board. A run that is going on is stopped for it.
  function show(part, content) {
    if (MI.tab && !app.visible()) MI.tab("explore");
    if (content && content.error) return say(content.error, "error");
    const running = content && active;
    if (running) active.run.leave(), (active = null);
    if (content) {
      app.rail.stop();
      ordered = null;
      keep(view.get());
      const same = content.view.pair === setup.pair.name;
      strip = { ...content, key: same ? MI.key({ ...view.get(), ...content.view }) : "another pair", source: content.label };
      app.board.forget(content.token);
      patch(content.view);
    }
    patch(part);
    if (content) redraw(), say(running ? "The run was stopped to open this." : "");
    app.board.reveal();
    app.rail.lead();
  }

  MI.keys(app, { knobs, ask, help, lenses });
  knobs.draw(view.get()), ask.draw(view.get()), lenses.draw(view.get());
  redraw();
  open();
  app.rail.study.look(view.get());
  app.board.reveal();
  app.rail.lead();
  element.dataset.ready = "1";
  MI.app = app;
  for (const act of MI.later.splice(0)) act(app);
  return app;
};
