// λ by layer as bars that are moved by pointer and by key: one bar a layer, or one row of bars a module.

import { h, setText } from "../shared/dom.js";
import { clamp, lamText } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { isJoint, moved, MODULES } from "./layer_profile.js";

const ENDS = { Home: 0, End: 1 };
const KEYS = { ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05, PageUp: 0.2, PageDown: -0.2 };
const TITLES = { attention: "attention", mlp: "MLP" };
const MOST_LABELS = 24; // of layers; more stand too close for a number each

// `onEdit(profile)` gets each change by hand. { node, show(profile) }; null shows nothing.
export function profileBars(onEdit) {
  const node = h("div.mi-profile");
  let profile = null;
  let kind = ""; // what rows of bars there are
  let rows = [];

  function edit(module, layer, lam) {
    const next = moved(profile, module, layer, lam);
    draw(next);
    onEdit(next);
  }
  function barRow(module, count) {
    const name = module === null ? "" : `${TITLES[module]}, `;
    const bars = Array.from({ length: count }, (_, layer) => layerBar(`${name}layer ${layer}`, layer, count));
    bars.forEach(({ slider }, layer) => {
      slider.addEventListener("keydown", (event) => {
        const now = profile[module || "attention"][layer];
        const to = ENDS[event.key] ?? now + (KEYS[event.key] ?? NaN);
        if (Number.isNaN(to)) return;
        event.preventDefault();
        edit(module, layer, to);
      });
    });
    const plot = h(
      "div.mi-profile-bars",
      bars.map((bar) => bar.slider),
    );
    followPointer(plot, count, (layer, lam) => edit(module, layer, lam));
    const label = module === null ? null : h("p.mi-profile-name", TITLES[module]);
    return { module, bars, node: h("div.mi-profile-row", label, plot) };
  }
  function draw(next) {
    profile = next;
    node.hidden = !profile;
    if (!profile) return;
    const count = profile.attention.length;
    const modules = kind.startsWith("two") || !isJoint(profile) ? MODULES : [null]; // what was apart stays apart
    const wanted = `${modules.length === 2 ? "two" : "one"} ${count}`;
    if (kind !== wanted) {
      kind = wanted;
      rows = modules.map((module) => barRow(module, count));
      node.replaceChildren(...rows.map((row) => row.node));
    }
    for (const { module, bars } of rows) {
      profile[module || "attention"].forEach((lam, layer) => bars[layer].set(lam));
    }
  }
  return {
    node,
    show(next) {
      kind = "";
      draw(next);
    },
  };
}

function layerBar(name, layer, count) {
  const fill = h("i.mi-profile-fill");
  const value = h("span.mi-profile-value.mi-num");
  const isNumbered = count <= MOST_LABELS || layer % 5 === 0;
  const slider = h(
    "div.mi-profile-bar",
    {
      role: "slider",
      tabindex: 0,
      "aria-label": `λ of ${name}`,
      "aria-orientation": "vertical",
      "aria-valuemin": 0,
      "aria-valuemax": 1,
    },
    h("div.mi-profile-well", fill),
    count <= MOST_LABELS && value,
    h("span.mi-profile-layer.mi-num", isNumbered && String(layer)),
  );
  function set(lam) {
    fill.style.height = `${100 * clamp(lam, 0, 1)}%`;
    fill.style.background = lamColour(lam);
    setText(value, lamText(lam));
    slider.title = `${name}: λ ${lamText(lam)}`;
    slider.setAttribute("aria-valuenow", lamText(lam));
    slider.setAttribute("aria-valuetext", `λ ${lamText(lam)}`);
  }
  return { slider, set };
}

// A press or a drag across the bars sets each layer that it passes to the height of the pointer.
function followPointer(plot, count, set) {
  const move = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    const layer = clamp(Math.floor(((event.clientX - left) / width) * count), 0, count - 1);
    const well = plot.children[layer].firstChild.getBoundingClientRect();
    set(layer, (well.bottom - event.clientY) / well.height);
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    plot.setPointerCapture(event.pointerId);
    plot.dataset.held = "1";
    move(event);
  });
  plot.addEventListener("pointermove", (event) => plot.dataset.held && move(event));
  for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, () => delete plot.dataset.held);
}
