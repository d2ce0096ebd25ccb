// Elements whose text is always text: strings become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

// An element: h("button.mi-button", { onclick }, "Run"). Properties that begin with "on" are listeners, `style` may be an
// object; null, undefined and false leave a property or a child out. "svg:path" makes an element of SVG.
export function h(selector, ...rest) {
  const [tag, ...classes] = selector.split(".");
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  if (tag === "button") node.type = "button";
  if (classes.length) node.setAttribute("class", classes.join(" "));
  const properties = isPlainObject(rest[0]) ? rest.shift() : {};
  for (const [key, value] of Object.entries(properties)) setProperty(node, key, value);
  node.append(...rest.flat(Infinity).filter(isGiven));
  return node;
}

const isGiven = (x) => x !== null && x !== undefined && x !== false;
const isPlainObject = (x) => isGiven(x) && Object.getPrototypeOf(x) === Object.prototype;

function setProperty(node, key, value) {
  if (!isGiven(value)) return;
  if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
  else if (key === "class") node.classList.add(...value.split(" ").filter(Boolean));
  else if (key === "value" || key === "checked") node[key] = value;
  else if (key === "style") for (const name in value) node.style.setProperty(name, value[name]);
  else node.setAttribute(key, value === true ? "" : value);
}

export const smallButton = (text, onclick, properties = {}) =>
  h("button.mi-button.mi-small", { onclick, ...properties }, text);

// A one-line field for text that is no prose.
export const textField = (label, properties = {}) =>
  h("input.mi-field", { type: "text", "aria-label": label, spellcheck: "false", autocomplete: "off", ...properties });

export const labelled = (text, field) => h("label.mi-labelled", text, field);

export const option = ([value, text]) => h("option", { value }, text);

// Terms and what is said of them, as the children of a <dl>.
export const terms = (pairs) => pairs.map(([term, text]) => [h("dt", term), h("dd", text)]);

// Puts a text on the clipboard; whether it is there: browsers refuse without a secure origin.
export const copyText = (text) =>
  Promise.resolve(navigator.clipboard?.writeText(text)).then(
    () => Boolean(navigator.clipboard),
    () => false,
  );

// A button that copies what `text()` gives, and shows for a moment whether it did.
export function copyButton(text) {
  const button = smallButton("Copy", async () => {
    setText(button, (await copyText(text())) ? "Copied" : "Refused by the browser");
    setTimeout(() => setText(button, "Copy"), 1500);
  });
  return button;
}

// Sets the text of a node only when it changed; a longer text that starts with the old one is appended.
export function setText(node, text) {
  const leaf = node.firstChild && node.firstChild.nodeType === Node.TEXT_NODE ? node.firstChild : null;
  if (!leaf) {
    node.replaceChildren(document.createTextNode(text));
    return;
  }
  const old = leaf.data;
  if (old === text) return;
  if (text.length > old.length && text.startsWith(old)) leaf.appendData(text.slice(old.length));
  else leaf.data = text;
}

// Sets texts of nodes; a node without text is hidden: [[node, text], …].
export function setTexts(pairs) {
  for (const [node, text] of pairs) {
    setText(node, text || "");
    node.hidden = !text;
  }
}

// Fills a node, unless its key is still the same: a new node costs layout and paint, also where it looks like the old one.
export function fillOnce(node, key, make) {
  if (node.filledKey === key) return;
  node.filledKey = key;
  node.replaceChildren(...make());
}

// A progress bar; without `total` it is hidden.
export function showProgress(bar, done, total) {
  bar.hidden = !total;
  if (!total) return;
  bar.max = total;
  bar.value = done;
}

// Closes an open <details> when something outside of it is pressed.
export function closeOnPressOutside(details) {
  document.addEventListener("pointerdown", (event) => {
    if (details.open && !details.contains(event.target)) details.open = false;
  });
}
