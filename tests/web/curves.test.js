import assert from "node:assert/strict";
import { test } from "node:test";

import { mayRefresh, progressKey, progressWords, runName } from "../../assets/web/curves/sweep_words.js";
import { withTheme } from "../../assets/web/figure/theme.js";

const sweep = { state: "running", done: 10, total: 40, cells_done: 1, cells: 4, rate: 900, eta: 30, seconds: 12 };

test("a sweep in words", () => {
  assert.equal(progressWords(sweep), "running · 10 of 40 samples · 1 of 4 cells done · 900 tokens/s · about 30 s left");
  assert.match(progressWords({ ...sweep, done: 0, total: 0 }), /loading/);
  assert.equal(progressWords({ ...sweep, state: "done", cells_done: null }), "done · 10 of 40 samples · in 12 s");
});

test("a study's sweep and its probes have names of their own", () => {
  assert.deepEqual(
    [
      { kind: "sweep", study: "a" },
      { kind: "probes", study: "a" },
    ].map(runName),
    ["a", "probes of a"],
  );
});

test("curves are drawn anew at an end, or in a quarter of the time", () => {
  assert.equal(mayRefresh([], 1e6, 0), false);
  assert.equal(mayRefresh([sweep], 1999, 100), false);
  assert.equal(mayRefresh([sweep], 2000, 100), true);
  assert.equal(mayRefresh([sweep], 2000, 1000), false);
  assert.equal(mayRefresh([{ ...sweep, state: "done" }], 0, 1000), true);
  assert.notEqual(progressKey(sweep), progressKey({ ...sweep, done: 11 }));
});

test("a layout takes the page's colours and keeps what the figure sets", () => {
  const layout = withTheme({ title: "T", yaxis2: { gridcolor: "red", range: [0, 1] } }, (name) => `var(${name})`);
  assert.equal(layout.xaxis.gridcolor, "var(--line)");
  assert.deepEqual([layout.yaxis2.gridcolor, layout.yaxis2.range, layout.yaxis2.automargin], ["red", [0, 1], true]);
  assert.deepEqual([layout.margin.t, layout.paper_bgcolor], [40, "rgba(0,0,0,0)"]);
});
