import assert from "node:assert/strict";
import { test } from "node:test";

import {
  branchPath,
  lastStep,
  lineageWords,
  wholeLineage,
  withBranches,
} from "../../assets/web/explore/branch_path.js";
import { partMarks, sharedLength } from "../../assets/web/explore/marks.js";
import { branchText, offerWords, probeOfText, probeText, sourcePane } from "../../assets/web/explore/probe_links.js";
import { traceFile } from "../../assets/web/explore/trace_file.js";
import { viewKey } from "../../assets/web/explore/strip.js";
import { placeOfToken, tokenAt, tokenStarts } from "../../assets/web/explore/token_place.js";

test("the path of a branch: of a trace, of a branch, of a steered trace", () => {
  assert.equal(branchPath({ lam: 1, schedule: "" }, 120, 0.5), "1~120:0.5");
  assert.equal(branchPath({ path: "1~120:0.5~225-1f0c9ab37e44", lam: 0.5 }, 200, 0.25), "1~120:0.5,200:0.25");
  assert.equal(branchPath({ path: "1~120:0.5", lam: 0.5 }, 80, 0), "1~80:0"); // inside of what it shares
  assert.equal(branchPath({ path: "1~120:0.5", lam: 0.5 }, 120, 0), "1~120:0");
  const steered = { lam: 0.2, schedule: "40:0.8,95:hint=Check%20the%2Cunits~.,130:close" };
  assert.equal(branchPath(steered, 100, -0.5), "0.2~40:0.8,95:hint=Check%20the%2Cunits~.,100:-0.5");
});

test("the lineage of a branch in words", () => {
  assert.deepEqual(lastStep("1~120:0.5,1200:0.25"), { from: 0.5, at: 1200, lam: 0.25 });
  assert.equal(lineageWords(lastStep("1~120:0.5,1200:0.25")), "from λ 0.5 at token 1,200");
  assert.deepEqual(lastStep("1~40:close,50:0.3"), { from: 1, at: 50, lam: 0.3 });
  assert.equal(wholeLineage("1~30:0.5,45:0.9"), "λ 1 until token 30, λ 0.5 until token 45, then λ 0.9");
  for (const none of ["", "1", "1~", "x~4:1", "1~4:close", "<b>"]) assert.equal(lastStep(none), null, none);
});

test("branches stand beside what they came from", () => {
  const specs = ["instruct", "blend", "thinking"].map((id) => ({ id }));
  const branch = (id, source) => ({ id, source, path: "1~3:0.5", lam: 0.5 });
  const list = [
    branch("branch1", "blend"),
    branch("branch2", "blend"),
    branch("branch3", "branch1"),
    branch("branch4", "gone"),
  ];
  const ids = withBranches(specs, list).map((spec) => spec.id);
  assert.deepEqual(ids, ["instruct", "blend", "branch1", "branch3", "branch2", "thinking", "branch4"]);
});

test("tokens and places in the text as shown", () => {
  const tokens = [
    ["<think>", ""],
    ["\n ", "thought"],
    ["Let ", "thought"],
    ["👩‍🔬", "thought"],
    ["x\n", "thought"],
    ["</think>", ""],
    ["\n\nSo", "answer"],
  ];
  assert.deepEqual(tokenStarts(tokens, "thought"), [[1, 0], [2, 0], [3, 4], [4, 9]]); // prettier-ignore
  assert.deepEqual([0, 3, 4, 8, 9, 99].map((at) => tokenAt(tokens, "thought", at)), [2, 2, 3, 3, 4, 4]); // prettier-ignore
  assert.equal(tokenAt(tokens, "answer", 1), 6);
  assert.equal(tokenAt([], "answer", 1), null);
  assert.deepEqual(placeOfToken(tokens, 0), { part: "thought", at: 0 });
  assert.deepEqual(placeOfToken(tokens, 3), { part: "thought", at: 4 });
  assert.deepEqual(placeOfToken(tokens, 5), { part: "answer", at: 0 });
  assert.equal(placeOfToken(tokens, 7).part, "answer"); // the end
  assert.equal(placeOfToken([], 0), null);
});

test("what a branch shares is shaded, in the part where it ends and before it", () => {
  const frame = { thought: "abcdef", answer: "xyz", verdict: null, shared: { tokens: 4, part: "answer", at: 2 } };
  assert.deepEqual(["thought", "answer"].map((part) => sharedLength(frame, part)), [6, 2]); // prettier-ignore
  const inThought = { ...frame, shared: { tokens: 2, part: "thought", at: 3 } };
  assert.deepEqual(["thought", "answer"].map((part) => sharedLength(inThought, part)), [3, 0]); // prettier-ignore
  assert.deepEqual(partMarks(inThought, "thought", { mode: "plain" }).marks, [[0, 3, "mi-shared"]]);
  assert.equal(sharedLength({ thought: "abc" }, "thought"), 0);
});

test("branches and probes as texts of a link", () => {
  assert.equal(probeText(1, { points: 12, lam: null, free: 0 }), "1/12");
  assert.equal(probeText({ branch: 2 }, { points: 5, lam: 0.5, free: 4 }), "b2/5/0.5/4");
  assert.equal(probeText(0.1 + 0.2, { points: 5, lam: null, free: 1 }), "0.3/5//1");
  assert.deepEqual(probeOfText("b2/5/0.5/4"), { at: null, branch: 2, points: 5, lam: "0.5", free: 4 });
  assert.deepEqual(probeOfText("-0.3/5//1"), { at: -0.3, branch: null, points: 5, lam: "", free: 1 });
  for (const none of ["", "1", "1/", "x/3", "b0/3", "<b>/3"]) assert.equal(probeOfText(none), null, none);
  assert.equal(branchText({ path: "1~5:0.5", frame: { check: "9-0123456789ab" } }), "1~5:0.5~9-0123456789ab");
  assert.equal(branchText({ path: "1~5:0.5", frame: null }), "1~5:0.5");
  assert.equal(offerWords({ branches: ["a", "b"], probes: ["c"] }), "2 branches and probes of 1 trace");
});

test("the pane that a linked branch stands beside", () => {
  const view = { lam: 0.5, pins: [0.3] };
  const at = (from, path, branches = []) => sourcePane({ from }, path, branches, view);
  assert.deepEqual(
    [0, 0.3, 0.5, 0.7, 1].map((lam) => at(lam, `${lam}~3:0.2`)),
    ["instruct", "pin0.3", "blend", null, "thinking"],
  );
  assert.equal(at(0.2, "1~3:0.2,9:0.4", [{ id: "branch1", path: "1~3:0.2" }]), "branch1");
});

test("what stands beside a strip does not make it another one", () => {
  const view = { q: "a", lam: 1, branches: [], probes: [] };
  assert.equal(viewKey({ ...view, lam: 0, branches: ["1~3:0.2"], probes: ["1/12"] }), viewKey(view));
  assert.notEqual(viewKey({ ...view, q: "b" }), viewKey(view));
});

test("a trace as a file: settings, text, lineage, probes", () => {
  const frame = {
    lam: 0.5,
    tokens: 9,
    think: 5,
    state: "done",
    thought: "a",
    answer: "b",
    check: "9-0",
    tps: 3,
    shared: { tokens: 4 },
  };
  const probe = {
    state: "done",
    lam: null,
    sufficient: 3,
    points: [{ token: 3, answer: "7", right: true, place: {} }],
    run: {},
  };
  const view = { q: "Q?", gold: "7", seed: 1, lam: 0.2, pins: [1], branches: ["x"] };
  assert.deepEqual(traceFile(frame, view, "1~4:0.5", probe), {
    ...{
      q: "Q?",
      gold: "7",
      seed: 1,
      lam: 0.5,
      tokens: 9,
      think: 5,
      state: "done",
      thought: "a",
      answer: "b",
      check: "9-0",
    },
    branch: "1~4:0.5",
    shared: 4,
    probes: { state: "done", lam: null, sufficient: 3, points: [{ token: 3, answer: "7", right: true }] },
  });
  assert.equal(traceFile(frame, view, undefined, undefined).probes, undefined);
});
