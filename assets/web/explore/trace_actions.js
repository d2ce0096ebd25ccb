// What can be done to the trace of a pane: probe it, look at a place where it was stopped, open the card of a token, go on from there.

import { lamText } from "../shared/format.js";
import { answerOf } from "../shared/server.js";
import { saveFile } from "../shared/table.js";
import { isPending } from "./frames.js";
import { probeFlags } from "./probe_words.js";
import { viewOf } from "./strip.js";
import { traceFile } from "./trace_file.js";
import { textPlace } from "./text_point.js";
import { showTokenCard } from "./token_card.js";
import { placeOfToken, tokenAt } from "./token_place.js";

// `board` gives { node, paneOf(id), scoresOf(frame), update() }.
export function traceActions(app, board) {
  const pieces = new Map(); // trace → its tokens, [text, part] each; null while they are on their way
  let card = null; // { node, close, key, at, tokens }: the card that is open

  // A trace of the page, whichever strip or pane shows it.
  const keyOfFrame = (frame) => `${frame.run || app.strips.current().token}/${frame.id}`;
  const frameOf = (id) => board.paneOf(id)?.frame || null;
  const keyOf = (id) => (frameOf(id) ? keyOfFrame(frameOf(id)) : "");

  function sourceOf(id) {
    const frame = frameOf(id);
    const strip = app.strips.current();
    const branch = app.branches.current().find((one) => one.id === id);
    const begun = { lam: frame.lam, schedule: frame.schedule, path: branch?.path };
    return {
      pane: id,
      key: keyOfFrame(frame),
      run: frame.run || strip.token,
      id: frame.id,
      view: viewOf(strip),
      ...begun,
    };
  }

  // -- probes --
  function probe(id) {
    const problem = traceProblem(frameOf(id), "probe") || thoughtProblem(frameOf(id));
    if (problem) app.showStatus(problem, "error");
    else app.probes.start(sourceOf(id));
  }
  // Probes a frame of the strip or of a branch, with `options` of a link.
  function probeFrame(frame, options) {
    const strip = app.strips.current();
    const source = { key: keyOfFrame(frame), run: frame.run || strip.token, id: frame.id, view: viewOf(strip) };
    if (!traceProblem(frame, "probe")) app.probes.start(source, options);
  }
  function pick(id, token) {
    app.probes.pick(keyOf(id), token);
    board.update();
    if (token !== null) board.paneOf(id).body()?.reveal(".mi-stop-here");
  }

  // The trace as a file: all that made it, its text, and what was asked of it.
  function save(id) {
    const { key, view, path } = sourceOf(id);
    const file = traceFile(frameOf(id), { ...app.view.get(), ...view }, path, app.probes.of(key));
    saveFile(`trace-${lamText(frameOf(id).lam)}.json`, JSON.stringify(file, null, 1), "application/json");
  }

  // -- tokens --
  async function tokensOf(id) {
    const frame = frameOf(id);
    const key = keyOfFrame(frame);
    const scored = board.scoresOf(frame);
    if (scored) return scored.tokens;
    if (!pieces.get(key)) {
      const { run, id: name } = sourceOf(id);
      const answer = await answerOf(app.server.pieces({ pair: app.view.get().pair, token: run, id: name }));
      if (answer.error) app.showStatus(answer.error, "error");
      else pieces.set(key, answer.tokens);
    }
    return pieces.get(key) || null;
  }

  // Opens the card of token `at` of a pane's trace; without a number, of the stop that is looked at, or of the middle of the thought.
  async function openCard(id, at = null) {
    const problem = traceProblem(frameOf(id), "go on from");
    if (problem) {
      app.showStatus(problem, "error");
      return;
    }
    const key = keyOf(id);
    const tokens = await tokensOf(id);
    if (!tokens || keyOf(id) !== key) return;
    const frame = frameOf(id);
    const middle = Math.round((frame.think || frame.tokens) / 2);
    const first = typeof at === "function" ? at(tokens) : (at ?? app.probes.of(key)?.picked ?? middle);
    if (first === null) return;
    card = null;
    card = {
      key,
      tokens,
      at: first,
      ...showTokenCard(
        board.node,
        {
          tokens,
          scores: board.scoresOf(frame),
          lam: app.view.get().lam,
          onMove: (i) => mark(id, i),
          onGoOn: (i, lam) => goOn(id, key, i, lam),
          onClose() {
            card = null;
            board.update();
            board.paneOf(id)?.body()?.pickToken(null);
            board.paneOf(id)?.node.querySelector(".mi-shown")?.focus({ preventScroll: true });
          },
        },
        first,
      ),
    };
    card.node.classList.toggle("mi-card-left", isOnTheRight(board.paneOf(id).node, board.node)); // the card hides no text of its pane
    mark(id, first);
  }
  function mark(id, i) {
    if (!card) return;
    card.at = i;
    board.update();
    const body = board.paneOf(id)?.body();
    if (!body) return;
    body.pickToken(i);
    body.reveal(".mi-goes-on, .mi-tok-picked");
  }
  // A sentence where the trace is there no more; "" otherwise.
  function goOn(id, key, at, lam) {
    if (keyOf(id) !== key) return "This pane shows another trace now. Close this card and choose a token of it.";
    const branch = app.branches.start(sourceOf(id), at, lam);
    if (branch)
      requestAnimationFrame(() =>
        board.paneOf(branch.id)?.node.scrollIntoView({ inline: "nearest", block: "nearest" }),
      );
    return branch ? "" : app.branches.problem();
  }

  function onClick(event, pane) {
    const word = event.target.closest(".mi-tok");
    if (word) {
      openCard(pane.id, Number(word.dataset.t));
      return;
    }
    const place = String(getSelection()) ? null : textPlace(event); // who selects text wants no card
    if (place && pane.frame && !isPending(pane.frame))
      openCard(pane.id, (tokens) => tokenAt(tokens, place.part, place.at));
  }

  // The words that probes and the open card put into a trace's text.
  function flagsOf(frame) {
    const key = keyOfFrame(frame);
    const found = app.probes.of(key);
    const isOpen = card?.key === key;
    if (!found && !isOpen) return null;
    const flags = probeFlags(found, found?.picked ?? null);
    const place = isOpen && placeOfToken(card.tokens, card.at);
    if (place) {
      const at = Math.min(place.at, frame[place.part].length);
      flags[place.part].push({ at, class: "mi-goes-on", text: "go on from here", title: "A branch begins here" });
    }
    return flags;
  }

  return {
    of: (id) => ({
      probe: () => probe(id),
      stop: () => app.probes.stop(keyOf(id)),
      pick: (token) => pick(id, token),
      goOn: (token) => openCard(id, token),
      save: () => save(id),
    }),
    probeFrame,
    keyOf,
    keyOfFrame,
    flagsOf,
    onClick,
  };
}

// What keeps a trace from being probed or branched, as far as the page knows; "": nothing. The server knows the rest.
function traceProblem(frame, act) {
  if (!frame || (!frame.tokens && !isPending(frame))) return `There is no trace to ${act} here. Run first.`;
  return isPending(frame) ? `This trace is still being written. Wait for its end, or stop it, and then ${act} it.` : "";
}

function isOnTheRight(pane, host) {
  const [inner, outer] = [pane.getBoundingClientRect(), host.getBoundingClientRect()];
  return inner.left + inner.width / 2 > outer.left + outer.width / 2;
}

const thoughtProblem = (frame) =>
  frame.thought ? "" : "This response has no thought, so there is nothing to stop. Probe one that thinks (a higher λ).";
