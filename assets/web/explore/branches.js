// Branches: traces that go on from a token of another one. Each is a run of its own with one frame, kept with its strip.

import { newToken } from "../shared/server.js";
import { branchPath, CHECK, lastStep } from "./branch_path.js";
import { endedFrames, isPending } from "./frames.js";
import { sourcePane } from "./probe_links.js";
import { turnWords } from "./strip.js";

const UNLIKE = "The tokens of this branch are not those that the link speaks of: weights, device or version differ.";
const BLANK = {
  thought: "",
  answer: "",
  tokens: 0,
  think: 0,
  first: null,
  markers: {},
  tps: 0,
  message: "",
  state: "queued",
};

// `app` gives view, strips, sides (runs beside the strip's), showStatus, redrawSoon.
export function traceBranches(app, setup) {
  const full = `At most ${setup.mostBranches} branches stand beside a strip. Close one of them first.`;
  const kept = new Map(); // token of a strip → its branches
  let born = 0;

  const of = (token) => kept.get(token) || [];
  const current = () => of(app.strips.current().token);
  const frameOf = (branch, frame) => ({ ...frame, key: branch.id, run: branch.run.token, lam: branch.lam });

  // Goes on from a trace: `source` is { pane, run, id, view, lam, schedule, path }, see `branchPath`. The branch, or null.
  function start(source, at, lam) {
    const path = branchPath(source, at, lam);
    const from = { source: { run: source.run, id: source.id }, at, lam };
    return add({ source: source.pane, path, at, lam }, { ...from, view: { ...app.view.get(), ...source.view } });
  }

  // Makes a branch again that a link speaks of, for the strip on the board.
  function again(path) {
    const step = lastStep(path);
    if (!step) {
      app.showStatus(`The link speaks of a branch “${path.slice(0, 60)}”, which is none.`, "error");
      return null;
    }
    const plain = path.replace(CHECK, "");
    const source = sourcePane(step, plain, current(), app.view.get());
    return add({ source, path: plain, at: step.at, lam: step.lam }, { path, view: app.view.get() });
  }

  function add(fields, request) {
    const strip = app.strips.current().token;
    const list = of(strip);
    if (list.length >= setup.mostBranches) {
      app.showStatus(full, "error");
      return null;
    }
    const branch = { id: `branch${++born}`, strip, waits: "", frame: null, ...fields };
    branch.run = app.sides.start(
      { token: newToken(), kind: "branch", ...request },
      {
        state: (state) => receive(branch, state),
        wait(turn) {
          branch.waits = turn ? turnWords(turn) : "";
          setMessage(branch, branch.waits);
        },
        lost: (message) => receive(branch, { ...lostState(branch), message }),
      },
    );
    branch.frame = frameOf(branch, { ...BLANK, id: "branch" });
    kept.set(strip, [...list, branch]);
    app.showStatus("");
    app.redrawSoon(true);
    return branch;
  }

  function setMessage(branch, message) {
    branch.frame = { ...branch.frame, message };
    app.redrawSoon();
  }
  const lostState = (branch) => ({ state: "failed", frames: endedFrames({ branch: branch.frame }) });

  function receive(branch, { state, message, frames, waits, replayed }) {
    if (!of(branch.strip).includes(branch)) return;
    const isFirst = !branch.frame.tokens;
    if (frames.branch) branch.frame = frameOf(branch, frames.branch);
    if (waits) branch.frame = { ...branch.frame, message: `Waiting, ${turnWords(waits)}.` };
    if (state === "failed") {
      app.showStatus(message, "error");
      if (!branch.frame.tokens) close(branch.id);
    } else if (replayed && !replayed.equal) app.showStatus(UNLIKE, "error");
    if (state !== "running") app.onBranched();
    app.redrawSoon(isFirst || state !== "running");
  }

  function close(id) {
    for (const [strip, list] of kept) {
      const branch = list.find((x) => x.id === id);
      if (!branch) continue;
      branch.run.leave();
      kept.set(strip, list.filter((x) => x !== branch)); // prettier-ignore
      app.onBranched();
      app.redrawSoon(true);
    }
  }

  async function stop(id) {
    const branch = current().find((x) => x.id === id);
    if (branch && isPending(branch.frame) && (await branch.run.stop())) close(id);
  }

  return {
    start,
    again,
    close,
    stop,
    current,
    problem: () => full,
    // Drops the branches of all strips but these.
    forget(tokens) {
      for (const [strip, list] of [...kept]) {
        if (tokens.includes(strip)) continue;
        for (const branch of list) branch.run.leave();
        kept.delete(strip);
      }
    },
  };
}
