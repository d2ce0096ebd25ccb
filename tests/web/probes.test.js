import assert from "node:assert/strict";
import { test } from "node:test";

import { mayProbe } from "../../assets/web/explore/frames.js";
import { partMarks } from "../../assets/web/explore/marks.js";
import { disagreement, pointKind, pointPlace, pointWords } from "../../assets/web/explore/probe_words.js";
import { probeFlags, probeProgress, probeWords } from "../../assets/web/explore/probe_words.js";

const point = (token, answer, right, more = {}) => ({
  token,
  answer,
  right,
  confidence: 0.5,
  cut: false,
  place: { tokens: token, part: "thought", at: 2 * token },
  ...more,
});
const probe = (points, more = {}) => ({
  state: "done",
  points,
  wanted: points.map((p) => p.token),
  tokens: 100,
  scored: true,
  right: true,
  sufficient: null,
  verbose: 0,
  harmful: false,
  switches: 1,
  first: null,
  lam: null,
  ...more,
});

test("how a point stands, and where", () => {
  const kinds = [point(1, "7", true), point(1, "8", false), point(1, null, false), point(1, "7", null)].map(pointKind);
  assert.deepEqual(kinds, ["right", "wrong", "none", "plain"]);
  assert.equal(pointKind(point(1, "7", true, { cut: true })), "none");
  assert.deepEqual(pointPlace(point(25, "7", true), 100), { x: 0.25, y: 0.5 });
  assert.deepEqual(pointPlace(point(25, "7", true, { confidence: null }), 0), { x: 1, y: 0 });
});

test("a point in words: answer, verdict, confidence, forced and free side by side", () => {
  const words = pointWords(point(1200, "7", true, { free: [true, false, true], confidence: 0.987 }));
  assert.equal(words, "Stopped after token 1,200: “7” · ✓ right · confidence 0.99 · going on: 2 of 3 right");
  assert.equal(pointWords(point(3, null, false, { confidence: null })), "Stopped after token 3: no answer");
  assert.equal(pointWords(point(3, "7", null)), "Stopped after token 3: “7” · confidence 0.50");
});

test("where the text and the model disagree", () => {
  const points = [point(20, "8", false), point(40, "7", true), point(60, "7", true)];
  const at = (sufficient, first) => disagreement(probe(points, { sufficient, first }));
  assert.equal(at(40, 30), ""); // the first stop after the text's place
  assert.match(at(60, 30), /^30 tokens later .*first right at 30/);
  assert.match(at(20, 55), /^35 tokens earlier /);
  assert.equal(at(40, null), "");
  assert.equal(at(null, 30), "");
});

test("what all points say together", () => {
  const points = [point(20, "8", false, { free: [true, true] }), point(40, "7", true, { free: [true, false] })];
  assert.deepEqual(probeWords(probe(points, { sufficient: 40, verbose: 0.6, switches: 1 })), [
    "sufficient at token 40, 60 % verbose",
    "answer changes 1 time",
    "forced right 50 %, going on 75 %",
  ]);
  const harmful = probe([point(20, "7", true), point(40, "8", false)], { right: false, harmful: true });
  assert.match(probeWords(harmful)[0], /^harmful: right when stopped after token 20/);
  assert.match(probeWords(probe(points, { right: false }))[0], /no stop/);
  assert.deepEqual(probeWords(probe([point(9, "7", null)], { scored: false, switches: 0 })), ["one answer throughout"]);
  assert.deepEqual(probeWords(probe([])), []);
});

test("how far a probe run is", () => {
  const running = probe([point(20, "8", false)], { state: "running", wanted: [20, 40], waits: "" });
  assert.equal(probeProgress(running), "1 of 2 stops");
  assert.equal(probeProgress({ ...running, waits: "next in turn" }), "next in turn");
  assert.equal(probeProgress({ ...running, wanted: null }), "probing…");
  assert.equal(probeProgress({ ...running, state: "failed", message: "No GPU." }), "No GPU.");
});

test("flags in the text: sufficient here, and the stop that is looked at, as text", () => {
  const hostile = "<img src=x onerror=1>".repeat(3);
  const found = probe([point(20, hostile, false), point(40, "7", true)], { sufficient: 40 });
  const { thought, answer } = probeFlags(found, 20);
  assert.deepEqual(
    [thought.map((flag) => [flag.at, flag.class.split(" ").at(-1)]), answer],
    [
      [
        [80, "mi-sufficient"],
        [40, "mi-stop-wrong"],
      ],
      [],
    ],
  );
  assert.equal(thought[1].text, `stopped here: ${hostile.slice(0, 39)}…`);
  assert.deepEqual(probeFlags(undefined, null), { thought: [], answer: [] });
  assert.deepEqual(probeFlags({ ...found, state: "running" }, null).thought, []);
  const frame = { tokens: 100, verdict: null, first: null, thought: "x".repeat(100), answer: "" };
  const lens = { mode: "plain", flags: probeFlags(found, null) };
  assert.deepEqual(partMarks(frame, "thought", lens).flags, lens.flags.thought);
});

test("which traces may be probed", () => {
  const frame = { state: "done", tokens: 9, thought: "so" };
  const may = [{}, { state: "cancelled" }, { state: "running" }, { thought: "" }, { tokens: 0 }];
  assert.deepEqual(may.map((part) => mayProbe({ ...frame, ...part })), [true, true, false, false, false]); // prettier-ignore
});
