import assert from "node:assert/strict";
import { test } from "node:test";

import { cutText, partMarks } from "../../assets/web/explore/marks.js";
import { hintProblem, isThinkingNow, lamAt, lastLam, replayWords } from "../../assets/web/explore/steer_words.js";
import { stepFact, stepSentence, writersOf } from "../../assets/web/explore/steer_words.js";
import { newestOnly } from "../../assets/web/explore/steering.js";

const step = (part) => ({ lam: null, tokens: 0, part: "thought", from: 0, to: 0, ...part });
const steered = {
  lam: 1,
  state: "running",
  tokens: 100,
  thought: "0123456789abcdef",
  answer: "xyz",
  closed: true,
  steps: [
    step({ at: 10, cause: "lam", lam: 0.8, from: 4, to: 4 }),
    step({ at: 20, cause: "hint", tokens: 5, from: 8, to: 12 }),
    step({ at: 60, cause: "stop", tokens: 1, from: 16, to: 16 }),
    step({ at: 61, cause: "answer", lam: 0, part: "answer" }),
  ],
};

test("which λ wrote which tokens and characters", () => {
  const [first, second, third] = writersOf(steered);
  assert.deepEqual(first, { lam: 1, from: 0, to: 10 });
  assert.deepEqual(second, { lam: 0.8, from: 10, to: 61 });
  assert.deepEqual(third, { lam: 0, from: 61, to: 100 });
  assert.equal(lastLam(steered), 0);
  assert.deepEqual([0, 3, 4, 15].map((at) => lamAt(steered, "thought", at)), [1, 1, 0.8, 0.8]); // prettier-ignore
  assert.equal(lamAt(steered, "answer", 0), 0);
  const atOnce = { ...steered, steps: [step({ at: 0, cause: "lam", lam: 0.3 })] };
  assert.deepEqual(writersOf(atOnce), [{ lam: 0.3, from: 0, to: 100 }], "nothing was written under the first");
  assert.deepEqual(writersOf({ lam: 0.5, tokens: 0 }), [{ lam: 0.5, from: 0, to: 0 }]);
});

test("a steered text is cut where another λ begins and where a hint stands, and nothing of it is lost", () => {
  for (const part of ["thought", "answer"]) {
    const { marks, flags } = partMarks(steered, part, { mode: "plain" });
    const pieces = cutText(steered[part], marks, flags);
    assert.equal(pieces.map(([text]) => text).join(""), steered[part]);
    assert.ok(pieces.every(([, classes]) => classes.includes("mi-wrote")));
    if (part === "thought") {
      assert.deepEqual(pieces.map(([text]) => text), ["0123", "4567", "89ab", "cdef"]); // prettier-ignore
      assert.deepEqual(pieces.map(([, classes]) => classes.includes("mi-hinted")), [false, false, true, false]); // prettier-ignore
      assert.deepEqual(flags.map(({ at }) => at), [4, 8, 16]); // prettier-ignore
    }
  }
});

test("what happened in words", () => {
  assert.equal(
    stepSentence(steered),
    "λ 1 wrote tokens 1–10, λ 0.8 tokens 11–61, λ 0 from 62 on; a hint at token 20, the thought stopped at token 60.",
  );
  assert.equal(stepFact(steered), "λ moved 1×, 1 hint, thought stopped at 60, answer at λ 0");
  assert.equal(stepFact({ lam: 1 }), "");
});

test("a thought can be stopped while it is written, and only then", () => {
  const thinking = { state: "running", thought: "x", answer: "", closed: false };
  assert.ok(isThinkingNow(thinking) && isThinkingNow({ ...thinking, state: "paused" }));
  const others = [{ state: "done" }, { state: "queued" }, { thought: "" }, { closed: true }, { answer: "y" }];
  for (const other of others) assert.ok(!isThinkingNow({ ...thinking, ...other }));
});

test("hints that cannot be put in, and replays", () => {
  assert.match(hintProblem(" \n"), /empty/);
  assert.match(hintProblem("x".repeat(4001)), /4,001/);
  assert.equal(hintProblem("<b>x</b>"), "");
  assert.match(replayWords({ tokens: 9, equal: true }, { tokens: 9 }), /all 9 tokens are equal/);
  assert.match(replayWords({ tokens: 9, equal: true }, { tokens: 12 }), /the 9 tokens are equal; 3 more/);
  assert.match(replayWords({ tokens: 9, equal: false }, { tokens: 7 }), /differ/);
  assert.equal(replayWords(null, { tokens: 7 }), "");
});

test("of many values the newest is sent, one at a time", async () => {
  const sent = [];
  let release;
  const push = newestOnly((value) => {
    sent.push(value);
    return new Promise((resolve) => (release = resolve));
  });
  const first = push(1);
  for (const value of [2, 3, 4]) push(value);
  assert.deepEqual(sent, [1]);
  release();
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(sent, [1, 4]);
  release();
  await first;
});
