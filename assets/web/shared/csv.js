// Tables as text: cells, their order, and CSV.

const [NUMBER, TEXT, EMPTY] = [0, 1, 2]; // kinds of cells, in their order

// Rows as CSV (RFC 4180). A text that a spreadsheet would run as a formula is preceded by an apostrophe.
export function toCsv(columns, rows, separator = ",") {
  return [columns, ...rows].map((row) => row.map((x) => csvCell(x, separator)).join(separator)).join("\r\n") + "\r\n";
}

function csvCell(value, separator) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = "'" + text;
  return text.includes(separator) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function cellText(value) {
  if (value === null || value === undefined) return "";
  const isFraction = typeof value === "number" && !Number.isInteger(value);
  return String(isFraction ? Math.round(value * 1e6) / 1e6 : value);
}

// Compares two cells: numbers by size, then texts; an empty cell is last in both directions.
export function compareCells(a, b, descending) {
  const [kindA, valueA] = cellRank(a);
  const [kindB, valueB] = cellRank(b);
  if (kindA === EMPTY || kindB === EMPTY) return kindA - kindB;
  const sign = descending ? -1 : 1;
  if (kindA !== kindB) return sign * (kindA - kindB);
  if (valueA === valueB) return 0;
  return valueA < valueB ? -sign : sign;
}

function cellRank(value) {
  if (value === null || value === undefined || value === "") return [EMPTY, 0];
  return Number.isNaN(Number(value)) ? [TEXT, String(value)] : [NUMBER, Number(value)];
}
