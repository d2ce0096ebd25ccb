// The address bar: the view as a query, fields at their default left out. The server reads
// and writes it, too (mi_explorer/recipe_io.py).

const REST_MS = 250; // the address follows a view that rests: writing it costs a drag its smoothness
const TEXT_KEYS = ["q", "gold", "schedule"]; // left out of links where they are long

// The query of a view. `setup` gives `fields` ([key, kind, default] each), `version` and `linkLimit` (characters).
export function viewQuery(view, { fields, version, linkLimit }) {
  const pairs = [["v", version]];
  for (const [key, kind, fallback] of fields) {
    const value = view[key];
    if (value === undefined || JSON.stringify(value) === JSON.stringify(fallback)) continue;
    if (TEXT_KEYS.includes(key) && value.length > linkLimit) continue;
    if (kind === "texts" && Math.max(value.join(";").length, view.q.length) > linkLimit) continue; // they are of that question
    pairs.push([key, encodeValue(kind, value)]);
  }
  return new URLSearchParams(pairs).toString();
}

function encodeValue(kind, value) {
  if (kind === "numbers") return value.join(",");
  if (kind === "texts") return value.join(";");
  if (kind === "names") return value.join(",") || "none";
  if (kind === "pairs")
    return Object.entries(value)
      .map(([name, x]) => `${encodeURIComponent(name)}:${x}`)
      .join(",");
  return String(value);
}

// The query of a view, with those parameters of another query that are not the view's: the host's, or another tab's.
export function mergedQuery(view, setup, search) {
  const query = new URLSearchParams(viewQuery(view, setup));
  for (const [key, value] of new URLSearchParams(search)) if (!isOfView(key, setup.fields)) query.set(key, value);
  return query;
}

// Whether a parameter is one of the view; `lambda` and `p.density` are older spellings.
const isOfView = (key, fields) =>
  ["v", "lambda", ...fields.map(([name]) => name)].includes(key) || key.startsWith("p.");

export function linkOf(query) {
  return `${location.origin}${location.pathname}?${query}`;
}

export function writeQuery(query) {
  const text = query.toString();
  history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : "") + location.hash);
}

// A function that writes a view into the address bar once it has rested.
export function addressWriter(setup) {
  let timer = null;
  return function (view) {
    clearTimeout(timer);
    timer = setTimeout(() => writeQuery(mergedQuery(view, setup, location.search)), REST_MS);
  };
}
