// Runs beside the strip's: probes and branches, several at once. Where they come as events of Gradio, all of them come through
// the one value of the component, and each takes the states of its own token.

import { gradioState } from "./live_state.js";
import { Run } from "./run.js";

// `link`: what a `Run` needs.
export function sideRuns(link) {
  const running = new Set();
  return {
    // Starts a run; `on` as for `Run`.
    start(request, on) {
      const over = () => running.delete(run);
      const run = new Run(request, link, {
        state(state) {
          if (state.state !== "running") over();
          on.state(state);
        },
        wait: (turn) => on.wait(turn),
        lost(message) {
          over();
          on.lost(message);
        },
      });
      running.add(run);
      return run;
    },
    receive(value) {
      if (!running.size || !value?.run) return;
      const state = gradioState(value);
      for (const run of [...running]) run.receive(state);
    },
  };
}
