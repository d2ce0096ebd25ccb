// The pair in the header: what is loaded in words, and the way to the gallery of others.

import { closeOnPressOutside, h, smallButton } from "../shared/dom.js";
import { pairGallery } from "./pair_gallery.js";
import { pairLoading } from "./pair_loading.js";
import { summaryOf } from "./pair_summary.js";

export function pairPanel(app, setup) {
  const { pair, policy } = setup;
  const loading = pairLoading(app, setup);
  const gallery = policy === "fixed" ? null : pairGallery(app, setup, loading);
  const name = h("span.mi-pair", h("b", pair.title), h("span", pair.facts));
  const summary = h("summary", { title: "About this pair" }, name);
  const others = gallery && smallButton("Other pairs…", openGallery);
  const node = h("details.mi-dropdown.mi-findings", summary, h("div.mi-panel", summaryOf(pair), others));
  closeOnPressOutside(node);

  // Opens the gallery, at the card of a preset where one is named.
  function openGallery(name) {
    node.open = false;
    gallery?.open(typeof name === "string" ? name : "");
  }
  return {
    node,
    // The button that opens the gallery, and its dialog; null where visitors may open no other pair.
    button: gallery && smallButton("Pairs", openGallery, { title: "Other pairs: what they can do, and what fits" }),
    dialog: gallery?.node,
    openGallery,
    // Whether a preset can be chosen on this page.
    offers: (name) => Boolean(gallery) && setup.pairs.some((pair) => pair.name === name),
    // Opens the gallery and loads a preset there.
    load(name) {
      openGallery(name);
      gallery?.load(name);
    },
    isOpen: () => Boolean(gallery?.node.open),
    // Closes what is open; whether something was.
    close() {
      const wasOpen = node.open || Boolean(gallery?.node.open);
      node.open = false;
      gallery?.node.close();
      return wasOpen;
    },
    showLoading: (step) => step && loading.show(step),
  };
}
