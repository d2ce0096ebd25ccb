// What was branched and probed, in the address: kept up to date there, and offered to be made again when a link brings it.

import { h, setText, smallButton } from "../shared/dom.js";
import { lamText } from "../shared/format.js";
import { isPending, sameLam } from "./frames.js";
import { branchText, offerWords, probeOfText, probeText } from "./probe_links.js";
import { isEmpty, viewKey } from "./strip.js";

// `app` gives view, strips, branches, probes, board, start, isRunning, showStatus.
export function interventionLinks(app, setup) {
  let offer = null; // { branches, probes, key }: of a link, not made yet
  let plan = null; // the same, being made: { probes: [{ …, number }], key }, as soon as their traces are there
  const words = h("span");
  const make = smallButton("Make them", accept, { class: "mi-offer-make" });
  const node = h(
    "div.mi-offer",
    { role: "group", "aria-label": "From the link", hidden: true },
    words,
    make,
    smallButton("Leave them", drop),
  );

  // -- into the address --
  function sync() {
    if (offer || plan) return;
    app.view.set(app.strips.isStale() || isForeign() ? { branches: [], probes: [] } : found());
  }
  const isForeign = () => (app.strips.current().view?.pair ?? setup.pair.name) !== setup.pair.name;
  function found() {
    const list = app.branches.current();
    const keyOf = (frame) => `${frame.run || app.strips.current().token}/${frame.id}`;
    const texts = [
      ...app.strips.frames().map((frame) => [frame.lam, app.probes.of(keyOf(frame))]),
      ...list.map((branch, i) => [{ branch: i + 1 }, app.probes.of(keyOf(branch.frame))]),
    ];
    const probes = texts.filter(([, probe]) => probe?.asked && probe.points.length);
    return {
      branches: list.map(branchText),
      probes: probes
        .slice(0, setup.mostProbed)
        .map(([target, probe]) => probeText(target, { ...probe.asked, lam: probe.lam })),
    };
  }

  // -- from the address --
  function propose({ branches, probes }) {
    if (!branches.length && !probes.length) return;
    offer = { branches, probes, key: viewKey(app.view.get()) };
    app.view.set({ branches, probes }); // they stay in the address until somebody decides
    draw();
  }
  function draw() {
    node.hidden = !offer;
    if (offer) setText(words, `This link holds ${offerWords(offer)}.`);
  }
  function drop() {
    offer = plan = null;
    draw();
    sync();
  }
  function accept() {
    plan = offer;
    offer = null;
    draw();
    if (app.strips.isStale() || isEmpty(app.strips.current())) app.start("strip");
    else fulfil();
    if (!app.isRunning() && plan?.branches) drop(); // it could not be started
  }
  // The strip is there: makes the branches, and the probes of its own traces; those of branches wait for them.
  function fulfil() {
    const { branches, probes, key } = plan;
    const made = branches.map((path) => app.branches.again(path));
    const asked = probes.map(probeOfText).filter(Boolean);
    plan = {
      key,
      waiting: asked.filter((probe) => probe.branch).map((probe) => ({ ...probe, branch: made[probe.branch - 1] })),
    };
    for (const probe of asked.filter((one) => !one.branch)) probeFrame(probe);
    probeBranches();
  }
  function probeFrame(probe) {
    const frame = app.strips.frames().find(({ lam }) => sameLam(lam, probe.at));
    if (frame) app.board.probeFrame(frame, probe);
    else app.showStatus(`λ ${lamText(probe.at)} is not on this strip: run it here, then probe it.`, "error");
  }
  function probeBranches() {
    if (!plan?.waiting) return;
    const ready = plan.waiting.filter(({ branch }) => !branch || !isPending(branch.frame));
    plan.waiting = plan.waiting.filter((one) => !ready.includes(one));
    for (const probe of ready) if (probe.branch?.frame.tokens) app.board.probeFrame(probe.branch.frame, probe);
    if (!plan.waiting.length) plan = null;
    sync();
  }

  return {
    node,
    sync,
    propose,
    branchEnded: () => (plan?.waiting ? probeBranches() : sync()),
    // The strip's run has ended: `isDone`, or it was stopped or failed.
    ran(isDone) {
      if (plan?.branches && isDone) fulfil();
      else if (plan?.branches) drop();
      else sync();
    },
    // Other settings: a link's branches are not of them.
    viewChanged(view) {
      const key = (offer || plan)?.key;
      if (key && key !== viewKey(view)) drop();
      else sync();
    },
  };
}
