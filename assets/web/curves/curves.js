// The bar of the Curves tab: opens it, keeps the address, and says what is shown; the sweeps stand above (sweep_list.js).

import { writeQuery } from "../shared/address.js";
import { h, smallButton } from "../shared/dom.js";
import { keptOwner } from "../shared/owner.js";
import { sweepList } from "./sweep_list.js";

const EMPTY = "No curve is chosen. Take a study above, or set up a sweep below: it is saved as it runs.";

export function openCurves(element, { trigger, props, server, watch }) {
  const lines = h("ul.mi-curve-lines");
  const notes = h("div.mi-curve-notes");
  const owner = keptOwner();
  const sweeps = sweepList({ trigger, server, owner });
  element.replaceChildren(h("div.mi.mi-curves", sweeps.node, sweeps.status, lines, notes));

  function draw() {
    element.setAttribute("aria-busy", String(!props.content));
    if (!props.content) {
      lines.replaceChildren(bones());
      return;
    }
    const content = JSON.parse(props.content);
    writeStudies(content);
    sweeps.setShown(content.studies);
    element.dataset.ready = "1";
    lines.replaceChildren(...content.lines.map(curveLine));
    const messages = [...content.messages, ...(content.lines.length ? [] : [EMPTY])];
    const said = [...content.budget, content.routers].filter(Boolean);
    const budgets = said.map((text) => h("p.mi-curve-budget", text));
    notes.replaceChildren(...messages.map((text) => h("p.mi-curve-message", text)), ...budgets, otherStudies(content));
  }
  // Studies that are here and not shown, a click away.
  function otherStudies({ others }) {
    const buttons = others.map((name) => smallButton(name, () => trigger("look", { studies: [name] })));
    return h("p.mi-curve-others", { hidden: !others.length }, h("span.mi-curve-about", "Also measured here:"), buttons);
  }
  watch("content", draw);
  draw();
  sweeps.follow(
    () => element.isConnected,
    () => Boolean(element.offsetParent) && element.dataset.ready === "1",
  );
  const asked = new URLSearchParams(location.search);
  const request = { studies: asked.getAll("study"), overlays: asked.getAll("published"), owner };
  setTimeout(() => trigger("opened", request), 0);
}

// What stands where the first line will be.
const bones = () =>
  h("li", { "aria-hidden": "true" }, h("div.mi-bone.mi-bone-line"), h("div.mi-bone.mi-bone-line.mi-bone-short"));

// The address names what is shown: `study=` and `published=`, once for each.
function writeStudies({ studies, overlays }) {
  const query = new URLSearchParams(location.search);
  for (const [key, names] of Object.entries({ study: studies, published: overlays })) {
    query.delete(key);
    for (const name of names) query.append(key, name);
  }
  writeQuery(query);
}

function curveLine({ name, about, stages, useful, claims }) {
  const words = [stages, useful].filter(Boolean).join(" ");
  return h(
    "li",
    h("p", h("b", name), " ", h("span.mi-curve-about", about)),
    words && h("p.mi-curve-stage", words),
    claims.map((text) => h("p.mi-curve-claims", text)),
  );
}
