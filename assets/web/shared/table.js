// A table whose columns sort on a click, with Copy and CSV of all its rows in the order shown.

import { cellText, compareCells, toCsv } from "./csv.js";
import { copyButton, h, smallButton } from "./dom.js";

// `onRow(row)` is called for a row that is clicked; at most `limit` rows are drawn.
export function sortableTable(columns, rows, name, { onRow = null, limit = Infinity } = {}) {
  const body = h("tbody");
  const heads = columns.map((column, i) =>
    h("th", { scope: "col", "aria-sort": "none" }, h("button", { onclick: () => sortBy(i) }, column)),
  );
  let order = rows;
  let sorted = { column: null, descending: false };

  function sortBy(column) {
    const descending = sorted.column === column && !sorted.descending;
    sorted = { column, descending };
    order = [...rows].sort((a, b) => compareCells(a[column], b[column], descending));
    const direction = descending ? "descending" : "ascending";
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? direction : "none"));
    fill();
  }
  function fill() {
    body.replaceChildren(...order.slice(0, limit).map((row) => tableRow(row, onRow)));
  }
  fill();
  const copy = copyButton(() => toCsv(columns, order, "\t"));
  const csv = smallButton("CSV", () => saveFile(`${name}.csv`, toCsv(columns, order), "text/csv"));
  return h("div.mi-table", scrollingTable("Table", heads, body), h("div.mi-row", copy, csv));
}

function tableRow(row, onRow) {
  const cells = row.map((x) => h("td", { class: typeof x === "number" ? "mi-num" : null }, cellText(x)));
  return h("tr", onRow ? onPick(() => onRow(row)) : {}, cells);
}

// Properties of a row that can be picked by mouse and by key.
export const onPick = (act) => ({
  tabindex: 0,
  onclick: act,
  onkeydown: (event) => event.key === "Enter" && act(),
});

// A table that scrolls in itself; `heads` are its <th>.
export const scrollingTable = (label, heads, body) =>
  h(
    "div.mi-table-scroll",
    { tabindex: 0, role: "region", "aria-label": label },
    h("table", h("thead", h("tr", heads)), body),
  );

export const columnHeads = (names) => names.map((name) => h("th", { scope: "col" }, name));

// Hands a text to the visitor as a file.
export function saveFile(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
