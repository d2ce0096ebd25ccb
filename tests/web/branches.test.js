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
  const tokens = [["<think>", ""], ["\n ", "thought"], ["Let ", "thought"], ["👩‍🔬", "thought"], ["x\n", "thought"], ["</think>", ""], ["\n\nSo", "answer"]]; // prettier-ignore
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
