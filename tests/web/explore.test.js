import assert from "node:assert/strict";
import { test } from "node:test";

import { lamPlace, lamSpan, nextStep, niceTop, tenths, valueAt } from "../../assets/web/explore/axis.js";
import { endedFrames, frameFacts, frameNote, nearestFrame } from "../../assets/web/explore/frames.js";
import { shareAfterFirst, verdictOf } from "../../assets/web/explore/frames.js";
import { layersOf, layersText, scopeWords } from "../../assets/web/explore/layers.js";
import { applyDelta, gradioState, splitEvents } from "../../assets/web/explore/live_state.js";
import { cutText, firstDifference, newWords, partMarks } from "../../assets/web/explore/marks.js";
import { questionProblem } from "../../assets/web/explore/run_control.js";
import { endWords, progressWords, stripAfter, stripLabel, turnWords } from "../../assets/web/explore/strip.js";
import { viewKey, viewOf } from "../../assets/web/explore/strip.js";
import { Strips } from "../../assets/web/explore/strips.js";

const frame = (part) => ({
  tokens: 0,
  think: 0,
  thought: "",
  answer: "",
  first: null,
  state: "done",
  verdict: null,
  ...part,
});

test("the axis: span, places, steps, ticks, tops, values between points", () => {
  assert.deepEqual(lamSpan([0.5, 1.2, -0.1]), [-0.1, 1.2]);
  assert.match(lamPlace(0.5, [0, 2]), /0\.25000/);
  assert.deepEqual([nextStep(0.43, 1, []), nextStep(0.4, -1, []), nextStep(1, 1, [])], [0.5, 0.3, null]);
  assert.equal(nextStep(0.4, 1, [{ lam: 0 }, { lam: 0.47 }]), 0.47);
  assert.deepEqual(tenths([-0.15, 0.2]), [-0.1, 0, 0.1, 0.2]);
  assert.deepEqual([0, 7, 11, 108, 260, 4000].map(niceTop), [10, 10, 15, 150, 300, 4000]);
  const points = [{ lam: 0, x: 1 }, { lam: 0.5, x: 3 }, { lam: 1, x: null }]; // prettier-ignore
  assert.deepEqual([0, 0.25, 0.5, 0.75, 2].map((lam) => valueAt(points, "x", lam)), [1, 2, 3, null, null]); // prettier-ignore
});

test("the nearest frame; a tie goes to the smaller λ", () => {
  assert.equal(nearestFrame([{ lam: 0 }, { lam: 0.4 }, { lam: 0.5 }], 0.45).lam, 0.4);
  assert.equal(nearestFrame([], 0.45), null);
});

test("a trace that was cut off is not called wrong", () => {
  assert.equal(verdictOf(frame({ truncated: true, verdict: "wrong" })).word, "cut at the limit");
  assert.equal(verdictOf(frame({ verdict: "wrong" })).word, "wrong");
  assert.equal(verdictOf(frame({ state: "running", thought: "Hm" })).word, "thinking");
  assert.equal(verdictOf(frame({ state: "running" })).word, "answering");
});

test("the share after the answer was first right needs a right answer", () => {
  assert.equal(shareAfterFirst(frame({ tokens: 10, first: 4, verdict: "correct" })), 0.6);
  assert.equal(shareAfterFirst(frame({ tokens: 10, first: 4, verdict: "wrong" })), null);
  assert.equal(shareAfterFirst(frame({ tokens: 10, verdict: "correct" })), null);
});

test("facts and notes of a frame", () => {
  const facts = frameFacts(frame({ tokens: 12, think: 9, markers: { a: 1, b: 2 }, state: "running", tps: 40 }));
  assert.deepEqual(facts, {
    tokens: "12 tokens",
    split: "9 thought + 3 answer",
    speed: "40/s",
    reflect: "3 reflections",
    loops: "",
  });
  assert.equal(frameNote(frame({ message: "Out of memory.", answer: "x" })), "Out of memory.");
  assert.equal(frameNote(frame({ answer: "x" })), "");
  const ended = endedFrames({ 0: { state: "running" }, 1: { state: "done" } });
  assert.deepEqual([ended[0].state, ended[1].state], ["cancelled", "done"]);
});

test("layers as text, and back", () => {
  for (const [numbers, text] of [
    [[0, 1, 2, 5], "0-2,5"],
    [[0, 1, 2, 3, 4, 5], "all"],
    [[], "none"],
    [[4], "4"],
  ]) {
    // prettier-ignore
    assert.equal(layersText(numbers, 6), text);
    assert.deepEqual(layersOf(text, 6), numbers);
  }
  assert.deepEqual(
    [layersOf("5, 0-2", 6), layersOf("3-2", 6), layersOf("6", 6), layersOf("x", 6)],
    [[0, 1, 2, 5], null, null, null],
  );
  const present = ["attention", "mlp", "norm", "lm_head"];
  assert.equal(scopeWords({ layers: "0-3", modules: present }, present), "layers 0-3");
  assert.equal(scopeWords({ layers: "all", modules: present.slice(1) }, present), "all layers, without attention");
  assert.equal(scopeWords({ layers: "none", modules: ["mlp"] }, present), "no layer, MLP");
});

test("a text is cut at the borders of marks that overlap", () => {
  const pieces = cutText("abcdef", [[1, 4, "x"], [3, 9, "y"]]); // prettier-ignore
  assert.deepEqual(pieces, [["a", "", 0], ["bc", "x", 1], ["d", "x y", 3], ["ef", "y", 4]]); // prettier-ignore
  assert.deepEqual(cutText("ab", [], [{ at: 1 }]), [["a", "", 0], ["b", "", 1]]); // prettier-ignore
  assert.deepEqual(newWords("the cat sat down", "the dog sat"), [[4, 7], [12, 16]]); // prettier-ignore
  assert.deepEqual(
    [firstDifference("abc", "abd"), firstDifference("a", "a"), firstDifference("ab", "a")],
    [2, null, 1],
  );
});

test("where λ begins to matter is told by tokens, else by the text", () => {
  const trace = (parted) => frame({ thought: "one two three", answer: "four", parted });
  const lens = { mode: "diff", against: { text: "one two six\nfour" } };
  const flagOf = (parted) => partMarks(trace(parted), "thought", lens).flags.map(({ at, text }) => [at, text]);
  assert.deepEqual(flagOf({ tokens: 1, part: "thought", at: 4 }), [[4, "λ matters from token 2"]]);
  assert.deepEqual(flagOf(null), [[8, "text differs from here"]]);
  assert.deepEqual(flagOf({ tokens: 9, part: null, at: 0 }), []);
  assert.deepEqual(partMarks(trace(null), "thought", lens).marks, [[8, 13, "mi-new"]]);
  assert.deepEqual(partMarks(trace(null), "answer", lens).flags, []);
});

test("everything after the first right answer is marked, also in the answer", () => {
  const right = frame({
    thought: "It is 4. Wait.",
    answer: "4",
    verdict: "correct",
    mark: { part: "thought", at: 8 },
    first: 3,
    tokens: 9,
  });
  const thought = partMarks(right, "thought", { mode: "plain" });
  assert.deepEqual([thought.marks, thought.flags.map((flag) => flag.at)], [[[8, 14, "mi-after"]], [8]]);
  assert.deepEqual(partMarks(right, "answer", { mode: "plain" }).marks, [[0, 1, "mi-after"]]);
});

test("deltas add up to states", () => {
  const { events, rest } = splitEvents('data: {"a":1}\n\ndata: {"b":2}\n\ndata: {"c"');
  assert.deepEqual([events, rest], [[{ a: 1 }, { b: 2 }], 'data: {"c"']);
  let state = { frames: {} };
  for (const delta of [
    { state: "running", frames: { 0: { id: "0", tokens: 1, answer: "T" } }, more: {} },
    { state: "running", frames: { 0: { tokens: 2 }, 1: { id: "1", answer: "" } }, more: { 0: { answer: "wo" } } },
    { state: "done", frames: {}, more: { 1: { answer: "One" } } },
  ]) {
    state = applyDelta(state, delta);
  }
  assert.deepEqual(state, {
    state: "done",
    frames: { 0: { id: "0", tokens: 2, answer: "Two" }, 1: { id: "1", answer: "One" } },
  });
  const event = { run: JSON.stringify({ frames: { 0: { id: "0" } } }), thought: { 0: "Hm" }, answer: { 0: "4" } };
  assert.deepEqual(gradioState(event), { frames: { 0: { id: "0", thought: "Hm", answer: "4" } } });
});

test("λ, pins and lens do not matter to a strip", () => {
  const view = { lam: 0.5, pins: [], lens: "plain", seed: 1, q: "?" };
  assert.equal(viewKey(view), viewKey({ q: "?", seed: 1, lens: "markers", pins: [1], lam: 0 }));
  assert.notEqual(viewKey(view), viewKey({ ...view, seed: 2 }));
  assert.deepEqual(viewOf({ key: viewKey(view) }), { seed: 1, q: "?" });
});

test("a run renews the strip, and Run here adds to it", () => {
  const before = {
    token: "old",
    key: "k",
    sentence: "Old.",
    bands: [1],
    frames: { 0: { id: "0", lam: 0 } },
    precomputed: true,
  };
  const state = { token: "new", state: "running", sentence: "", bands: [], frames: { 1: { id: "1", lam: 1 } } };
  const renewed = stripAfter({ kind: "strip", key: "k2", before }, state);
  assert.deepEqual([renewed.token, Object.keys(renewed.frames), renewed.mixed], ["new", ["1"], undefined]);
  const grown = stripAfter({ kind: "here", key: "k", before }, state);
  assert.deepEqual(
    [grown.token, Object.keys(grown.frames), grown.sentence, grown.bands],
    ["old", ["0", "1"], "Old.", [1]],
  );
  assert.equal(grown.frames[1].run, "new");
  const seen = { stale: false, running: false, pair: "mini" };
  assert.match(stripLabel(grown, { t: 0, seed: 0 }, seen), /Precomputed.*of your own/);
  assert.match(stripLabel(renewed, { t: 0, seed: 7 }, { ...seen, stale: true }), /other settings/);
  assert.match(stripLabel({ ...grown, source: "From S", view: { pair: "x" } }, {}, seen), /“x”/);
});

test("the strip before comes back with its settings, and once more", () => {
  const view = { lam: 0.5, pins: [], lens: "plain", q: "first" };
  const strips = new Strips({ token: "a", frames: { 0: { lam: 0, state: "running" } } }, { get: () => view }, () => {});
  strips.replace({ token: "b", frames: { 1: { lam: 1, state: "done" } }, key: "another" });
  assert.deepEqual([strips.current().token, strips.isStale(), strips.frames().length], ["b", true, 1]);
  assert.deepEqual(strips.swap(), { q: "first" });
  assert.deepEqual(
    [strips.current().token, strips.current().frames[0].state, strips.isStale()],
    ["a", "cancelled", false],
  );
  strips.swap();
  assert.equal(strips.current().token, "b");
});

test("what is said of a run", () => {
  const strip = { frames: { 0: { lam: 0, state: "done", tps: 9 }, 1: { lam: 1, state: "running", tps: 20 } } };
  assert.equal(progressWords(strip, { begun: true, waits: "" }), "1 of 2 λ · 20 tokens/s");
  assert.match(progressWords(strip, { begun: false, waits: "next in turn" }), /next in turn/);
  assert.match(progressWords(strip, { stopping: true }), /stopping/);
  assert.equal(turnWords({ of: 5, place: 2, seconds: 7 }), "place 2 of 5, about 7 s");
  assert.equal(turnWords({ of: 1, place: 1, seconds: null }), "next in turn");
  assert.equal(endWords({ state: "done", frames: { 0: {}, 1: {} } }, "1.5"), "2 traces in 1.5 s.");
  assert.equal(endWords({ state: "failed", message: "No.", frames: {} }, "1"), "No.");
  const verified = { state: "done", verified: { kept: 3, lam: 0.5 }, frames: { 0: { tokens: 9 } } };
  assert.match(endWords(verified, "1"), /first 3 tokens of λ 0.5 are .* token 4 is/);
});

test("a view without a question, or with a long one, is not run", () => {
  const limits = { promptLimit: 10, goldLimit: 3 };
  assert.match(questionProblem({ q: "  ", gold: "" }, limits), /no question/);
  assert.match(questionProblem({ q: "x".repeat(11), gold: "" }, limits), /11 characters/);
  assert.match(questionProblem({ q: "x", gold: "1234" }, limits), /3 characters/);
  assert.equal(questionProblem({ q: "x", gold: "123" }, limits), null);
});
