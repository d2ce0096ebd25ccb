// Small shared things: elements whose text is always text, numbers, the colour of a λ, and one observable view.
"use strict";
window.MI = window.MI || {};

// An element. Strings become text nodes, never markup; `on*` properties are listeners; `class`, `data-*`, `aria-*` attributes.
MI.h = function (tag, props, ...children) {
  const svg = tag.startsWith("svg:");
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") node[key] = value;
    else if (key === "style" && typeof value === "object") for (const k in value) node.style.setProperty(k, value[k]);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
};

// Sets the text of a node only when it changed; a longer text that starts with the old one is appended.
MI.text = function (node, text) {
  const leaf = node.firstChild && node.firstChild.nodeType === 3 ? node.firstChild : null;
  if (!leaf) return void node.replaceChildren(document.createTextNode(text));
  const old = leaf.data;
  if (old === text) return;
  if (text.length > old.length && text.startsWith(old)) leaf.appendData(text.slice(old.length));
  else leaf.data = text;
};

// Fills a node, unless what it shows is still the same by its key: a new node is laid out and painted, also where it looks like the old one.
MI.fill = function (node, key, make) {
  if (node.filled === key) return;
  node.filled = key;
  node.replaceChildren(...make());
};

MI.clamp = (x, low, high) => Math.min(high, Math.max(low, x));
MI.digits = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
MI.count = (n) => MI.digits.format(n);
MI.percent = (x) => (x > 0 && x < 0.1 ? (100 * x).toFixed(1) : Math.round(100 * x)) + " %";
MI.seconds = (s) => (s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`);
MI.plural = (n, word) => MI.count(n) + " " + word + (n === 1 ? "" : "s");
// λ as text: at most four decimals, no trailing zeros; the same as Python's frame names.
MI.lam = (x) => String(Math.round(x * 1e4) / 1e4 + 0);

// One colour per λ everywhere: Instruct's blue through violet to Thinking's vermilion, mixed in OKLab by hand once.
MI.scale = [[0, 114, 178], [67, 103, 184], [106, 90, 180], [140, 78, 160], [170, 73, 125], [194, 77, 78], [213, 94, 0]];
MI.colour = function (lam) {
  const at = MI.clamp(lam, 0, 1) * (MI.scale.length - 1);
  const i = Math.min(Math.floor(at), MI.scale.length - 2);
  const mix = MI.scale[i].map((c, k) => Math.round(c + (MI.scale[i + 1][k] - c) * (at - i)));
  return `rgb(${mix.join(" ")})`;
};

// The nearest frame to a λ; frames is an array of {lam}. Null when there is none.
MI.nearest = (frames, lam) => frames.reduce((best, f) => (!best || Math.abs(f.lam - lam) < Math.abs(best.lam - lam) - 1e-9 ? f : best), null);

MI.token = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

MI.root = () => ((window.gradio_config || {}).root || "").replace(/\/$/, ""); // what the page's own addresses begin with

// An observable: `set(patch)` tells every listener which keys changed.
MI.observable = function (values) {
  const listeners = [];
  return {
    get: () => values,
    set(patch) {
      const changed = Object.keys(patch).filter((k) => JSON.stringify(values[k]) !== JSON.stringify(patch[k]));
      if (!changed.length) return;
      values = { ...values, ...patch };
      for (const listener of listeners) listener(values, new Set(changed));
    },
    watch: (listener) => listeners.push(listener),
  };
};

// What the strip was made of; a view with another key makes it stale. λ, pins and the lens do not matter to it.
MI.key = function (view) {
  const { lam, pins, lens, ...rest } = view;
  return JSON.stringify(Object.keys(rest).sort().map((k) => [k, rest[k]]));
};

// -- What other tabs may ask of Explore --------------------------------------------------------------------------------
// MI.patch(view) sets parts of what Explore looks at and stays on the current tab; MI.show(view, content) sets them, opens
// `content` where there is some, and turns to Explore. Both may be called at any time, also before Explore is there.
//   view     keys of the address (mi_explorer/ui/explore/view.py, FIELDS), any of them: { lam, method, params, layers, modules,
//            template, t, top_p, top_k, min_p, rep, cap, seed, q, gold, pins, lens }. `layers` is text ("all", "none",
//            "0-3,5"), `modules` a list of names, `params` an object of numbers. Unknown keys and `pair` are passed over.
//   content  a finished strip as the server makes it: { token, label, view, frames: { id: frame }, sentence, bands }.
//            `Explore.sample(study, key)` (mi_explorer/ui/explore/explore_handlers.py) makes it of a stored sample. Its own `view` (recipe,
//            decoding, seed and question of the sample) is set first, so MI.show({}, content) is enough. { error } is said.
// Examples: MI.show({ layers: "4-5", modules: ["mlp"] });   MI.show({}, await server.sample({ study, key }));
// MI.view() is a copy of Explore's view, or null while it is not there.
MI.app = null; // Explore, once it is mounted
MI.later = []; // what was asked for before
MI.when = (act) => (MI.app ? act(MI.app) : void MI.later.push(act));
MI.patch = (view) => MI.when((app) => app.patch(view || {}));
MI.show = (view, content) => MI.when((app) => app.show(view || {}, content || null));
MI.view = () => (MI.app ? structuredClone(MI.app.view.get()) : null);
