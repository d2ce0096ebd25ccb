// The λ rail: the x-axis of the page. A native range input under a drawn track, frames, pins, stage bands and leaders.

import { fillOnce, h, setText, textField } from "../shared/dom.js";
import { lamText, roundLam, typedNumber } from "../shared/format.js";
import { lamColour, lamGradient } from "../shared/palette.js";
import { lamPlace, lamSpan, nextStep, tenths } from "./axis.js";
import { sameLam, verdictOf } from "./frames.js";
import { railLeaders } from "./leaders.js";
import { routerButton } from "./router_button.js";
import { studyCurves } from "./study_curves.js";

const PLAY_S = 7;
const LOWEST = -1;
const HIGHEST = 2;
const STAGE_WORDS = { 1: "no thought", 2: "transition", 3: "thinking" };
const STAGE_ROOM = 0.16; // share of the rail that a stage's name needs

const hidden = { "aria-hidden": "true" };

export function lamRail(app) {
  const range = { type: "range", min: "0", max: "1", step: "0.01", "aria-label": "λ, the weight of Thinking" };
  const input = h("input.mi-range", { ...range, oninput: () => setLam(Number(input.value)) });
  const stages = h("div.mi-stages");
  const dots = h("div.mi-frames", hidden);
  const ticks = h("div.mi-ticks.mi-num", hidden);
  const box = textField("λ as a number, −1 to 2", { inputmode: "decimal", maxlength: "12", onchange: takeTyped });
  box.className = "mi-box mi-num";
  box.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && box.blur());
  const play = h(
    "button.mi-button.mi-icon-button",
    { title: "Play λ from 0 to 1", "aria-label": "Play λ from 0 to 1" },
    "▶",
  );
  const pin = h("button.mi-button", { title: "Pin this λ (p)", onclick: () => app.togglePin() }, "Pin");
  const here = h(
    "button.mi-button",
    { title: "Make the frame at this λ", onclick: () => app.start("here") },
    "Run here",
  );
  const study = studyCurves(app);
  const router = routerButton(app);
  const track = h("div.mi-track", { style: { background: lamGradient() } });
  const plot = h("div.mi-plot", study.svg, stages, track, dots, input, ticks);
  const leaders = railLeaders(app, () => span);
  const lamBox = h("label.mi-lambox", h("span", hidden, "λ"), box);
  const ends = [h("span.mi-end.mi-end-instruct", "Instruct"), h("span.mi-end.mi-end-thinking", "Thinking")];
  const bar = h("div.mi-rail-bar", ends[0], h("div.mi-rail-tools", lamBox, play, pin, router.button, here), ends[1]);
  const node = h("section.mi-rail", { "aria-label": "λ rail" }, leaders.node, plot, bar, router.words);
  let span = [0, 1];

  const player = lamPlayer(app, play);
  function setLam(lam) {
    player.stop();
    app.view.set({ lam });
  }
  function takeTyped() {
    const lam = typedNumber(box.value);
    const isWrong = !(lam >= LOWEST && lam <= HIGHEST);
    box.setAttribute("aria-invalid", String(isWrong));
    if (isWrong) {
      const kept = `It stays at ${lamText(app.view.get().lam)}.`;
      app.showStatus(`λ must be a number from −1 to 2, not “${box.value.trim().slice(0, 20)}”. ${kept}`, "error");
      return;
    }
    app.showStatus("");
    app.view.set({ lam: roundLam(lam) });
  }
  function step(direction) {
    const lam = nextStep(app.view.get().lam, direction, app.strips.frames());
    if (lam !== null) app.view.set({ lam });
  }
  const bands = () => study.bands() || app.strips.current().bands;

  function drawFrames() {
    const { lam, pins } = app.view.get();
    const frames = app.strips.frames();
    span = lamSpan([lam, ...frames.map((frame) => frame.lam), ...pins]);
    [input.min, input.max] = span;
    plot.classList.toggle("mi-studied", Boolean(study.bands()));
    study.draw(span);
    const source = study.bands() ? "as the study's fit says" : "as this one strip shows it";
    fillOnce(stages, JSON.stringify([bands(), span, source]), () =>
      bands().map((band) => stageLabel(band, span, source)),
    );
    const marked = frames.map((frame) => [frame.lam, verdictOf(frame).kind]);
    fillOnce(dots, JSON.stringify([marked, pins, span]), () => [
      ...marked.map(([at, kind]) => frameDot(at, kind, span)),
      ...pins.map((at) => h("i.mi-pinned", { style: { left: lamPlace(at, span) } })),
    ]);
    fillOnce(ticks, String(span), () => tenths(span).map((at) => tickLabel(at, span)));
    drawLam();
  }
  function drawLam() {
    const { lam, pins } = app.view.get();
    router.draw(app.view.get());
    if (lam < span[0] || lam > span[1]) {
      drawFrames();
      return;
    }
    moveInput(lam);
    study.drawLam();
    const band = bands().find(({ from, to }) => lam >= from && lam <= to);
    input.setAttribute("aria-valuetext", `λ ${lamText(lam)}${band ? `, stage ${band.stage}` : ""}`);
    input.style.setProperty("--lam", lamColour(lam));
    if (document.activeElement !== box) {
      box.value = lamText(lam);
      box.removeAttribute("aria-invalid");
    }
    const hasFrame = app.strips.frames().some((frame) => sameLam(frame.lam, lam));
    here.classList.toggle("mi-wanted", !hasFrame && !app.strips.isStale());
    here.disabled = app.isRunning();
    setText(pin, pins.includes(lam) ? "Unpin" : "Pin");
  }
  // The range steps by hundredths, but can stand anywhere between.
  function moveInput(lam) {
    if (Number(input.value) === lam) return;
    input.step = "any";
    input.value = String(lam);
    if (sameLam(lam * 100, Math.round(lam * 100))) input.step = "0.01";
  }

  leaders.onShown(() => study.look(app.view.get(), true)); // studies may have been made in another tab
  return { node, study, leaders, drawFrames, drawLam, step, stop: player.stop, span: () => span };
}

function stageLabel({ stage, from, to }, span, source) {
  const share = (to - from) / (span[1] - span[0]);
  const width = `calc(${share.toFixed(5)} * (100% - 2 * var(--inset)))`;
  const title = `Stage ${stage}: ${STAGE_WORDS[stage]} (${source})`;
  const name = share > STAGE_ROOM ? h("span", ` ${STAGE_WORDS[stage]}`) : null;
  return h(
    `span.mi-stage.mi-stage-${stage}`,
    { title, style: { left: lamPlace(from, span), width } },
    h("b", `stage ${stage}`),
    name,
  );
}

const frameDot = (lam, kind, span) =>
  h(`i.mi-frame.mi-frame-${kind}`, { style: { left: lamPlace(lam, span), "--lam": lamColour(lam) } });

function tickLabel(lam, span) {
  const isMinor = Math.round(lam * 10) % 5 !== 0;
  return h("span", { class: isMinor ? "mi-minor" : null, style: { left: lamPlace(lam, span) } }, lamText(lam));
}

// Moves λ from 0 to 1 while it plays; by tenths where motion is not wanted.
function lamPlayer(app, button) {
  let animation = null;
  button.addEventListener("click", () => (animation ? stop() : start()));
  function start() {
    const began = performance.now();
    const steps = matchMedia("(prefers-reduced-motion: reduce)").matches ? 10 : 100;
    setText(button, "❚❚");
    animation = requestAnimationFrame(tick);
    function tick(now) {
      const share = Math.min(1, (now - began) / 1000 / PLAY_S);
      app.view.set({ lam: Math.round(share * steps) / steps });
      if (share < 1) animation = requestAnimationFrame(tick);
      else stop();
    }
  }
  function stop() {
    if (animation) cancelAnimationFrame(animation);
    animation = null;
    setText(button, "▶");
  }
  return { stop };
}
