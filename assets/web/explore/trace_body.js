// The text of one frame, with a scroll of its own. Its document tree is made once, laid out once and kept in place, so that
// scrubbing only shows and hides. Text grows by appended text nodes while it streams, and the end stays in sight until
// somebody reads back.

import { h, setText } from "../shared/dom.js";
import { clamp, count, plural } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { frameNote } from "./frames.js";
import { cutText, partMarks, sharedLength } from "./marks.js";
import { lamAt } from "./steer_words.js";

const SHOWN_CHARACTERS = 60_000; // of each part, laid out without being asked for
const NEAR_END_PX = 60;
const PARTS = ["thought", "answer"];
const SHARED_TITLE = "Written by the trace that this branch came from";

export function traceBody(lam, options) {
  const texts = { thought: h("div.mi-thought-text"), answer: h("div.mi-answer-text") };
  const size = h("span.mi-num");
  const caret = h("span.mi-caret", { "aria-hidden": "true" });
  const fold = h("button.mi-fold", { onclick: () => options.onFold() }, caret, h("span", "Thought"), size);
  const sections = {
    thought: h("section.mi-thought", fold, texts.thought),
    answer: h("section.mi-answer", texts.answer),
  };
  const note = h("p.mi-note", { hidden: true });
  const more = h("button.mi-more", { hidden: true, onclick: showAll });
  const body = h("div.mi-body", sections.thought, sections.answer, note, more);
  const style = { "--lam": lamColour(lam) };
  const node = h("div.mi-scroll", { role: "region", style }, body);
  let isAtEnd = true;
  let isRunning = false;
  let isWhole = false; // whether a long text was asked for in full
  let last = null; // what was drawn last: [frame, lens]
  let stamp = "";

  node.addEventListener("scroll", onScroll, { passive: true });
  function onScroll() {
    isAtEnd = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_END_PX;
    options.onScroll(node);
  }
  // After the browser's own layout: asking for the height here would make another.
  new ResizeObserver(() => {
    if (isRunning && isAtEnd) node.scrollTop = 1e9;
  }).observe(body);

  function showAll() {
    isWhole = true;
    update(...last);
  }
  function update(frame, lens) {
    last = [frame, lens];
    if (frame.state === "running" && !isRunning) isAtEnd = true;
    isRunning = frame.state === "running";
    for (const part of PARTS) sections[part].hidden = !frame[part];
    setText(size, frame.think ? plural(frame.think, "token") : "");
    fold.setAttribute("aria-expanded", String(!options.isFolded()));
    texts.thought.hidden = options.isFolded();
    drawTexts(shownPart(frame), lens);
    const words = frameNote(frame);
    note.hidden = !words;
    setText(note, words);
  }
  function shownPart(frame) {
    const length = frame.thought.length + frame.answer.length;
    more.hidden = isWhole || length <= SHOWN_CHARACTERS;
    if (more.hidden) return frame;
    setText(more, `Show all ${count(length)} characters`);
    const [thought, answer] = PARTS.map((part) => frame[part].slice(0, SHOWN_CHARACTERS));
    return { ...frame, thought, answer };
  }
  // Plain text grows in place; marked text is made anew when it or its marks change.
  function drawTexts(frame, lens) {
    if (lens.mode === "plain" && !frame.mark && !frame.steps?.length && !hasFlags(lens)) {
      if (stamp) for (const part of PARTS) texts[part].replaceChildren();
      stamp = "";
      for (const part of PARTS) growText(texts[part], frame[part], sharedLength(frame, part));
      return;
    }
    const next = stampOf(frame, lens);
    if (next === stamp) return;
    stamp = next;
    for (const part of PARTS) putNodes(texts[part], markedText(frame, part, lens));
  }
  function show(on) {
    node.classList.toggle("mi-shown", on);
    node.inert = !on;
    if (on) node.setAttribute("tabindex", "0");
    else node.removeAttribute("tabindex");
  }
  // Brings the first node of a class into sight, in this trace alone.
  function reveal(selector) {
    const target = node.querySelector(selector);
    if (!target) return;
    const [outer, inner] = [node.getBoundingClientRect(), target.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom)
      node.scrollTop += inner.top - outer.top - outer.height / 3;
  }
  // Outlines the token of this number under a lens that shows tokens; null: none.
  function pickToken(i) {
    node.querySelector(".mi-tok-picked")?.classList.remove("mi-tok-picked");
    if (i !== null) node.querySelector(`.mi-tok[data-t="${i}"]`)?.classList.add("mi-tok-picked");
  }
  return { node, reveal, pickToken, map: h("div.mi-map", { "aria-hidden": "true" }), update, show };
}

// Plain text that grows; its first `shared` characters are another trace's, and shaded.
function growText(node, text, shared) {
  if (!shared) {
    setText(node, text);
    return;
  }
  const isReady = node.childNodes.length === 2 && node.firstChild.nodeType === Node.ELEMENT_NODE;
  if (!isReady) node.replaceChildren(h("span.mi-shared", { title: SHARED_TITLE }), h("span"));
  setText(node.firstChild, text.slice(0, shared));
  setText(node.lastChild, text.slice(shared));
}

// What marked text depends on, as one text.
function stampOf({ state, thought, answer, parted, steps }, { mode, scores, against, flags }) {
  const marks = [
    mode,
    Boolean(scores),
    against?.stamp,
    Boolean(parted),
    JSON.stringify([steps, scores ? null : flags]),
  ];
  return [...marks, state, thought.length, answer.length].join("|");
}

// Makes these nodes and texts the children of a node. Those that are there and look the same stay: a text that grows is not laid out anew.
function putNodes(parent, pieces) {
  const nodes = pieces.map((piece) => (typeof piece === "string" ? document.createTextNode(piece) : piece));
  nodes.forEach((node, i) => {
    const old = parent.childNodes[i];
    if (!old) parent.append(node);
    else if (node.nodeType === Node.TEXT_NODE || !isSameKind(old, node)) parent.replaceChild(node, old);
    else setText(old, node.textContent);
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
}

const ATTRIBUTES = ["class", "style", "title", "data-t"];
const isSameKind = (a, b) =>
  a.nodeType === b.nodeType && ATTRIBUTES.every((name) => a.getAttribute(name) === b.getAttribute(name));

const hasFlags = ({ flags }) => Boolean(flags && PARTS.some((part) => flags[part].length));

// The nodes of a part of a frame under a lens.
export function markedText(frame, part, lens) {
  if (lens.scores) return scoredTokens(lens.scores, part, lens.mode);
  const text = frame[part];
  const { marks, flags } = partMarks(frame, part, lens);
  const flagNode = (flag) => {
    const style = Number.isFinite(flag.lam) ? { "--wrote": lamColour(flag.lam) } : null;
    return h("span.mi-flag", { class: flag.class, title: flag.title, style }, flag.text);
  };
  const wroteStyle = (start) => (frame.steps?.length ? { "--wrote": lamColour(lamAt(frame, part, start)) } : null);
  const nodes = cutText(text, marks, flags).flatMap(([piece, classes, start]) => [
    ...flags.filter((flag) => flag.at === start).map(flagNode),
    classes ? h("span", { class: classes, style: wroteStyle(start) }, piece) : piece,
  ]);
  return [...nodes, ...flags.filter((flag) => flag.at >= text.length).map(flagNode)];
}

// Scored tokens, coloured by who wrote them or by entropy; `data-t` is the token's number, for a click on it.
function scoredTokens(scores, part, mode) {
  const nodes = [];
  scores.tokens.forEach(([text, where, llr, entropy], i) => {
    if (where !== part) return;
    const strength = mode === "writer" ? clamp(Math.abs(llr) / 5, 0, 1) : clamp(entropy / 2.5, 0, 1);
    const writer = llr > 0 ? "thinking" : "instruct";
    const kind = mode === "writer" ? writer : "entropy";
    const style = { "--s": strength.toFixed(3) };
    nodes.push(h(`span.mi-tok.mi-tok-${kind}`, { "data-t": String(i), style }, nodes.length ? text : text.trimStart()));
  });
  return nodes;
}
