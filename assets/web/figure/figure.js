// A figure: plotly, the table behind it, PNG, SVG and CSV. Its data arrive as JSON text (mi_explorer/ui/plotly_component.py).

import { toCsv } from "../shared/csv.js";
import { h, setText, smallButton } from "../shared/dom.js";
import { saveFile, sortableTable } from "../shared/table.js";
import { loadPlotly } from "./plotly.js";
import { themedLayout } from "./theme.js";

const NARROW_PX = 620; // below this width a figure takes its narrow form, where it has one
const HEIGHT_PX = 320;
const WAITING = "waiting"; // the content of a figure whose first data are being computed
const PLOTLY_OPTIONS = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };

export function openFigure(element, { trigger, props, watch }) {
  const label = props.label || "Figure";
  const height = props.height || HEIGHT_PX;
  const plot = h("div.mi-plot", { role: "img", "aria-label": label, style: { height: `${height}px` } });
  const note = h("p.mi-figure-note");
  const table = h("div.mi-figure-table");
  const fold = h(
    "details.mi-figure-data",
    { ontoggle: () => fold.open && listData() },
    h("summary", "Data table"),
    table,
  );
  const tools = h(
    "div.mi-figure-tools",
    smallButton("PNG", () => saveImage("png"), { title: "Save this figure as PNG" }),
    smallButton("SVG", () => saveImage("svg"), { title: "Save this figure as SVG" }),
    smallButton("CSV", saveData, { title: "Save the figure's data as CSV" }),
  );
  const foot = h("figcaption.mi-figure-foot", fold, tools);
  const box = h("figure.mi.mi-figure", { hidden: true, "aria-label": label }, plot, note, foot);
  let shown = null;
  let listed = null; // the content that the data table shows
  let narrow = false; // whether the narrow form is drawn
  let prepared = false;

  async function draw() {
    const isWaiting = props.content === WAITING;
    box.hidden = !props.content;
    if (isWaiting) setWaiting(true);
    if (isWaiting || !props.content) return;
    shown = JSON.parse(props.content);
    if (fold.open) listData();
    try {
      const Plotly = await loadPlotly();
      narrow = isNarrow();
      const { data, layout = {} } = narrow ? shown.narrow : shown.figure;
      plot.style.height = `${(narrow && layout.height) || height}px`;
      await Plotly.react(plot, data, themedLayout(layout), PLOTLY_OPTIONS);
      setText(note, "");
      if (!prepared) prepare(Plotly);
    } catch (error) {
      setText(note, error.message);
    }
    setWaiting(false);
  }
  function setWaiting(isWaiting) {
    box.classList.toggle("mi-waiting", isWaiting);
    box.setAttribute("aria-busy", String(isWaiting));
    foot.hidden = isWaiting;
  }
  function prepare(Plotly) {
    prepared = true;
    plot.on("plotly_click", ({ points: [point] }) => point && pick(point));
    new ResizeObserver(() => {
      if (!plot.isConnected || !plot.offsetWidth) return;
      if (isNarrow() === narrow) Plotly.Plots.resize(plot);
      else draw();
    }).observe(plot);
  }
  function pick({ customdata = null, x, y, curveNumber }) {
    const detail = { custom: customdata, x, y, trace: curveNumber };
    trigger("pick", detail);
    element.dispatchEvent(new CustomEvent("mi-pick", { bubbles: true, detail })); // for scripts that need no server
  }
  const isNarrow = () => Boolean(shown.narrow) && plot.offsetWidth > 0 && plot.offsetWidth < NARROW_PX;
  async function saveImage(format) {
    const Plotly = await loadPlotly();
    const { offsetWidth: width, offsetHeight } = plot;
    const scale = format === "png" ? 2 : 1;
    Plotly.downloadImage(plot, { format, filename: shown.name, width, height: offsetHeight, scale });
  }
  function saveData() {
    saveFile(`${shown.name}.csv`, toCsv(shown.columns, shown.rows), "text/csv");
  }
  function listData() {
    if (listed === props.content) return;
    listed = props.content;
    table.replaceChildren(sortableTable(shown.columns, shown.rows, shown.name));
  }

  element.replaceChildren(box);
  watch("content", draw);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light or dark
  loadPlotly().catch(() => null); // while the data are on their way; `draw` says what went wrong
  draw();
}
