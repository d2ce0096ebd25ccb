// Which character of a trace's text lies under the pointer.

// The place under a pointer in a text of a trace: { part, at } in UTF-16 units; null where it hits none.
export function textPlace(event) {
  const host = event.target.closest(".mi-thought-text, .mi-answer-text");
  if (!host) return null;
  const [node, offset] = caretOf(event);
  if (!node || !host.contains(node) || node.parentElement.closest(".mi-flag")) return null;
  const before = document.createRange();
  before.setStart(host, 0);
  before.setEnd(node, offset);
  const copy = before.cloneContents();
  for (const flag of copy.querySelectorAll(".mi-flag")) flag.remove();
  return { part: host.classList.contains("mi-thought-text") ? "thought" : "answer", at: copy.textContent.length };
}

function caretOf({ clientX, clientY }) {
  if (document.caretPositionFromPoint) {
    const found = document.caretPositionFromPoint(clientX, clientY);
    return found ? [found.offsetNode, found.offset] : [null, 0];
  }
  const range = document.caretRangeFromPoint?.(clientX, clientY);
  return range ? [range.startContainer, range.startOffset] : [null, 0];
}
