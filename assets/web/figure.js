// A figure: plotly, the table behind it, PNG, SVG and CSV. Its data arrive as JSON text (mi_explorer/ui/plotly_component.py).
"use strict";

// Plotly's script is asked for once, by the first figure that is shown.
MI.plotly = function () {
  MI.plotlyComing = MI.plotlyComing || new Promise((resolve, reject) => {
    const script = MI.h("script", { src: MI.root() + "/mi/plotly.min.js", async: true });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => ((MI.plotlyComing = null), reject(new Error("The chart library could not be loaded. Reload the page.")));
    document.head.append(script);
  });
  return MI.plotlyComing;
};

MI.NARROW = 620; // pixels below which a figure takes its narrow form, where it has one
MI.figure = function (element, { trigger, props, watch }) {
  const h = MI.h, label = props.label || "Figure";
  const plot = h("div", { class: "mi-plot", role: "img", "aria-label": label, style: { height: (props.height || 320) + "px" } });
  const note = h("p", { class: "mi-figure-note" }), table = h("div", { class: "mi-figure-table" });
  const save = (text, title, act) => h("button", { class: "mi-button mi-small", type: "button", title, onclick: act }, text);
  const tools = h("div", { class: "mi-figure-tools" },
    save("PNG", "Save this figure as PNG", () => image("png")), save("SVG", "Save this figure as SVG", () => image("svg")),
    save("CSV", "Save the figure's data as CSV", () => MI.save(shown.name + ".csv", MI.csv(shown.columns, shown.rows), "text/csv")));
  const fold = h("details", { class: "mi-figure-data", ontoggle: () => fold.open && list() }, h("summary", {}, "Data table"), table);
  const box = h("figure", { class: "mi mi-figure", hidden: true, "aria-label": label }, plot, note, h("figcaption", { class: "mi-figure-foot" }, fold, tools));
  let shown = null, listed = null, small = false;
  element.replaceChildren(box);

  async function draw() {
    box.hidden = !props.content;
    if (!props.content) return;
    shown = JSON.parse(props.content);
    if (fold.open) list();
    try {
      const Plotly = await MI.plotly();
      small = narrow();
      const { data, layout = {} } = small ? shown.narrow : shown.figure;
      plot.style.height = ((small && layout.height) || props.height || 320) + "px";
      await Plotly.react(plot, data, MI.themed(layout), { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false });
      MI.text(note, "");
      if (plot.mi) return;
      plot.mi = true;
      plot.on("plotly_click", ({ points: [p] }) => {
        if (!p) return;
        const picked = { custom: p.customdata === undefined ? null : p.customdata, x: p.x, y: p.y, trace: p.curveNumber };
        trigger("pick", picked);
        element.dispatchEvent(new CustomEvent("mi-pick", { bubbles: true, detail: picked })); // for scripts that need no server
      });
      new ResizeObserver(() => plot.isConnected && plot.offsetWidth && (narrow() === small ? Plotly.Plots.resize(plot) : draw())).observe(plot);
    } catch (error) {
      MI.text(note, error.message);
    }
  }
  const narrow = () => Boolean(shown.narrow) && plot.offsetWidth > 0 && plot.offsetWidth < MI.NARROW;
  async function image(format) {
    const Plotly = await MI.plotly();
    Plotly.downloadImage(plot, { format, filename: shown.name, width: plot.offsetWidth, height: plot.offsetHeight, scale: format === "png" ? 2 : 1 });
  }
  function list() {
    if (listed === props.content) return;
    listed = props.content;
    table.replaceChildren(MI.table(shown.columns, shown.rows, shown.name));
  }
  watch("content", draw);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light or dark
  draw();
};

// A layout in the page's colours: what the figure sets itself stays.
MI.themed = function (layout) {
  const style = getComputedStyle(document.querySelector(".mi") || document.body), v = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: v("--line"), zerolinecolor: v("--line-2"), linecolor: v("--line-2"), automargin: true };
  const out = {
    uirevision: "kept", margin: { l: 52, r: 16, t: layout.title ? 40 : 16, b: 44 }, hovermode: "closest", ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: v("--sans"), size: 12.5, color: v("--ink-2"), ...(layout.font || {}) },
    hoverlabel: { bgcolor: v("--raised"), bordercolor: v("--line-2"), font: { color: v("--ink"), family: v("--sans") } },
  };
  for (const key of Object.keys(layout).filter((k) => /^[xy]axis\d*$/.test(k)).concat("xaxis", "yaxis")) out[key] = { ...axis, ...(layout[key] || {}) };
  return out;
};

// A table whose columns sort on a click; numbers by size, "" last. Copy and CSV give all rows, in the order shown; at most
// `most` of them are drawn.
MI.table = function (columns, rows, name, onrow = null, most = Infinity) {
  const h = MI.h, body = h("tbody", {});
  let order = rows, by = null, down = false;
  const rank = (x) => (x === null || x === undefined || x === "" ? [2, 0] : Number.isNaN(Number(x)) ? [1, String(x)] : [0, Number(x)]);
  const compare = (a, b) => (a[0] - b[0]) || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
  const heads = columns.map((column, i) => h("th", { scope: "col", "aria-sort": "none" }, h("button", { type: "button", onclick: () => sort(i) }, column)));
  function sort(i) {
    down = by === i && !down;
    by = i;
    order = [...rows].sort((a, b) => {
      const x = rank(a[i]), y = rank(b[i]);
      return x[0] === 2 || y[0] === 2 ? x[0] - y[0] : (down ? -1 : 1) * compare(x, y);
    });
    heads.forEach((head, k) => head.setAttribute("aria-sort", k !== by ? "none" : down ? "descending" : "ascending"));
    fill();
  }
  const cell = (x) => (x === null || x === undefined ? "" : typeof x === "number" && !Number.isInteger(x) ? String(Math.round(x * 1e6) / 1e6) : String(x));
  const fill = () => body.replaceChildren(...order.slice(0, most).map((row) => h("tr", onrow ? { tabindex: 0, onclick: () => onrow(row), onkeydown: (e) => e.key === "Enter" && onrow(row) } : {}, row.map((x) => h("td", { class: typeof x === "number" ? "mi-num" : null }, cell(x))))));
  fill();
  const copy = h("button", { class: "mi-button mi-small", type: "button", onclick: async () => { await navigator.clipboard.writeText(MI.csv(columns, order, "\t")); MI.text(copy, "Copied"); setTimeout(() => MI.text(copy, "Copy"), 1500); } }, "Copy");
  const csv = h("button", { class: "mi-button mi-small", type: "button", onclick: () => MI.save(name + ".csv", MI.csv(columns, order), "text/csv") }, "CSV");
  return h("div", { class: "mi-table" }, h("div", { class: "mi-table-scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), body)), h("div", { class: "mi-row" }, copy, csv));
};

// Rows as CSV (RFC 4180). A text that a spreadsheet would run as a formula is preceded by an apostrophe.
MI.csv = function (columns, rows, separator = ",") {
  const quote = (x) => {
    let text = x === null || x === undefined ? "" : String(x);
    if (typeof x === "string" && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = "'" + text;
    return text.includes(separator) || /["\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return [columns, ...rows].map((row) => row.map(quote).join(separator)).join("\r\n") + "\r\n";
};

// Hands a text or a blob to the visitor as a file.
MI.save = function (name, data, type) {
  const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  const link = MI.h("a", { href: url, download: name });
  document.body.append(link), link.click(), link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};
