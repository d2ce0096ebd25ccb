// The bar of the Curves tab: opens it, keeps the address, says what is shown, and watches background runs.
"use strict";
MI.curves = function (element, { trigger, props, server, watch }) {
  const h = MI.h;
  const lines = h("ul", { class: "mi-curve-lines" }), notes = h("div", { class: "mi-curve-notes" });
  const status = h("p", { class: "mi-curve-status", role: "status" }), runs = h("ul", { class: "mi-curve-runs", "aria-label": "Sweeps" });
  element.replaceChildren(h("div", { class: "mi mi-curves" }, runs, status, lines, notes));

  // Who steers: a word that the browser keeps, so that a closed tab can come back to its sweeps.
  const owner = (() => {
    try {
      const kept = localStorage.getItem("mi-owner") || MI.token();
      localStorage.setItem("mi-owner", kept);
      return kept;
    } catch { return MI.token(); }
  })();
  let studies = [], refreshed = 0, asking = false, took = 0;
  const seen = {}; // what of each run is shown

  // The address names what is shown: `study=` and `published=`, once for each.
  function address(content) {
    const query = new URLSearchParams(location.search);
    query.delete("study"), query.delete("published");
    for (const name of content.studies) query.append("study", name);
    for (const name of content.overlays) query.append("published", name);
    history.replaceState(history.state, "", location.pathname + "?" + query + location.hash);
  }
  const said = (cls, text) => text && h("p", { class: cls }, text);
  function draw() {
    if (!props.content) return;
    const content = JSON.parse(props.content);
    address(content);
    studies = content.studies;
    if (asking) took = performance.now() - refreshed, asking = false;
    element.dataset.ready = "1";
    lines.replaceChildren(...content.lines.map((line) => h("li", {},
      h("p", {}, h("b", {}, line.name), " ", h("span", { class: "mi-curve-about" }, line.about)),
      said("mi-curve-stage", [line.stages, line.useful].filter(Boolean).join(" ")), said("mi-curve-claims", line.claims))));
    const empty = content.lines.length ? [] : ["No curve is chosen. Take a study above, or set up a sweep below: it is saved as it runs."];
    notes.replaceChildren(...[...content.messages, ...empty].map((text) => said("mi-curve-message", text)), ...content.budget.map((text) => said("mi-curve-budget", text)));
  }
  // Background runs: asked for every second while the tab is seen. What is shown follows a run, but never more than a quarter of the time.
  const WORDS = { running: "running", paused: "paused", stopped: "stopped", done: "done", failed: "broke off", unfinished: "not complete" };
  function words(r) {
    const lams = r.cells_done === null ? "" : ` · ${r.cells_done} of ${MI.plural(r.cells, "cell")} done`;
    const pace = r.state === "running" && r.rate ? ` · ${MI.count(r.rate)} tokens/s` : "";
    const left = r.state === "running" && r.eta !== null ? ` · about ${MI.seconds(r.eta)} left` : r.state === "done" ? ` · in ${MI.seconds(r.seconds)}` : "";
    return `${WORDS[r.state]} · ${MI.count(r.done)} of ${MI.plural(r.total, "sample")}${lams}${pace}${left}`;
  }
  const steer = (text, act) => h("button", { class: "mi-button mi-small", type: "button", onclick: act }, text);
  function item(name) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` }), told = h("span", { class: "mi-num mi-curve-told" }), more = h("p", { class: "mi-curve-message" });
    const act = (what) => async () => {
      const problem = await server[what]({ study: name, owner }).catch(() => "The server does not answer.");
      MI.text(status, problem || "");
      await poll();
      if (what === "resume_run" && !problem && !studies.includes(name)) trigger("look", { studies: [name] });
    };
    const stop = steer("Stop", act("stop_run")), go = steer("Go on", act("resume_run")), look = steer("Show", () => trigger("look", { studies: [name] }));
    const node = h("li", { "data-run": name }, h("b", {}, name), bar, told, h("span", { class: "mi-curve-acts" }, look, stop, go), more);
    const update = (r) => {
      node.dataset.state = r.state;
      bar.value = r.total ? r.done / r.total : 0;
      MI.text(told, words(r)), MI.text(more, r.message), (more.hidden = !r.message);
      stop.hidden = !r.mine || !["running", "paused"].includes(r.state);
      go.hidden = !["stopped", "failed", "unfinished"].includes(r.state);
      look.hidden = studies.includes(name);
    };
    return { node, update };
  }
  const items = new Map();
  async function poll() {
    const found = await server.stands(owner).catch(() => null);
    if (!found) return;
    for (const r of found) {
      if (!items.has(r.study)) items.set(r.study, item(r.study));
      items.get(r.study).update(r);
    }
    const nodes = found.filter((r) => r.state !== "done" || studies.includes(r.study)).map((r) => items.get(r.study).node);
    if (nodes.length !== runs.children.length || nodes.some((node, i) => runs.children[i] !== node)) runs.replaceChildren(...nodes);
    const mark = (r) => `${r.state} ${r.done} ${r.total}`;
    const news = found.filter((r) => studies.includes(r.study) && seen[r.study] !== mark(r)), ended = news.some((r) => r.state !== "running");
    if (asking && performance.now() - refreshed > 30000) asking = false; // an answer got lost
    if (!news.length || asking || (!ended && performance.now() - refreshed < Math.max(2000, 3 * took))) return;
    asking = true, refreshed = performance.now();
    for (const r of found) seen[r.study] = mark(r);
    trigger("refresh", {});
  }
  let busy = false;
  const timer = setInterval(async () => {
    if (!element.isConnected) return clearInterval(timer);
    if (busy || document.hidden || !element.offsetParent || element.dataset.ready !== "1") return;
    busy = true;
    await poll().catch(() => null);
    busy = false;
  }, 1000);
  watch("content", draw);
  draw();
  const asked = new URLSearchParams(location.search);
  setTimeout(() => trigger("opened", { studies: asked.getAll("study"), overlays: asked.getAll("published"), owner }), 0);
};
