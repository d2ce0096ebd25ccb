// Studies as files: a report of each, its figures and its samples.

import { h, smallButton } from "../shared/dom.js";
import { currentView, exploreApp } from "../shared/explore_link.js";
import { wholeLineage } from "../explore/branch_path.js";
import { isPending, nearestFrame } from "../explore/frames.js";
import { probeNotes } from "../explore/probe_words.js";
import { stepSentence } from "../explore/steer_words.js";
import { answerOf } from "../shared/server.js";
import { columnHeads, scrollingTable } from "../shared/table.js";
import { fileJob } from "./file_job.js";
import { setStatus, titledBox } from "./parts.js";

const HINT =
  "A report is one HTML file: figures, tables, settings, intervals and traces, readable without a network. json holds the " +
  "figures, the others every sample.";
const NO_STUDY = "There is no study yet. Run a sweep under Curves, or bring in a file.";
const OWN_TRACES = "Reports hold the traces at my λ, pins and branches in Explore, instead of traces of the study";
const STALE =
  "The traces in Explore belong to other settings, or are still being written. Run them first, or take the study's own.";
const LONGEST = { thought: 200_000, answer: 100_000 }; // characters of a trace that go into a report

// `endings`: of the files that a study can be had as, such as ".csv".
export function studiesBox(server, endings) {
  const list = h("div.mi-take-studies");
  const news = h("p.mi-hint.mi-take-taken", { role: "status" });
  const takesOwn = h("input", { type: "checkbox" });
  const job = fileJob(server, "mi.take.study");
  const own = h("label.mi-take-pinned", takesOwn, OWN_TRACES);
  const node = titledBox("Studies as files", "Studies", h("p.mi-hint", HINT), list, own, job.node, news);
  node.classList.add("mi-take-wide");

  function report(study) {
    const app = takesOwn.checked ? exploreApp() : null;
    if (app && (app.strips.isStale() || app.isRunning())) job.refuse(STALE);
    else job.start({ what: "report", study, ...(app ? tracesOf(app) : {}) });
  }
  function studyRow(row) {
    const [study] = row;
    const files = [
      takeButton(study, "Report", () => report(study)),
      ...endings.map((ending) => takeButton(study, ending.slice(1), () => job.start({ what: ending, study }))),
    ];
    const cells = row.map((x) => h("td", { class: typeof x === "number" ? "mi-num" : null }, String(x)));
    return h("tr", { "data-study": study }, cells, h("td", h("div.mi-take-give", files)));
  }
  async function refresh() {
    const answer = await answerOf(server.studies(null));
    if (answer.error || !answer.rows.length) {
      list.replaceChildren(h("p.mi-hint", answer.error || NO_STUDY));
      return;
    }
    const heads = columnHeads([...answer.columns, "take away"]);
    list.replaceChildren(h("div.mi-table", scrollingTable("Studies", heads, h("tbody", answer.rows.map(studyRow)))));
  }
  return {
    node,
    refresh,
    // What came of a file that was brought in.
    showNews({ error, words }) {
      setStatus(news, error || words || "", Boolean(error));
      refresh();
    },
  };
}

const takeButton = (study, text, act) => smallButton(text, act, { "aria-label": `${text} of ${study}` });

// The view and the frames at its λ and pins, by λ and once each, as a report holds them.
function tracesOf(app) {
  const view = currentView();
  const frames = [...view.pins, view.lam].map((lam) => nearestFrame(app.strips.frames(), lam)).filter(Boolean);
  const byLam = [...new Set(frames)].sort((a, b) => a.lam - b.lam);
  const branches = app.branches.current().filter(({ frame }) => frame.tokens && !isPending(frame));
  const notesOf = (frame) => [...stepNotes(frame), ...probeNotes(app.probes.of(app.board.keyOfFrame(frame)))];
  const steered = app.steer.isOpen() && !app.steer.isRunning() ? app.steer.frame() : null;
  return {
    view,
    frames: [
      ...byLam.map((frame) => reportedTrace(frame, notesOf(frame))),
      ...branches.map(({ frame, path }) => reportedTrace(frame, [`branch: ${wholeLineage(path)}`, ...notesOf(frame)])),
      ...(steered?.tokens ? [reportedTrace(steered, ["steered while it was written", ...stepNotes(steered)])] : []),
    ],
  };
}

// What somebody did to a response while it was written: as a sentence, and as the schedule that makes it again.
const stepNotes = (frame) => (frame.schedule ? [stepSentence(frame), `schedule: ${frame.schedule}`] : []);

const reportedTrace = ({ lam, thought, answer, verdict, tokens, think, truncated }, notes) => ({
  lam,
  thought: thought.slice(0, LONGEST.thought),
  answer: answer.slice(0, LONGEST.answer),
  verdict,
  tokens,
  think,
  truncated,
  notes,
});
