// The page's header: its name, the formula, the pair, and the tools.

import { linkOf, viewQuery } from "../shared/address.js";
import { copyText, h, smallButton } from "../shared/dom.js";

export function pageHeader(app, setup) {
  const ends = [h("span.mi-end-instruct", "Instruct"), h("span.mi-end-thinking", "Thinking")];
  const formula = h("p.mi-formula", h("i", "θ"), "(λ) = (1−λ)·", ends[0], " + λ·", ends[1]);
  const keys = { title: "Keys (?)", "aria-label": "Keys and help", onclick: () => app.help.showModal() };
  const theme = { title: "Light or dark", "aria-label": "Switch between light and dark", onclick: switchTheme };
  const tools = [
    app.pairs.button,
    smallButton("Share", share),
    h("button.mi-icon", keys, "?"),
    h("button.mi-icon", theme, "◐"),
  ];
  return h("header.mi-head", h("h1", "MI Explorer"), formula, app.pairs.node, h("div.mi-head-tools", tools));

  function switchTheme() {
    document.body.classList.toggle("dark");
    app.rail.drawFrames();
  }
  async function share() {
    const view = app.sharedView();
    const copied = await copyText(linkOf(viewQuery(view, setup)));
    const where = copied
      ? "The link to this view is on the clipboard."
      : "The address bar holds the link to this view.";
    const cut = [
      view.q.length > setup.linkLimit ? " The question is too long for a link and is not in it." : "",
      view.schedule.length > setup.linkLimit
        ? " What was done on the way is too long for a link and is not in it."
        : "",
    ];
    app.showStatus(where + cut.join(""));
  }
}
