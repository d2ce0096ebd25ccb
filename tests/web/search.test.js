import assert from "node:assert/strict";
import { test } from "node:test";

import { isJoint, moved, profileOf, profileWords, recipeOf } from "../../assets/web/search/layer_profile.js";

const plain = { method: "linear", params: {}, lam: 0.4, layers: "all", answer_lam: null, budget: 64 };
const params = { rest: 0.35, "attention.0": 0.3, "mlp.0": 0.3, "attention.1": 0.5, "mlp.1": 0.7 };
const profiled = { ...plain, method: "submodule", params, lam: 1 };

test("a plain blend is a flat profile, and comes back as it was", () => {
  const flat = profileOf(plain, 3);
  assert.deepEqual(flat, { attention: [0.4, 0.4, 0.4], mlp: [0.4, 0.4, 0.4], rest: 0.4 });
  assert.deepEqual(recipeOf(flat, plain), plain);
  assert.equal(profileWords(flat), "λ 0.4");
});

test("a profile keeps its modules apart; layers without a value take the rest; λ scales it", () => {
  const found = profileOf(profiled, 3);
  assert.deepEqual(found, { attention: [0.3, 0.5, 0.35], mlp: [0.3, 0.7, 0.35], rest: 0.35 });
  assert.equal(isJoint(found), false);
  const back = recipeOf(found, profiled);
  assert.equal(back.method, "submodule");
  assert.deepEqual(
    [back.lam, back.params["mlp.1"], back.params["attention.2"], back.params.rest],
    [1, 0.7, 0.35, 0.35],
  );
  assert.deepEqual(profileOf({ ...profiled, lam: 0.5 }, 2).mlp, [0.15, 0.35]);
  assert.equal(profileWords(found), "λ by layers attention 0.3 · 0.5 · 0.35, mlp 0.3 · 0.7 · 0.35, elsewhere 0.35");
});

test("other methods, some layers only and unknown depths have no profile", () => {
  assert.equal(profileOf({ ...plain, method: "ties" }, 3), null);
  assert.equal(profileOf({ ...plain, layers: "0-1" }, 3), null);
  assert.equal(profileOf(plain, 0), null);
});

test("a moved bar makes a profile of a plain blend, in steps within 0 to 1, and moved back the plain blend", () => {
  const up = moved(profileOf(plain, 3), null, 1, 0.73);
  assert.deepEqual([up.attention, up.mlp, up.rest], [[0.4, 0.75, 0.4], [0.4, 0.75, 0.4], 0.4]);
  assert.equal(recipeOf(up, plain).method, "submodule");
  assert.equal(profileWords(up), "λ by layers 0.4 · 0.75 · 0.4, elsewhere 0.4");
  assert.deepEqual(recipeOf(moved(up, null, 1, 0.4), plain), plain);
  assert.deepEqual(moved(up, "mlp", 0, 7).mlp, [1, 0.75, 0.4]);
  assert.deepEqual(moved(up, "mlp", 0, -7).attention, [0.4, 0.75, 0.4]);
});

test("the answer's λ of a plain blend is a scale of a profile's mean, and back", () => {
  const answered = { ...plain, answer_lam: 0.2 };
  const up = moved(profileOf(answered, 2), null, 0, 0.6); // mean 0.5
  assert.equal(recipeOf(up, answered).answer_lam, 0.4);
  const flat = { attention: [0.5, 0.5], mlp: [0.5, 0.5], rest: 0.5 };
  assert.equal(recipeOf(flat, { ...profiled, answer_lam: 0.4 }).answer_lam, 0.2);
});
