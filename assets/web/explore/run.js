// One run as the page follows it: asked for once, then its states, its turn while it waits, and its loss when nothing comes.
// It comes as one answer that streams, or as events of Gradio where a Space lends its GPU for those.

import { answerOr, serverAddress } from "../shared/server.js";
import { openStream } from "./run_stream.js";

const CHECK_MS = 1000;
const QUEUE_LOOK_MS = 1200; // a run without a state may be waiting in Gradio's queue
const SILENCE_MS = 8000; // without a state, after which the server is asked whether the run is alive
const PATIENCE_MS = 20000; // a run that has not begun is given up after this long unknown to the server
const SILENT = "The server does not answer any more. What was written so far is kept.";
const UNFINISHED = "The run ended without a word. What was written so far is kept.";

export class Run {
  // `link`: { stream: path of the server or "", trigger, server }. `on`: { state(state), wait(turn or null), lost(message) };
  // nothing is called after the end.
  constructor(request, link, on) {
    Object.assign(this, { token: request.token, server: link.server, on });
    this.began = this.lastSign = Date.now();
    this.begun = false; // whether a state of it has come
    this.over = false;
    this.timer = setInterval(() => this.check(), CHECK_MS);
    this.hangUp = null;
    if (link.stream) {
      const handlers = { onState: (state) => this.receive(state), onEnd: (message) => this.streamEnded(message) };
      this.hangUp = openStream(serverAddress(link.stream), request, handlers);
    } else {
      link.trigger("run", request);
    }
  }

  receive(state) {
    if (this.over || state.token !== this.token) return;
    this.lastSign = Date.now();
    if (state.state === "waiting") {
      this.on.wait(state.waits);
      return;
    }
    this.begun = true;
    if (state.state !== "running") this.end();
    this.on.state(state);
  }

  end() {
    this.over = true;
    clearInterval(this.timer);
  }

  // Ends it for this page; the server ends it when it notices.
  leave() {
    if (this.over) return;
    this.end();
    if (this.hangUp) this.hangUp();
    else answerOr(false, this.server.stop(this.token));
  }

  // Asks the server to end it, which its last state then tells. True if there will be none: it had not begun.
  async stop() {
    const known = await answerOr(false, this.server.stop(this.token));
    if (known || this.over || this.begun) return false;
    this.end(); // the server has noted that nobody wants it any more
    if (this.hangUp) this.hangUp();
    return true;
  }

  lose(message) {
    if (this.over) return;
    this.leave();
    this.on.lost(message);
  }

  // The answer has ended: after the run, or without it.
  async streamEnded(message) {
    if (this.over) return;
    const alive = message ? true : await this.isAlive();
    this.lose(message || (alive === null ? SILENT : UNFINISHED));
  }

  // Whether the server still runs it; null where it does not answer.
  isAlive() {
    return answerOr(null, this.server.is_running(this.token));
  }

  // The server gives signs of life; when they end, the run has ended too.
  async check() {
    if (!this.hangUp && !this.begun && Date.now() - this.began > QUEUE_LOOK_MS) await this.lookIntoQueue();
    if (this.over || Date.now() - this.lastSign < SILENCE_MS) return;
    const alive = await this.isAlive();
    if (this.over) return;
    if (alive) {
      this.lastSign = Date.now();
      return;
    }
    const mayWait = alive === false && !this.begun && Date.now() - this.lastSign < PATIENCE_MS;
    if (!mayWait) this.lose(alive === null ? SILENT : UNFINISHED);
  }

  async lookIntoQueue() {
    const turn = await answerOr(null, this.server.queue_place(this.token));
    if (this.over) return;
    if (turn) this.lastSign = Date.now();
    if (!this.begun) this.on.wait(turn);
  }
}
