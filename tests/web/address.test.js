import assert from "node:assert/strict";
import { test } from "node:test";

import { mergedQuery, viewQuery } from "../../assets/web/shared/address.js";

const setup = {
  version: "1",
  linkLimit: 10,
  fields: [
    ["lam", "number", 0.5],
    ["method", "text", "linear"],
    ["params", "pairs", {}],
    ["modules", "names", ["attention", "mlp"]],
    ["pins", "numbers", []],
    ["q", "text", ""],
  ],
};
const view = { lam: 0.5, method: "linear", params: {}, modules: ["attention", "mlp"], pins: [], q: "" };
const query = (part) => Object.fromEntries(new URLSearchParams(viewQuery({ ...view, ...part }, setup)));

test("fields at their default are left out", () => {
  assert.deepEqual(query({}), { v: "1" });
  assert.deepEqual(query({ lam: 0.25, method: undefined }), { v: "1", lam: "0.25" });
});

test("every kind of field has its own form", () => {
  const given = { params: { density: 0.3, "a,b": 2 }, modules: [], pins: [0, 0.3, 1], q: "a & b=c" };
  const expected = { v: "1", params: "density:0.3,a%2Cb:2", modules: "none", pins: "0,0.3,1", q: "a & b=c" };
  assert.deepEqual(query(given), expected);
  assert.equal(query({ modules: ["mlp"] }).modules, "mlp");
});

test("a long question stays out of a link", () => {
  assert.deepEqual(query({ q: "x".repeat(11) }), { v: "1" });
  assert.equal(query({ q: "x".repeat(10) }).q.length, 10);
});

test("what the host and other tabs have in the address stays there", () => {
  const search = "?__theme=dark&lam=0.9&tab=curves&study=a&lambda=0.8&p.density=1";
  const merged = Object.fromEntries(mergedQuery({ ...view, lam: 0.1 }, setup, search));
  assert.deepEqual(merged, { v: "1", lam: "0.1", __theme: "dark", tab: "curves", study: "a" });
});
