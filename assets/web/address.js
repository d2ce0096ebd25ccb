// The address bar: the view as a query, fields at their default left out. Python reads and writes it, too (mi_explorer/recipe_io.py).
"use strict";
MI.address = function (view, fields, version, linkLimit) {
  const out = [["v", version]];
  for (const [key, kind, fallback] of fields) {
    const value = view[key];
    if (value === undefined || JSON.stringify(value) === JSON.stringify(fallback)) continue;
    if (["q", "gold"].includes(key) && value.length > linkLimit) continue;
    out.push([key, encode(kind, value)]);
  }
  return new URLSearchParams(out).toString();

  function encode(kind, value) {
    if (kind === "numbers") return value.join(",");
    if (kind === "names") return value.join(",") || "none";
    if (kind === "pairs") return Object.entries(value).map(([k, x]) => `${encodeURIComponent(k)}:${x}`).join(",");
    return String(value);
  }
};

// Writes the view into the address bar once it has rested (it costs a drag its smoothness, and browsers refuse many a second).
MI.addressBar = function (fields, version, linkLimit) {
  const keys = new Set(["v", "lambda", ...fields.map(([key]) => key)]);
  const own = (key) => keys.has(key) || key.startsWith("p."); // `lambda` and `p.density` are older spellings
  let timer = null, latest = null;
  return function (view) {
    latest = view;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const keep = new URLSearchParams(location.search);
      const query = new URLSearchParams(MI.address(latest, fields, version, linkLimit));
      for (const [key, value] of keep) if (!own(key)) query.set(key, value); // of the host, such as __theme, and of other tabs
      history.replaceState(history.state, "", location.pathname + "?" + query + location.hash);
    }, 250);
  };
};
