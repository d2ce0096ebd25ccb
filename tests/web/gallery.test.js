import assert from "node:assert/strict";
import { test } from "node:test";

import { downloadWords, fitWords, memoryWords } from "../../assets/web/explore/pair_words.js";

const needs = { folded: 8.46e9, rowwise: 26.4e9 };

test("what is fetched: nothing where it is here, about so much where it is not", () => {
  assert.equal(downloadWords({ download: 0, shipped: true }), "none, it is here");
  assert.match(downloadWords({ download: 0, shipped: false }), /fetched before/);
  assert.equal(downloadWords({ download: 24e9 }), "about 24 GB");
  assert.equal(downloadWords({ download: 0.27e9 }), "about 0.3 GB");
  assert.equal(downloadWords({ download: null }), "unknown");
});

test("memory is about right without headers, and exact with them", () => {
  assert.equal(memoryWords({ needs, exact: false }), "about 8.5 GB; 26 GB for every λ at once");
  assert.equal(
    memoryWords({ needs: { folded: 7.4e7, rowwise: 8.7e7 }, exact: true }),
    "74.0 MB; 87.0 MB for every λ at once",
  );
  assert.equal(memoryWords({ needs: null }), "unknown");
});

test("what does not fit says how much is missing; what is not known says nothing", () => {
  assert.deepEqual(
    ["rowwise", "folded", "no", ""].map((fits) => fitWords({ fits, needs, usable: 6.1e9 }).kind),
    ["yes", "slow", "no", ""],
  );
  assert.equal(fitWords({ fits: "no", needs, usable: 6.1e9 }).text, "Needs 8.5 GB; 6.1 GB may be used here");
  assert.equal(fitWords({ fits: "", needs, usable: null }).text, "");
});
