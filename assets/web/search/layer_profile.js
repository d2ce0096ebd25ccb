// A recipe as λ by layer, and back. No document. A recipe is a part of Explore's view: lam, method, params, answer_lam, …

import { clamp, lamText } from "../shared/format.js";

export const MODULES = ["attention", "mlp"];
const ALL_MODULES = ["attention", "mlp", "norm", "embedding", "lm_head", "other"];
const STEP = 0.05;
const MOST_SCALE = 2; // of a profile for the answer
const round = (x) => Math.round(x * 1e4) / 1e4;

// { attention: [λ…], mlp: [λ…], rest } of a recipe; null where it is no plain blend of the whole model and no profile.
export function profileOf({ method, params, lam, layers }, count) {
  if (!count || layers !== "all") return null;
  if (method === "linear") {
    const flat = Array(count).fill(lam);
    return { attention: flat, mlp: [...flat], rest: lam };
  }
  if (method !== "submodule") return null;
  const rest = (params.rest ?? 0.5) * lam;
  const of = (module) =>
    Array.from({ length: count }, (_, layer) => {
      const own = params[`${module}.${layer}`];
      return own === undefined ? round(rest) : round(own * lam);
    });
  return { attention: of("attention"), mlp: of("mlp"), rest: round(rest) };
}

// Whether both modules have the same λ in every layer: then a layer is one bar.
export const isJoint = ({ attention, mlp }) => attention.every((lam, layer) => lam === mlp[layer]);

const isFlat = ({ attention, mlp, rest }) => [...attention, ...mlp].every((lam) => lam === rest);

// The recipe of a profile: `recipe` with the profile in its place; the plain blend where all its λs are the same.
export function recipeOf(profile, recipe) {
  const answer = answerOf(profile, recipe);
  if (isFlat(profile)) {
    return { ...recipe, method: "linear", params: {}, lam: profile.rest, answer_lam: answer.plain };
  }
  const params = { rest: profile.rest };
  for (const module of MODULES) profile[module].forEach((lam, layer) => (params[`${module}.${layer}`] = lam));
  return {
    ...recipe,
    method: "submodule",
    params,
    lam: 1,
    layers: "all",
    modules: ALL_MODULES,
    answer_lam: answer.scale,
  };
}

// The λ of the answer: of a profile it is a scale, of a plain blend a λ; one becomes the other by the mean.
function answerOf(profile, { method, answer_lam: given }) {
  if (given === null || given === undefined) return { plain: null, scale: null };
  const lams = [...profile.attention, ...profile.mlp];
  const mean = lams.reduce((a, b) => a + b, 0) / lams.length;
  if (method === "submodule") return { plain: round(given * mean), scale: given };
  return { plain: given, scale: mean > 0 ? round(Math.min(MOST_SCALE, given / mean)) : 1 };
}

// The profile with one bar moved; `module` null moves both of a layer. λs stand at steps of 0.05.
export function moved(profile, module, layer, lam) {
  const at = round(clamp(Math.round(lam / STEP) * STEP, 0, 1));
  const names = module === null ? MODULES : [module];
  const change = (name) => profile[name].map((old, i) => (i === layer ? at : old));
  return { ...profile, ...Object.fromEntries(names.map((name) => [name, change(name)])) };
}

// The profile in words: λs of layers in a row, each with how many layers have it.
export function profileWords(profile) {
  if (isFlat(profile)) return `λ ${lamText(profile.rest)}`;
  const rest = `, elsewhere ${lamText(profile.rest)}`;
  if (isJoint(profile)) return `λ by layers ${runs(profile.attention)}${rest}`;
  return `λ by layers ${MODULES.map((name) => `${name} ${runs(profile[name])}`).join(", ")}${rest}`;
}

function runs(lams) {
  const out = [];
  for (const lam of lams) {
    const last = out.at(-1);
    if (last && last[0] === lam) last[1] += 1;
    else out.push([lam, 1]);
  }
  return out.map(([lam, times]) => lamText(lam) + (times > 1 ? `×${times}` : "")).join(" · ");
}
