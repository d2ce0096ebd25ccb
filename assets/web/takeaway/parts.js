// Parts that the boxes of the tab share.

import { h, setText } from "../shared/dom.js";

// A box with a title.
export const titledBox = (label, title, ...children) =>
  h("section.mi-take-box", { "aria-label": label }, h("h2", title), children);

// Sets the text of a status line; an error is marked as one.
export function setStatus(node, words, isError = false) {
  setText(node, words);
  node.dataset.kind = isError ? "error" : "";
}
