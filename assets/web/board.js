// The trace board: Instruct | blend at λ | pins | Thinking. Decides which frame each pane shows; panes draw it.
"use strict";
MI.board = function (app) {
  const h = MI.h;
  const row = h("div", { class: "mi-panes" });
  const node = h("section", { class: "mi-board", "aria-label": "Traces" }, row);
  const bodies = new Map(); // pane + strip + frame -> body, so that scrubbing swaps finished trees
  const scored = new Map(); // strip + frame -> scores of that trace
  let panes = [], folded = false, synced = false, diff = false, focus = null, syncing = false;

  const specs = (view) => [
    { id: "instruct", name: "Instruct", lam: 0 },
    { id: "blend", name: "Blend", lam: view.lam },
    ...view.pins.filter((x) => x !== 0 && x !== 1).map((x) => ({ id: "pin" + x, name: "Pin", lam: x, removable: true })),
    { id: "thinking", name: "Thinking", lam: 1 },
  ];

  const options = {
    folded: () => folded,
    onfold: () => ((folded = !folded), update(true)),
    onfocus: (id) => ((focus = focus === id ? null : id), update(true)),
    onunpin: (lam) => app.view.set({ pins: app.view.get().pins.filter((x) => x !== lam) }),
    onscroll(moved) {
      if (!synced || syncing) return;
      syncing = true;
      const share = moved.scrollTop / Math.max(1, moved.scrollHeight - moved.clientHeight);
      for (const other of panes.map((p) => p.scroller())) if (other && other !== moved) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
      requestAnimationFrame(() => (syncing = false));
    },
  };

  function layout(view) {
    const wanted = specs(view);
    if (wanted.map((s) => s.id).join() !== panes.map((p) => p.id).join()) {
      const old = new Map(panes.map((p) => [p.id, p]));
      panes = wanted.map((s) => old.get(s.id) || MI.pane(s, options));
      row.replaceChildren(...panes.map((p) => p.node));
    }
    if (focus && !panes.some((p) => p.id === focus)) focus = null;
    row.style.setProperty("--panes", panes.length);
    row.classList.toggle("mi-focused", Boolean(focus));
    return wanted;
  }

  function bodyOf(pane, frame, stamp) {
    const key = pane + "/" + stamp + "/" + frame.id;
    if (!bodies.has(key)) bodies.set(key, MI.body(frame.lam, options));
    return [key, bodies.get(key)];
  }

  function update() {
    const view = app.view.get(), strip = app.strip(), frames = app.frames();
    const wanted = layout(view), base = frames.find((f) => f.lam === 0);
    for (let i = 0; i < panes.length; i++) {
      const pane = panes[i], spec = wanted[i];
      pane.node.classList.toggle("mi-front", pane.id === focus);
      const frame = spec.id === "blend" ? MI.nearest(frames, spec.lam) : frames.find((f) => Math.abs(f.lam - spec.lam) < 1e-9);
      const near = frame && Math.abs(frame.lam - spec.lam) > 1e-9;
      const given = { name: near ? `nearest frame to ${MI.lam(spec.lam)}` : spec.name, lam: spec.lam, stale: app.stale() };
      if (frame) {
        [pane.key, given.body] = bodyOf(spec.id, frame, strip.token);
        const lens = { mode: view.lens, scores: scored.get(strip.token + "/" + frame.id) };
        if (diff && base && frame !== base) Object.assign(lens, { mode: "diff", against: { text: base.thought + "\n" + base.answer, stamp: base.tokens } });
        given.lens = lens;
      }
      pane.update(frame, given);
    }
    if (view.lens === "writer" || view.lens === "entropy") fetchScores(frames);
  }

  // Asks for the scores of the frames that are on the board, once each.
  async function fetchScores() {
    const strip = app.strip();
    for (const pane of panes) {
      const id = pane.key && pane.key.split("/")[2], frame = id && strip.frames[id], key = strip.token + "/" + id;
      if (!frame || !["done", "cancelled"].includes(frame.state) || scored.has(key)) continue;
      scored.set(key, null);
      const answer = await app.server.score({ pair: app.view.get().pair, token: strip.frames[id].run || strip.token, id }).catch(() => ({ error: "The server did not answer." }));
      if (answer.error) app.say(answer.error, "error");
      else scored.set(key, answer);
      update();
    }
  }

  row.addEventListener("scroll", () => app.rail.lead(), { passive: true });
  node.addEventListener("click", (event) => {
    const token = event.target.closest(".mi-tok");
    const pane = token && panes.find((p) => p.node.contains(token));
    const scores = pane && scored.get(app.strip().token + "/" + pane.key.split("/")[2]);
    if (scores) MI.card(token, scores, Number(token.dataset.t), node);
  });

  return {
    node, update,
    panes: () => panes,
    fold: () => options.onfold(),
    focus: () => options.onfocus("blend"),
    unfocus: () => focus && options.onfocus(focus),
    reveal: () => (row.scrollLeft = panes[1].node.offsetLeft - (row.clientWidth - panes[1].node.offsetWidth) / 2), // on a phone: the blend first
    toggleDiff: () => ((diff = !diff), update(), diff),
    toggleSync: () => ((synced = !synced), synced),
    forget(token) {
      for (const [key, body] of bodies) if (!key.includes(token)) body.node.remove(), bodies.delete(key);
      for (const key of [...scored.keys()]) if (!key.includes(token)) scored.delete(key);
    },
  };
};

// The card of one token: what both parents would have said here, and how far along λ the blend stood.
MI.card = function (token, scores, i, host) {
  const h = MI.h, [text, , llr, entropy] = scores.tokens[i];
  host.querySelectorAll(".mi-card").forEach((old) => old.remove());
  const list = (title, rows, cls) => h("div", { class: "mi-card-side " + cls }, h("h4", {}, title), h("ol", {}, rows.map(([word, p]) =>
    h("li", {}, h("code", {}, JSON.stringify(word).slice(1, -1)), h("i", { style: { width: 100 * p + "%" } }), h("span", { class: "mi-num" }, MI.percent(p))))));
  const detail = scores.detail[i];
  const close = () => (card.remove(), token.classList.remove("mi-tok-picked"));
  const card = h("aside", { class: "mi-card", role: "dialog", "aria-label": "Token" },
    h("header", {}, h("code", {}, JSON.stringify(text).slice(1, -1)), h("span", {}, { both: "what both would say", instruct: "what Instruct would say", thinking: "what Thinking would say", neither: "neither's first choice" }[detail.argmax]),
      h("button", { class: "mi-icon", type: "button", "aria-label": "Close", onclick: close }, "×")),
    h("p", { class: "mi-num mi-card-facts" }, `log-ratio ${llr > 0 ? "+" : ""}${llr.toFixed(2)} · p ${MI.percent(detail.p)} · entropy ${entropy.toFixed(2)}` + (detail.lam === null ? "" : ` · effective λ ${detail.lam.toFixed(2)}`)),
    h("div", { class: "mi-card-sides" }, list("Instruct", detail.instruct, "mi-side-instruct"), list("Thinking", detail.thinking, "mi-side-thinking")),
    h("p", {}, "Likeliest next tokens given what the blend wrote so far. Not a cause."));
  host.querySelectorAll(".mi-tok-picked").forEach((old) => old.classList.remove("mi-tok-picked"));
  token.classList.add("mi-tok-picked");
  host.append(card);
  card.querySelector("button").focus({ preventScroll: true });
  card.addEventListener("keydown", (e) => e.key === "Escape" && (e.stopPropagation(), close()));
};
