// Plotly's script: asked for once, by the first figure that is there, or before when a tab with figures is about to be opened.

import { h } from "../shared/dom.js";
import { serverAddress } from "../shared/server.js";

const PLOTLY = "/mi/plotly.min.js";
let coming = null;

// The Plotly object, once its script has run.
export function loadPlotly() {
  coming ||= new Promise((resolve, reject) => {
    const script = h("script", { src: serverAddress(PLOTLY), async: true });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      coming = null;
      reject(new Error("The chart library could not be loaded. Reload the page."));
    };
    document.head.append(script);
  });
  return coming;
}
