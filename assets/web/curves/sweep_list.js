// Sweeps and probes in the background: asked for every second while the tab is seen, with buttons that steer them.

import { h, setText, setTexts, smallButton } from "../shared/dom.js";
import { answerOr, NO_ANSWER } from "../shared/server.js";
import { workersBlock } from "../shared/workers.js";
import { mayRefresh, progressWords, progressKey, runName } from "./sweep_words.js";

const POLL_MS = 1000;
const LOST_MS = 30000; // after which a refresh without an answer is taken for lost

export function sweepList({ trigger, server, owner }) {
  const node = h("ul.mi-curve-runs", { "aria-label": "Sweeps" });
  const status = h("p.mi-curve-status", { role: "status" });
  const items = new Map(); // name of a run → its item
  const seen = {}; // name of a run → what of it is shown
  const refresh = { at: 0, tookMs: 0, isAsked: false };
  let shown = []; // the studies whose curves are shown

  const isShown = (study) => shown.includes(study);
  const actions = {
    isShown,
    show: (study) => trigger("look", { studies: [study] }),
    changeWorkers: (study, change) => answerOr(NO_ANSWER, server.change_workers({ study, change })),
    async steer(what, { kind, study }) {
      const problem = await answerOr(NO_ANSWER, server[what]({ kind, study, owner }));
      setText(status, problem || "");
      await poll();
      if (what === "resume_sweep" && !problem && !isShown(study)) actions.show(study);
    },
  };

  async function poll() {
    const found = await answerOr(null, server.sweep_states(owner));
    if (!found) return;
    for (const sweep of found) {
      const name = runName(sweep);
      if (!items.has(name)) items.set(name, sweepItem(sweep, actions));
      items.get(name).update(sweep);
    }
    const nodes = found.filter((s) => s.state !== "done" || isShown(s.study)).map((s) => items.get(runName(s)).node);
    const isSame = nodes.length === node.children.length && nodes.every((item, i) => node.children[i] === item);
    if (!isSame) node.replaceChildren(...nodes);
    refreshCurves(found);
  }
  // What is shown follows the sweeps.
  function refreshCurves(found) {
    const news = found.filter((s) => isShown(s.study) && seen[runName(s)] !== progressKey(s));
    const sinceMs = performance.now() - refresh.at;
    if (sinceMs > LOST_MS) refresh.isAsked = false;
    if (refresh.isAsked || !mayRefresh(news, sinceMs, refresh.tookMs)) return;
    Object.assign(refresh, { isAsked: true, at: performance.now() });
    for (const sweep of found) seen[runName(sweep)] = progressKey(sweep);
    trigger("refresh", {});
  }

  return {
    node,
    status,
    // Notes which studies the curves show now: the answer to a refresh, if one was asked for.
    setShown(studies) {
      shown = studies;
      if (refresh.isAsked) refresh.tookMs = performance.now() - refresh.at;
      refresh.isAsked = false;
    },
    // Polls from now on, while the tab is there and seen.
    follow(isThere, isSeen) {
      let isBusy = false;
      const timer = setInterval(async () => {
        if (!isThere()) clearInterval(timer);
        if (isBusy || document.hidden || !isThere() || !isSeen()) return;
        isBusy = true;
        await poll().catch(() => null);
        isBusy = false;
      }, POLL_MS);
    },
  };
}

function sweepItem(run, actions) {
  const { study } = run;
  const name = runName(run);
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` });
  const progress = h("span.mi-num.mi-curve-progress");
  const message = h("p.mi-curve-message");
  const workers = workersBlock((by) => actions.changeWorkers(study, by));
  const show = smallButton("Show", () => actions.show(study));
  const stop = smallButton("Stop", () => actions.steer("stop_sweep", run));
  const resume = smallButton("Go on", () => actions.steer("resume_sweep", run));
  const buttons = h("span.mi-curve-acts", show, stop, resume);
  const node = h("li", { "data-run": name }, h("b", name), bar, progress, buttons, workers.node, message);
  function update(sweep) {
    node.dataset.state = sweep.state;
    bar.value = sweep.total ? sweep.done / sweep.total : 0;
    setText(progress, progressWords(sweep));
    setTexts([[message, sweep.message]]);
    workers.update(sweep, sweep.state === "running");
    stop.hidden = !sweep.mine || !["running", "paused"].includes(sweep.state);
    resume.hidden = !["stopped", "failed", "unfinished"].includes(sweep.state);
    show.hidden = actions.isShown(study);
  }
  return { node, update };
}
