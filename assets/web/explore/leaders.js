// Leaders: from the foot of every pane to its λ on the rail.

import { h } from "../shared/dom.js";
import { lamColour } from "../shared/palette.js";
import { shareOf } from "./axis.js";

// `span()` gives the span of λ that the rail shows.
export function railLeaders(app, span) {
  const node = h("svg:svg.mi-leaders", { "aria-hidden": "true" });
  let measured = null; // { height, width, inset } of the drawing, { blend: its path, x: where that begins }
  let width = null; // 0 while another tab is shown
  let onShown = () => {};

  // Measures the panes and draws all leaders.
  function draw() {
    const box = node.getBoundingClientRect();
    if (!box.width) return;
    const inset = parseFloat(getComputedStyle(node).getPropertyValue("--inset"));
    measured = { height: box.height, width: box.width, inset };
    const paths = app.board.panes().map((pane) => {
      const place = pane.node.getBoundingClientRect();
      const x = place.left + place.width / 2 - box.left;
      if (!place.width || x < 0 || x > box.width) return null;
      const path = leader(x, pane.lam, pane.id === "blend" ? "mi-leader-main" : null);
      if (pane.id === "blend") Object.assign(measured, { blend: path, x });
      return path;
    });
    node.replaceChildren(...paths.filter(Boolean));
  }
  // Moves the blend's leader only.
  function moveBlend() {
    if (!measured?.blend) return;
    const { lam } = app.view.get();
    measured.blend.setAttribute("d", bend(measured.x, lam));
    measured.blend.setAttribute("stroke", lamColour(lam));
  }
  const leader = (x, lam, cls) => h("svg:path", { d: bend(x, lam), stroke: lamColour(lam), class: cls });
  function bend(x, lam) {
    const { height, width: wide, inset } = measured;
    const to = (inset + shareOf(lam, span()) * (wide - 2 * inset)).toFixed(1);
    const from = x.toFixed(1);
    return `M${from} 0 C ${from} ${height * 0.7}, ${to} ${height * 0.3}, ${to} ${height}`;
  }
  new ResizeObserver(() => {
    const now = node.clientWidth;
    if (now && width === 0) onShown();
    width = now;
    draw();
  }).observe(node);

  return { node, draw, moveBlend, onShown: (act) => (onShown = act) };
}
