// Explore, put together: one view, one strip, the parts that draw them, and the run that fills the strip.

import { addressWriter } from "../shared/address.js";
import { h, setText, smallButton } from "../shared/dom.js";
import { exploreIsReady } from "../shared/explore_link.js";
import { observable } from "../shared/observable.js";
import { setLamScale } from "../shared/palette.js";
import { loadStyle } from "../shared/style.js";
import { followTabs, onTabIntent, openTab } from "../shared/tabs.js";
import { traceBoard } from "./board.js";
import { traceBranches } from "./branches.js";
import { controls } from "./controls.js";
import { pageHeader } from "./header.js";
import { helpDialog, listenToKeys } from "./keys.js";
import { lensBar } from "./lenses.js";
import { interventionLinks } from "./links.js";
import { pairPanel } from "./pair_panel.js";
import { traceProbes } from "./probes.js";
import { questionForm } from "./question.js";
import { lamRail } from "./rail.js";
import { runControl } from "./run_control.js";
import { sideRuns } from "./side_runs.js";
import { steerView } from "./steer_view.js";
import { steeringOf } from "./steering.js";
import { progressWords, stripLabel, viewKey } from "./strip.js";
import { Strips } from "./strips.js";
import { tokenBars } from "./token_bars.js";
import { firstTour } from "./tour.js";

const REST_MS = 40; // without a drawing, after which an update need not wait for the next frame of the screen
const INTERVENED = ["branches", "probes", "schedule", "expected"]; // follow what stands beside the strip
const SWAP_TITLE = "Show the strip that was here before, with its settings; once more brings this one back";

// Opens the page once its pair is known: at once, unless the address names another one, which the server then hands over.
export async function openExplore(element, api) {
  await loadStyle();
  let app = null;
  const open = () => (app ||= exploreIn(element, api));
  api.watch("opened", () => (app ? app.takeAddress() : open()));
  const asked = new URLSearchParams(location.search).get("pair");
  if (!asked || asked === JSON.parse(api.props.setup).pair.name || api.props.opened) open();
  onTabIntent(loadCharts);
  followTabs();
}

// What the other tabs draw with.
async function loadCharts() {
  const [{ loadPlotly }] = await Promise.all([import("../figure/plotly.js"), import("../figure/figure.js")]);
  loadPlotly().catch(() => null); // the figure that needs it says so
}

function exploreIn(element, { trigger, props, server, watch }) {
  const setup = JSON.parse(props.setup);
  setLamScale(setup.palette);
  const view = observable({ ...setup.defaults, ...setup.strip.view });
  const strips = new Strips(setup.strip, view, (token) => app.board.forget(token));
  const writeAddress = addressWriter(setup);
  const app = {
    view,
    strips,
    server,
    trigger,
    isVisible: () => element.offsetParent !== null, // false while another tab is shown
    steering: steeringOf(setup.steer),
    isRunning: () => run.isRunning() || app.steer.isRunning(),
    start,
    stop: () => (app.steer.isRunning() ? app.steer.stop() : run.stop()),
    stopThinking,
    sharedView: () => app.steer.sharedView(view.get()),
    viewWasSteered: () => writeAddress(app.sharedView()),
    showStatus,
    redraw,
    redrawSoon,
    drawBar,
    togglePin,
    takeAddress,
    patch: patchFromOutside,
    show,
    onProbed: () => links.sync(),
    onBranched: () => links.branchEnded(),
    onRan: (isDone) => links.ran(isDone),
  };
  const link = { stream: setup.live, trigger, server };
  const run = runControl(app, setup, link);
  app.sides = sideRuns(link);
  app.probes = traceProbes(app);
  app.branches = traceBranches(app, setup);
  const links = interventionLinks(app, setup);
  app.board = traceBoard(app);
  app.rail = lamRail(app);
  app.bars = tokenBars(app);
  app.steer = steerView(app, setup, link);
  app.controls = controls(app, setup);
  app.question = questionForm(app, setup);
  app.lenses = lensBar(app, setup);
  app.pairs = pairPanel(app, setup);
  app.help = helpDialog();
  const status = h("p.mi-status", { role: "status" });
  const label = h("span.mi-source");
  const swap = smallButton("Previous strip", swapStrips, { title: SWAP_TITLE, hidden: true });
  const bar = h("div.mi-board-bar", label, swap, status, app.lenses.node);
  const parts = [
    pageHeader(app, setup),
    app.question.node,
    bar,
    links.node,
    app.steer.node,
    app.board.node,
    app.rail.node,
  ];
  element.replaceChildren(h("div.mi", parts, app.rail.study.words, app.bars.node, app.help, app.pairs.dialog));

  function showStatus(words, kind = "") {
    setText(status, words);
    status.dataset.kind = words ? kind : "";
  }
  function start(kind) {
    if (!app.steer.isRunning()) app.steer.leave();
    run.start(kind);
  }
  // Closes the thought of a frame of the strip.
  async function stopThinking(frame) {
    const problem = await app.steering.act(frame.run || strips.current().token, frame.id, { what: "stop" });
    if (problem) showStatus(problem, "error");
  }
  function togglePin() {
    const { lam, pins } = view.get();
    if (pins.includes(lam)) view.set({ pins: pins.filter((x) => x !== lam) });
    else if (pins.length >= setup.mostPins) showStatus(`At most ${setup.mostPins} pins.`, "error");
    else view.set({ pins: [...pins, lam].sort((a, b) => a - b) });
  }
  function swapStrips() {
    if (run.isRunning() || !strips.previous) return;
    app.rail.stop();
    patch(strips.swap());
    links.sync();
    redraw();
    showStatus("");
  }

  // -- drawing --
  let drawnAt = 0;
  let isDrawPending = false;
  function redraw() {
    drawnAt = performance.now();
    app.board.node.hidden = app.lenses.node.hidden = app.steer.isOpen();
    if (app.steer.isOpen()) app.steer.draw();
    app.board.update();
    app.rail.drawFrames();
    app.bars.draw();
    drawBar();
  }
  // First tokens, the end, and an update after a rest draw at once; a burst of them draws once, at the next frame of the
  // screen. A hidden tab draws when it is seen again.
  function redrawSoon(isUrgent) {
    if (isDrawPending) return;
    if (!document.hidden && (isUrgent || performance.now() - drawnAt > REST_MS)) {
      redraw();
      return;
    }
    isDrawPending = true;
    requestAnimationFrame(() => {
      isDrawPending = false;
      redraw();
    });
  }
  function drawBar() {
    const [strip, progress, stale, running] = [strips.current(), run.progress(), strips.isStale(), app.isRunning()];
    const steered = app.steer.stopping() ? "stopping…" : "";
    app.question.showRun(running, stale, progress ? progressWords(strip, progress) : steered);
    const words = stripLabel(strip, view.get(), { stale, running, pair: setup.pair.name });
    setText(label, app.steer.isOpen() ? "One response, steered" : words);
    label.classList.toggle("mi-warn", stale && !app.steer.isOpen());
    swap.hidden = !strips.previous || running || app.steer.isOpen();
  }
  function drawSettings(now) {
    for (const part of [app.controls, app.question, app.lenses]) part.draw(now);
  }
  view.watch((now, changed) => {
    writeAddress(app.sharedView());
    if ([...changed].every((key) => INTERVENED.includes(key))) return; // what these say is drawn already
    if (changed.size === 1 && changed.has("lam")) drawMove(now.lam);
    else drawChange(now);
    links.viewChanged(now);
  });
  function drawMove(lam) {
    app.board.update();
    app.rail.drawLam();
    app.bars.drawLam();
    if (lam >= 0 && lam <= 1) app.rail.leaders.moveBlend();
    else app.rail.leaders.draw(); // the rail itself may have grown
  }
  function drawChange(now) {
    drawSettings(now);
    redraw();
    app.rail.leaders.draw();
    app.rail.study.look(now);
  }

  // -- what comes from outside --
  watch("value", () => (app.steer.isRunning() ? app.steer.receive(props.value) : run.receive(props.value)));
  watch("value", () => app.sides.receive(props.value));
  watch("value", () => app.pairs.showLoading(props.value?.loading));
  // What the address asks for. A question from there has no traces yet: the strip on the page is stale then.
  function takeAddress() {
    if (!props.opened) return;
    const { view: asked, given, messages } = JSON.parse(props.opened);
    element.dataset.opened = "1";
    setFromLink(Object.fromEntries(Object.entries(asked).filter(([key]) => given.includes(key))));
    if (messages.length) showStatus(messages.join(" "), "error");
  }
  const patchable = new Set(setup.fields.map(([key]) => key).filter((key) => key !== "pair"));
  const known = (part) => Object.entries(part).filter(([key, x]) => patchable.has(key) && x !== undefined);
  function patch(part) {
    view.set(Object.fromEntries(known(part).filter(([key]) => !INTERVENED.includes(key))));
  }
  function patchFromOutside(part) {
    setFromLink(Object.fromEntries(known(part)));
  }
  // Branches and probes of a link are offered; nothing is run before somebody wants it.
  function setFromLink({ branches = [], probes = [], schedule = "", expected = "", ...rest }) {
    if (schedule || expected) queueMicrotask(() => app.steer.openLink({ ...view.get(), schedule, expected }));
    view.set(rest);
    links.propose({ branches, probes });
  }
  // A finished strip from elsewhere takes the place of the one on the board. A run that is going on is stopped for it.
  function show(part, strip) {
    if (!app.isVisible()) openTab("explore");
    if (strip?.error) {
      showStatus(strip.error, "error");
      return;
    }
    const wasRunning = Boolean(strip) && [app.steer.leave(), run.leave()].includes(true);
    if (strip) openStrip(strip);
    patch(part);
    if (strip) {
      redraw();
      showStatus(wasRunning ? "The run was stopped to open this." : "");
    }
    app.board.reveal();
    app.rail.leaders.draw();
  }
  function openStrip(strip) {
    app.rail.stop();
    const isOfPair = strip.view.pair === setup.pair.name;
    const key = isOfPair ? viewKey({ ...view.get(), ...strip.view }) : "another pair";
    strips.replace({ ...strip, key, source: strip.label }, view.get());
    patch(strip.view);
  }

  listenToKeys(app);
  drawSettings(view.get());
  redraw();
  takeAddress();
  app.rail.study.look(view.get());
  app.board.reveal();
  app.rail.leaders.draw();
  element.dataset.ready = "1";
  exploreIsReady(app);
  firstTour(element);
  return app;
}
