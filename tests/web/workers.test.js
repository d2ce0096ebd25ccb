import assert from "node:assert/strict";
import { test } from "node:test";

import { safeLink, workerWords } from "../../assets/web/shared/workers.js";

const worker = { name: "worker 1", host: "node-a", state: "busy", done: 1200, rate: 341.5, note: "" };

test("a worker in words", () => {
  assert.match(workerWords(worker), /^worker 1 \(node-a\): busy · 1,200 samples · 34[12] tokens\/s$/);
  const loading = { ...worker, host: "", state: "loading", done: 0, rate: 0 };
  assert.equal(workerWords(loading), "worker 1: loading · 0 samples");
  assert.match(workerWords({ ...loading, state: "lost", note: "other files" }), /lost · 0 samples · other files$/);
  assert.equal(workerWords(worker, false), "worker 1 (node-a): 1,200 samples");
});

test("only http and https become a link", () => {
  assert.equal(safeLink("http://127.0.0.1:8265"), "http://127.0.0.1:8265/");
  assert.equal(safeLink("https://ray.example.org/x"), "https://ray.example.org/x");
  for (const bad of [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,x",
    "file:///etc",
    "",
    "127.0.0.1:8265",
  ])
    assert.equal(safeLink(bad), "");
});
