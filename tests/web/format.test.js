import assert from "node:assert/strict";
import { test } from "node:test";

import {
  bytes,
  count,
  lamText,
  pairName,
  percent,
  plural,
  seconds,
  typedNumber,
} from "../../assets/web/shared/format.js";
import { lamColour, lamGradient } from "../../assets/web/shared/palette.js";
import { compareCells, cellText, toCsv } from "../../assets/web/shared/csv.js";
import { observable } from "../../assets/web/shared/observable.js";

test("λ as text has at most four decimals and no trailing zeros", () => {
  assert.deepEqual([0.1 + 0.2, 1, -0.25, -0, 0.12345].map(lamText), ["0.3", "1", "-0.25", "0", "0.1235"]);
});

test("counts, shares, times and sizes", () => {
  assert.deepEqual([count(1234.4), plural(1, "token"), plural(0, "token")], ["1,234", "1 token", "0 tokens"]);
  assert.deepEqual([0, 0.004, 0.1, 0.555, 1].map(percent), ["0 %", "0.4 %", "10 %", "56 %", "100 %"]);
  assert.deepEqual([0.2, 89, 90, 3600].map(seconds), ["1 s", "89 s", "2 min", "60 min"]);
  assert.deepEqual([1, 1e6, 2.5e9].map(bytes), ["1 kB", "1.0 MB", "2.50 GB"]);
});

test("typed numbers: a comma is a point, and what is no number is NaN", () => {
  assert.deepEqual([" 0,5 ", "−1", "1e-3"].map(typedNumber), [0.5, -1, 0.001]);
  for (const text of ["", "  ", "a", "1,2,3"]) assert.ok(Number.isNaN(typedNumber(text)), text);
});

test("a pair is called by the last parts of its parents, never by a path", () => {
  const specs = ["mini", "/data/a/instruct | /data/a/thinking|/data/base?untie=true", "C:\\m\\one|Qwen/Qwen3-4B"];
  assert.deepEqual(specs.map(pairName), ["mini", "instruct | thinking", "one | Qwen3-4B"]);
});

test("the colour of a λ lies on straight lines through the scale, clamped outside", () => {
  const scale = [[0, 0, 0], [100, 50, 0], [200, 0, 255]]; // prettier-ignore
  const colours = [-1, 0, 0.25, 0.5, 0.75, 1, 7].map((lam) => lamColour(lam, scale));
  const expected = ["0 0 0", "0 0 0", "50 25 0", "100 50 0", "150 25 128", "200 0 255", "200 0 255"];
  assert.deepEqual(colours, expected.map((rgb) => `rgb(${rgb})`)); // prettier-ignore
  assert.equal(lamGradient(scale.slice(0, 2)), "linear-gradient(to right, rgb(0 0 0), rgb(100 50 0))");
});

test("CSV is quoted as RFC 4180 says, and formulas are disarmed", () => {
  const rows = [["=1+1", -2.5], ['say "hi"', null], ["-3", "@x"]]; // prettier-ignore
  assert.equal(toCsv(["a", "b,c"], rows), 'a,"b,c"\r\n\'=1+1,-2.5\r\n"say ""hi""",\r\n-3,\'@x\r\n');
  assert.equal(toCsv(["a", "b,c"], [], "\t"), "a\tb,c\r\n");
});

test("cells sort by size, then as text, and empty ones are last in both directions", () => {
  const cells = ["b", 10, "", 9, null, "a", "-1"];
  assert.deepEqual([...cells].sort((a, b) => compareCells(a, b, false)), ["-1", 9, 10, "a", "b", "", null]); // prettier-ignore
  assert.deepEqual([...cells].sort((a, b) => compareCells(a, b, true)), ["b", "a", 10, 9, "-1", "", null]); // prettier-ignore
  assert.deepEqual([1 / 3, 12345678901, null, "x"].map(cellText), ["0.333333", "12345678901", "", "x"]);
});

test("an observable tells which keys changed, and nothing when none did", () => {
  const seen = [];
  const values = observable({ lam: 0.5, pins: [1] });
  values.watch((now, changed) => seen.push([now.lam, [...changed]]));
  values.set({ lam: 0.5, pins: [1] });
  values.set({ lam: 0.7, pins: [1] });
  assert.deepEqual(seen, [[0.7, ["lam"]]]);
});
