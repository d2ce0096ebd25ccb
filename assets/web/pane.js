// One pane of the trace board: the head with its counts, the map of the trace, the thought and the answer.
// A frame's document tree is made once, laid out once and kept in place, so that scrubbing only shows and hides.
"use strict";
MI.VERDICT = { correct: ["✓", "correct"], wrong: ["✗", "wrong"], no_answer: ["○", "no answer"] };

// Verdict of a frame as [sign, word, class]; what was cut off is not called wrong.
MI.verdict = function (frame) {
  if (frame.state === "queued") return ["", "waiting", "quiet"];
  if (frame.state === "running") return ["", frame.lenient || !frame.thought ? "answering" : "thinking", "live"];
  if (frame.state === "failed") return ["!", "failed", "wrong"];
  if (frame.truncated) return ["○", "cut at the limit", "none"];
  if (frame.state === "cancelled") return ["◼", "stopped", "quiet"];
  if (!frame.verdict) return ["", "", "quiet"];
  const [sign, word] = MI.VERDICT[frame.verdict];
  return [sign, word, frame.verdict === "correct" ? "right" : frame.verdict === "wrong" ? "wrong" : "none"];
};

// Share of the tokens that come after the answer was first right, or null where that has no meaning.
MI.after = (f) => (f.first === null || f.first === undefined || f.verdict !== "correct" || !f.tokens ? null : (f.tokens - f.first) / f.tokens);

MI.SHOWN = 60_000; // characters of a part that are laid out without being asked for

// The body of one frame, with a scroll of its own: {node, update(frame, lens), show(on)}. Text grows by appended
// text nodes while it streams, and the end stays in sight until somebody reads back.
MI.body = function (lam, options) {
  const h = MI.h;
  const thoughtText = h("div", { class: "mi-thought-text" }), answerText = h("div", { class: "mi-answer-text" });
  const label = h("span"), size = h("span", { class: "mi-num" });
  const fold = h("button", { class: "mi-fold", type: "button", "aria-expanded": "true", onclick: () => options.onfold() },
    h("span", { class: "mi-caret", "aria-hidden": "true" }), label, size);
  const thought = h("section", { class: "mi-thought", hidden: true }, fold, thoughtText);
  const answer = h("section", { class: "mi-answer", hidden: true }, answerText);
  const note = h("p", { class: "mi-note", hidden: true });
  const body = h("div", { class: "mi-body" }, thought, answer, note);
  const node = h("div", { class: "mi-scroll", role: "region", style: { "--lam": MI.colour(lam) } }, body);
  let atEnd = true, running = false;
  node.addEventListener("scroll", () => ((atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 60), options.onscroll(node)), { passive: true });
  new ResizeObserver(() => running && atEnd && (node.scrollTop = 1e9)).observe(body); // after the browser's own layout: asking here would make another
  const more = h("button", { class: "mi-more", type: "button", hidden: true, onclick: () => ((all = true), again()) });
  let shown = "", all = false, again = () => {};
  body.append(more);
  MI.text(label, "Thought");
  return {
    node,
    map: h("div", { class: "mi-map", "aria-hidden": "true" }),
    update(frame, lens) {
      const whole = frame; // below, `frame` may become a cut one
      again = () => this.update(whole, lens);
      if (frame.state === "running" && !running) atEnd = true;
      running = frame.state === "running";
      const length = frame.thought.length + frame.answer.length;
      more.hidden = all || length <= MI.SHOWN;
      if (!more.hidden) {
        MI.text(more, `Show all ${MI.count(length)} characters`);
        frame = { ...frame, thought: frame.thought.slice(0, MI.SHOWN), answer: frame.answer.slice(0, MI.SHOWN) };
      }
      thought.hidden = !frame.thought;
      answer.hidden = !frame.answer;
      MI.text(size, frame.think ? MI.plural(frame.think, "token") : "");
      fold.setAttribute("aria-expanded", String(!options.folded()));
      thoughtText.hidden = options.folded();
      const mode = lens.mode + "|" + (lens.scores ? "s" : "") + "|" + (lens.against ? lens.against.stamp + (frame.parted ? "exact" : "") : "") + "|" + frame.state;
      if (lens.mode !== "plain" || frame.mark) {
        const stamp = mode + frame.thought.length + "/" + frame.answer.length;
        if (stamp !== shown) MI.paint(thoughtText, answerText, frame, lens);
        shown = stamp;
      } else {
        if (shown) thoughtText.replaceChildren(), answerText.replaceChildren();
        shown = "";
        MI.text(thoughtText, frame.thought);
        MI.text(answerText, frame.answer);
      }
      const empty = !frame.thought && !frame.answer;
      const words = frame.message || (empty ? { queued: "Waiting for a place in the batch…", running: "Reading the question…", cancelled: "Stopped before the first token.", done: "The model ended at once, without a word." }[frame.state] || "" : "");
      note.hidden = !words;
      MI.text(note, words);
    },
    show(on) {
      node.classList.toggle("mi-shown", on);
      node.inert = !on;
      on ? node.setAttribute("tabindex", "0") : node.removeAttribute("tabindex");
    },
  };
};

// A pane: `spec` is {id, name, lam}; the board calls update(frame, extras) with the frame to show.
MI.pane = function (spec, options) {
  const h = MI.h;
  const lam = h("span", { class: "mi-lam mi-num" }), name = h("span", { class: "mi-name" });
  const chip = h("span", { class: "mi-chip" }), facts = h("div", { class: "mi-facts" });
  const blank = h("div", { class: "mi-map", "aria-hidden": "true" }), map = h("div", { class: "mi-map-box" }, blank);
  const empty = h("p", { class: "mi-note mi-empty", hidden: true }, "No trace yet. Run to see one.");
  const stage = h("div", { class: "mi-stack" }, empty);
  const tools = h("div", { class: "mi-pane-tools" });
  const head = h("header", { class: "mi-pane-head" }, h("div", { class: "mi-pane-title" }, h("i", { class: "mi-dot", "aria-hidden": "true" }), lam, name, chip, tools), facts, map);
  const node = h("article", { class: "mi-pane", "data-pane": spec.id }, head, stage);
  let body = null, painted = "";
  const put = (next) => {
    if (body === next) return;
    if (body) body.show(false);
    body = next;
    if (!body) return;
    if (body.node.parentNode !== stage) stage.append(body.node);
    body.show(true);
  };
  if (spec.removable) tools.append(h("button", { class: "mi-icon", type: "button", title: "Remove this pin", "aria-label": `Remove the pin at λ ${MI.lam(spec.lam)}`, onclick: () => options.onunpin(spec.lam) }, "×"));
  tools.append(h("button", { class: "mi-icon", type: "button", title: "Focus (f)", "aria-label": "Focus this pane", onclick: () => options.onfocus(spec.id) }, "⤢"));
  const fact = {};
  for (const key of ["tokens", "split", "speed", "reflect", "after", "loops"]) facts.append((fact[key] = h("span", { class: "mi-fact mi-fact-" + key })));

  return {
    id: spec.id, node, scroller: () => body && body.node,
    update(frame, given) {
      const at = frame ? frame.lam : given.lam;
      const colour = MI.colour(at); // set on the head alone: inherited by thousands of words, it would restyle them at every move
      if (colour !== painted) head.style.setProperty("--lam", (painted = node.style.borderTopColor = colour));
      MI.text(lam, "λ " + MI.lam(at));
      MI.text(name, given.name);
      node.setAttribute("aria-label", `${given.name}, λ ${MI.lam(at)}`);
      node.setAttribute("aria-busy", String(Boolean(frame && ["queued", "running"].includes(frame.state))));
      node.classList.toggle("mi-stale", Boolean(given.stale));
      if (!frame) {
        MI.text(chip, "");
        for (const key in fact) MI.text(fact[key], "");
        map.replaceChildren(blank);
        put(null);
        empty.hidden = false;
        return;
      }
      const [sign, word, kind] = MI.verdict(frame);
      MI.text(chip, sign ? sign + " " + word : word);
      chip.className = "mi-chip mi-chip-" + kind;
      chip.hidden = !word;
      MI.text(fact.tokens, MI.plural(frame.tokens, "token"));
      MI.text(fact.split, frame.tokens ? `${MI.count(frame.think)} thought + ${MI.count(Math.max(0, frame.tokens - frame.think))} answer` : "");
      MI.text(fact.speed, frame.state === "running" && frame.tps ? `${MI.count(frame.tps)}/s` : "");
      const reflections = Object.values(frame.markers || {}).reduce((a, b) => a + b, 0);
      MI.text(fact.reflect, reflections ? MI.plural(reflections, "reflection") : "");
      const after = MI.after(frame);
      MI.text(fact.after, after !== null && after >= 0.005 ? `${MI.percent(after)} after first right` : "");
      MI.text(fact.loops, frame.looped ? "repeats itself" : "");
      MI.minimap(given.body.map, frame);
      if (map.firstChild !== given.body.map) map.replaceChildren(given.body.map);
      empty.hidden = true;
      put(given.body);
      body.node.setAttribute("aria-label", `Trace of ${given.name}, λ ${MI.lam(at)}`);
      body.update(frame, given.lens);
    },
  };
};

// The map of a trace: thought and answer by length, markers as ticks, first right as a flag, everything after it hatched.
MI.minimap = function (map, frame) {
  const total = Math.max(1, frame.tokens);
  const stamp = [frame.tokens, frame.think, frame.first, frame.state, frame.spots ? 1 : 0].join();
  if (map.dataset.stamp === stamp) return;
  map.dataset.stamp = stamp;
  const part = (cls, from, to) => MI.h("i", { class: cls, style: { left: (100 * from) / total + "%", width: (100 * (to - from)) / total + "%" } });
  const parts = [part("mi-map-think", 0, Math.min(frame.think, total)), part("mi-map-answer", Math.min(frame.think, total), frame.tokens)];
  const after = MI.after(frame);
  if (after !== null) parts.push(part("mi-map-after", frame.first, total));
  const length = frame.thought.length || 1;
  for (const [start, , group] of (frame.spots || {}).thought || []) parts.push(MI.h("i", { class: "mi-map-tick mi-mark-" + group, style: { left: (100 * (start / length) * frame.think) / total + "%" } }));
  if (frame.first !== null && frame.first !== undefined) parts.push(MI.h("i", { class: "mi-map-first", style: { left: (100 * frame.first) / total + "%" } }));
  map.replaceChildren(...parts);
};
