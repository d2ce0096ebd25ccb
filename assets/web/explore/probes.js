// Probes of the traces on the page: asked for, followed, kept for as long as their strip is.

import { typedNumber } from "../shared/format.js";
import { newToken } from "../shared/server.js";
import { turnWords } from "./strip.js";

export const DEFAULTS = { points: 12, lam: "", free: 0 };
const MOST_KEPT = 200; // traces whose probes are kept

// `app` gives view, sides (runs beside the strip's), showStatus, redrawSoon.
export function traceProbes(app) {
  const kept = new Map(); // run/frame → { state, message, waits, points, …: see probe_words.js; run, picked }
  let options = DEFAULTS;

  const of = (key) => kept.get(key);
  const isRunning = (key) => of(key)?.state === "running";

  // Probes a trace: `source` is { key, run, id, view }, where `view` is what it was made for.
  function start(source, asked = options) {
    const { key } = source;
    if (isRunning(key)) return;
    const lam = typedNumber(String(asked.lam ?? ""));
    const ask = { points: asked.points, free: asked.free, lam: Number.isNaN(lam) ? null : lam };
    const request = {
      token: newToken(),
      kind: "probe",
      view: { ...app.view.get(), ...source.view },
      source: { run: source.run, id: source.id },
      ...ask,
    };
    const record = { state: "running", message: "", waits: "", points: [], wanted: null, picked: null, lam: ask.lam };
    kept.delete(key);
    kept.set(key, record);
    for (const old of [...kept.keys()].slice(0, Math.max(0, kept.size - MOST_KEPT)))
      if (!isRunning(old)) kept.delete(old);
    record.run = app.sides.start(request, {
      state: (state) => receive(key, record, state),
      wait(turn) {
        record.waits = turn ? turnWords(turn) : "";
        app.redrawSoon();
      },
      lost: (message) => receive(key, record, { state: "failed", message, probe: null, waits: null }),
    });
    app.showStatus("");
    app.redrawSoon(true);
  }

  function receive(key, record, { state, message, probe, waits }) {
    if (kept.get(key) !== record) return;
    Object.assign(record, probe || {}, { state, message, waits: waits ? turnWords(waits) : "" });
    if (state === "failed") {
      app.showStatus(message, "error");
      if (!record.points.length) kept.delete(key);
    }
    if (state !== "running") app.onProbed();
    app.redrawSoon(state !== "running");
  }

  async function stop(key) {
    const record = of(key);
    if (!isRunning(key)) return;
    if (!(await record.run.stop())) return;
    kept.delete(key); // it had not begun
    app.redrawSoon(true);
  }

  return {
    of,
    isRunning,
    start,
    stop,
    options: () => options,
    setOptions: (patch) => (options = { ...options, ...patch }),
    // Remembers the point that is looked at in the text; null for none.
    pick(key, token) {
      const record = of(key);
      if (!record || record.picked === token) return;
      record.picked = token;
      app.redrawSoon(true);
    },
    leave(key) {
      of(key)?.run.leave();
      kept.delete(key);
    },
  };
}
