// The page's style, which overrides Gradio's and therefore comes after it in the document.

const ADDRESS = new URL("../style.css", import.meta.url).href;

// Resolves when the style is in effect, or cannot be had.
export function loadStyle() {
  return new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = ADDRESS;
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}
