// A file that the server makes: progress, Stop, and the download at the end. It goes on when the tab is closed, and is found
// again.

import { h, smallButton } from "../shared/dom.js";
import { bytes } from "../shared/format.js";
import { answerOf, answerOr, NO_ANSWER, serverAddress } from "../shared/server.js";
import { setStatus } from "./parts.js";

const POLL_MS = 300;
const MOST_LOST = 20; // polls in a row without an answer, after which it is given up

const isGoingOn = ({ state }) => ["waiting", "running"].includes(state);

// `key`: under which the browser keeps the job's token.
export function fileJob(server, key) {
  const words = h("span.mi-take-words", { role: "status" });
  const meter = h("progress.mi-loading", { max: 1, "aria-label": "Progress" });
  const link = h("a.mi-take-link", "Download again");
  const stop = smallButton("Stop", () => answerOr(false, server.stop(token)));
  const node = h("div.mi-take-job", { hidden: true }, meter, words, link, stop);
  let token = sessionStorage.getItem(key);

  async function start(request) {
    show({ state: "waiting", text: "Asking the server" });
    const answer = await answerOf(server.make(request));
    if (answer.error) {
      show({ state: "failed", text: answer.error });
      return;
    }
    token = answer.token;
    sessionStorage.setItem(key, token);
    follow(true);
  }
  // Shows how the job stands until it ends; a fresh one is downloaded then.
  async function follow(isFresh) {
    const followed = token;
    let lost = 0;
    for (;;) {
      const job = await answerOr(null, server.look(followed));
      if (followed !== token) return;
      lost = job ? 0 : lost + 1;
      if (lost > MOST_LOST) {
        show({ state: "failed", text: NO_ANSWER });
        return;
      }
      if (job && !takeState(job, isFresh)) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
  // Whether the job goes on.
  function takeState(job, isFresh) {
    if (job.state === "gone" && !isFresh) {
      node.hidden = true;
      sessionStorage.removeItem(key);
      return false;
    }
    show(job);
    if (isGoingOn(job)) return true;
    if (isFresh && job.url) link.click();
    return false;
  }
  function show(job) {
    const goesOn = isGoingOn(job);
    node.hidden = false;
    node.dataset.state = job.state;
    meter.hidden = stop.hidden = !goesOn;
    if (job.total) meter.value = job.done / job.total;
    else meter.removeAttribute("value");
    const done = goesOn && job.total > 1 ? ` (${bytes(job.done)} of ${bytes(job.total)})` : "";
    setStatus(words, job.text + done, job.state === "failed");
    link.hidden = !job.url;
    if (!job.url) return;
    link.href = serverAddress(job.url);
    link.setAttribute("download", job.name);
  }
  function refuse(text) {
    token = null;
    show({ state: "failed", text });
  }
  if (token) follow(false);
  return { node, start, refuse };
}
