// The track of λ under the map of a trace: which λ wrote which tokens, as steps over the tokens; hints and stops as signs.

import { fillOnce, h } from "../shared/dom.js";
import { lamText } from "../shared/format.js";
import { lamColour } from "../shared/palette.js";
import { lamSpan, shareOf } from "./axis.js";
import { stepSentence, writersOf } from "./steer_words.js";

const LABEL_ROOM = 0.07; // share of the track that a λ's number needs
const SIGNS = { hint: "✎", stop: "■", budget: "■" };

export function lamTrack() {
  const node = h("div.mi-lam-track.mi-num", { role: "img", hidden: true });
  // `isSteered`: the track is there before anything was done.
  function draw(frame, isSteered) {
    node.hidden = !isSteered && !frame?.steps?.length;
    if (node.hidden || !frame) return;
    const writers = writersOf(frame);
    const span = lamSpan(writers.map(({ lam }) => lam));
    const total = Math.max(1, frame.tokens);
    const at = (tokens) => `${((100 * tokens) / total).toFixed(3)}%`;
    const height = (lam) => `${(100 * shareOf(lam, span)).toFixed(1)}%`;
    fillOnce(node, JSON.stringify([writers, frame.tokens, frame.steps]), () => {
      node.setAttribute("aria-label", `λ over the tokens: ${stepSentence(frame)}`);
      return [
        ...writers.map(({ lam, from, to }) => writer(lam, at(from), at(to - from), height(lam), (to - from) / total)),
        ...(frame.steps || []).filter(({ cause }) => SIGNS[cause]).map((step) => sign(step, at(step.at))),
      ];
    });
  }
  return { node, draw };
}

function writer(lam, left, width, bottom, share) {
  const style = { left, width, "--at": bottom, "--lam": lamColour(lam) };
  return h("i.mi-track-lam", { style }, share > LABEL_ROOM ? h("b", lamText(lam)) : null);
}

const sign = ({ cause }, left) => h(`span.mi-track-sign.mi-track-${cause}`, { style: { left } }, SIGNS[cause]);
