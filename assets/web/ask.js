// The question: text, known answer, examples per family, Run and Stop.
"use strict";
MI.ask = function (app, setup, knobs) {
  const h = MI.h;
  const area = h("textarea", { class: "mi-prompt", rows: "2", id: "mi-prompt", placeholder: "Ask something that has to be worked out…", spellcheck: "false", "aria-label": "Question" });
  const gold = h("input", { class: "mi-field mi-gold", type: "text", placeholder: "unknown", "aria-label": "Known answer (optional; turns verdicts on)", spellcheck: "false", autocomplete: "off", maxlength: "500" });
  const run = h("button", { class: "mi-button mi-primary", type: "button", title: "Run the strip (Ctrl+Enter)" }, "Run");
  const stop = h("button", { class: "mi-button mi-stop", type: "button", title: "Stop (Esc)", hidden: true }, "Stop");
  const progress = h("span", { class: "mi-progress mi-num" });
  const chips = h("div", { class: "mi-examples", role: "group", "aria-label": "Examples" });
  let typed = false; // a known answer that came with a question goes when the question is edited; a typed one stays
  const take = (e) => ((typed = false), app.view.set({ q: e.q, gold: e.gold }));
  chips.append(...setup.examples.map((e) => h("button", { type: "button", class: "mi-example", title: e.q, onclick: () => take(e) }, e.family.replaceAll("_", " "))));
  if (setup.task) {
    chips.append(h("button", { type: "button", class: "mi-example mi-random", title: `A random held-out question of ${setup.task}`, onclick: async () => {
      const answer = await app.server.draw(setup.pair.name).catch(() => ({ error: "The server did not answer." }));
      answer.error ? app.say(answer.error, "error") : take(answer);
    } }, "random question"));
  }
  area.addEventListener("input", () => (fit(), app.view.set(typed ? { q: area.value } : { q: area.value, gold: "" })));
  gold.addEventListener("input", () => ((typed = gold.value.trim() !== ""), app.view.set({ gold: gold.value.trim() })));
  MI.pressed(run, (button) => app.press("strip", button));
  run.addEventListener("click", () => app.run("strip"));
  stop.addEventListener("click", () => app.stop());
  function fit() {
    area.style.height = "auto";
    area.style.height = Math.min(area.scrollHeight + 2, 180) + "px";
  }
  return {
    area,
    node: h("section", { class: "mi-ask", "aria-label": "Question" },
      h("div", { class: "mi-ask-row" }, area, h("label", { class: "mi-labelled mi-gold-label" }, "Known answer", gold)),
      chips,
      h("div", { class: "mi-ask-bar" }, knobs.node, h("div", { class: "mi-run" }, progress, stop, run))),
    draw(view) {
      if (area.value !== view.q) (area.value = view.q), fit();
      if (document.activeElement !== gold && gold.value !== view.gold) gold.value = view.gold;
      for (const [i, e] of setup.examples.entries()) chips.children[i].setAttribute("aria-pressed", String(e.q === view.q));
    },
    state(running, stale, words) {
      stop.hidden = !running;
      run.disabled = running;
      run.classList.toggle("mi-wanted", stale && !running);
      MI.text(progress, words);
    },
  };
};
