// The pair: what is loaded in words, and the way to another one. Check reads headers only; Open loads in numbered phases.
"use strict";
MI.pairs = function (app, setup) {
  const h = MI.h, pair = setup.pair;
  const words = (about) => [
    about.rows.length ? h("dl", { class: "mi-about" }, about.rows.map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])) : null,
    about.findings.length ? h("ul", {}, about.findings.map((f) => h("li", { "data-kind": f.kind }, f.text))) : null,
  ];
  const name = h("span", { class: "mi-pair" }, h("b", {}, pair.title), h("span", {}, pair.facts));
  const result = h("div", { class: "mi-judged" });
  let phase = 0, token = "";
  const stop = h("button", { class: "mi-button mi-small", type: "button", title: "Do not load this pair", onclick: () => (stop.disabled = true, app.server.stop(token).catch(() => false)) }, "Stop");
  const said = h("p", { class: "mi-hint mi-num" }), bar = h("progress", { class: "mi-loading", "aria-label": "Loading the pair" }), going = h("div", {}, said, bar, stop);
  const picker = [];
  if (setup.policy !== "fixed") {
    const choice = h("select", { class: "mi-field", "aria-label": "Pair" }, setup.pairs.map((p) => h("option", { value: p.name }, p.title + (p.size ? ` · ${p.size}` : ""))));
    choice.value = setup.pairs.some((p) => p.name === pair.name) ? pair.name : setup.pairs[0].name;
    const own = h("input", { class: "mi-field", type: "text", placeholder: "or: instruct | thinking  (folders or hub ids; ?adapter_on=base may follow)", "aria-label": "Own pair: instruct | thinking", spellcheck: "false", autocomplete: "off", maxlength: "1000" });
    const check = h("button", { class: "mi-button mi-small", type: "button", onclick: judge }, "Check");
    async function judge() {
      const spec = own.value.trim() || choice.value;
      check.disabled = true;
      result.replaceChildren(h("p", { class: "mi-hint" }, "Reading configs and headers…"));
      const about = await app.server.judge(spec).catch(() => ({ error: "The server did not answer." }));
      check.disabled = false;
      if (about.error) return void result.replaceChildren(h("p", { class: "mi-refused" }, about.error));
      const open = h("button", { class: "mi-button mi-small", type: "button", disabled: !about.ok, onclick: () => begin(open, spec) }, "Open this pair");
      result.replaceChildren(h("p", {}, h("b", {}, about.title), " · " + about.facts), ...words(about).filter(Boolean), about.name === pair.name ? "" : open);
    }
    function begin(open, spec) {
      open.disabled = true;
      stop.disabled = false;
      token = MI.token();
      app.trigger("openpair", { spec, token });
    }
    own.addEventListener("keydown", (e) => e.key === "Enter" && !e.ctrlKey && judge());
    picker.push(h("h3", {}, "Another pair"), h("div", { class: "mi-row" }, choice, setup.policy === "any" ? own : null, check), result);
  }
  const node = h("details", { class: "mi-fold-knob mi-findings" }, h("summary", { title: "About this pair" }, name), h("div", { class: "mi-panel" }, words(pair), picker));
  document.addEventListener("pointerdown", (e) => node.open && !node.contains(e.target) && (node.open = false));
  return {
    node,
    close: () => node.open && ((node.open = false), true),
    hear(step) {
      if (!step) return;
      if (step.error) return (phase = 0), result.replaceChildren(h("p", { class: "mi-refused" }, step.error)), app.say(step.error, "error");
      if (!step.loaded) {
        const words = `${step.phase} of ${step.of}: ${step.text}…`;
        if (phase !== step.phase) app.say("Loading the pair, " + words), (phase = step.phase); // spoken once a phase, not at every tensor
        bar.hidden = !step.total;
        if (step.total) (bar.max = step.total), (bar.value = step.done);
        MI.text(said, words);
        if (!going.isConnected) result.replaceChildren(going);
        return;
      }
      const { q, gold, t, seed } = app.view.get(); // layers and methods mean something else there
      location.search = MI.address({ ...setup.defaults, pair: step.loaded, q, gold, t, seed }, setup.fields, setup.version, setup.linkLimit);
    },
  };
};
