// The keys of Explore, and their help.

import { h, terms } from "../shared/dom.js";

const HELP = [
  ["/", "write the question"],
  ["Ctrl + Enter", "run the strip"],
  ["Esc", "stop, or close"],
  ["[  ]", "step λ from frame to frame"],
  ["← →", "move λ on the rail"],
  ["p", "pin this λ"],
  ["s", "steer one response"],
  ["k", "pause what is steered, or go on"],
  ["h", "write a hint for it"],
  ["f", "focus the blend"],
  ["d", "diff against λ = 0"],
  ["t", "stop thinking: now, or earlier in a trace that has ended (probe)"],
  ["b", "go on from a token at another λ: a branch"],
  ["?", "this help"],
];
const NOTE =
  "Every λ has its own trace; dragging only looks at them. Run makes them all at once, Run here makes one more.";
const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";

export function helpDialog() {
  const close = h("button.mi-button", { onclick: () => dialog.close() }, "Close");
  const list = h("dl", terms(HELP.map(([key, words]) => [h("kbd", key), words])));
  const dialog = h("dialog.mi-help", { "aria-label": "Keys" }, h("h2", "Keys"), list, h("p", NOTE), close);
  return dialog;
}

export function listenToKeys(app) {
  const actions = {
    "/": () => app.question.focus(),
    "[": () => app.rail.step(-1),
    "]": () => app.rail.step(1),
    p: () => app.togglePin(),
    s: () => app.steering.isThere && app.steer.start(),
    t: () => (app.steer.isOpen() ? app.steer.stopThinking() : app.board.stopThinking()),
    k: () => app.steer.pause(),
    h: () => app.steer.focusHint(),
    f: () => app.board.focus(),
    d: () => app.lenses.toggleDiff(),
    b: () => app.board.branch(),
    "?": () => app.help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (!app.isVisible()) return;
    const isTyping = Boolean(event.target.closest && event.target.closest(TYPING));
    const hasModifier = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && hasModifier) runNow(app, event);
    else if (event.key === "Escape") escape(app, event, isTyping);
    else if (!isTyping && isShortcut(app, event) && actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}

// A key by itself, while no dialog is open.
function isShortcut(app, { altKey, ctrlKey, metaKey }) {
  return !(altKey || ctrlKey || metaKey || app.help.open || app.pairs.isOpen());
}

function runNow(app, event) {
  if (app.pairs.isOpen()) return;
  event.preventDefault();
  document.activeElement.blur(); // what is being typed counts
  app.start("strip");
}

// Closes or stops the first of these that there is: the help, a panel, a run, typing, a focused pane.
function escape(app, event, isTyping) {
  if (app.help.open || app.controls.close() || app.pairs.close()) return;
  if (app.isRunning()) app.stop();
  else if (isTyping) event.target.blur();
  else if (app.steer.isOpen()) app.steer.close();
  else app.board.unfocus();
}
