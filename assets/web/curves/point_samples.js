// The samples behind a point of a curve: filter, sort, search, and a click that opens the trace in Explore.

import { h, option, setText, smallButton } from "../shared/dom.js";
import { showInExplore } from "../shared/explore_link.js";
import { count, percent, plural } from "../shared/format.js";
import { answerOf } from "../shared/server.js";
import { columnHeads, onPick, scrollingTable } from "../shared/table.js";

const REST_MS = 250; // of the search, before it is asked for
const COLUMNS = ["", "Question", "Answer", "Known", "Tokens", "Thought", "After first right"];
const ORDERS = ["question", "fewest tokens", "most tokens", "most overthinking"];
const FIRST_PAGE = { filter: "all", sort: ORDERS[0], search: "", page: 0 };
const HINT = "Click a point to see its samples; click a sample to read its trace in Explore.";
const PUBLISHED = "This point is published: its samples are not public. Click a point of a study.";
const VERDICTS = { correct: ["✓", "correct"], wrong: ["✗", "wrong"], no_answer: ["○", "no answer"] };

export function openPointSamples(element, { props, server, watch }) {
  let asked = { study: "", cell: "", ...FIRST_PAGE };
  let lastCall = 0;
  let timer = null;
  const title = h("h3", { tabindex: -1 });
  const filters = h("div.mi-curve-filters", { role: "group", "aria-label": "Which samples" });
  const orders = ORDERS.map((name) => option([name, name]));
  const sort = h("select.mi-field", { "aria-label": "Order of the samples", onchange: sortAnew }, orders);
  const placeholder = "Search question, answer, response";
  const searching = { type: "search", placeholder, "aria-label": "Search the samples", oninput: searchSoon };
  const search = h("input.mi-field", searching);
  const body = h("tbody");
  const note = h("p.mi-hint", { role: "status" });
  const table = scrollingTable("Samples", columnHeads(COLUMNS), body);
  const back = smallButton("Previous", () => ask({ page: asked.page - 1 }));
  const next = smallButton("Next", () => ask({ page: asked.page + 1 }));
  const parts = [title, filters, h("div.mi-curve-find", search, sort), note, table, h("div.mi-row", back, next)];
  const box = h("section.mi-curve-samples.mi-table", { hidden: true, "aria-label": "Samples of a point" }, parts);
  const hint = h("p.mi-hint", HINT);
  element.replaceChildren(h("div.mi.mi-curves", hint, box));

  function sortAnew() {
    ask({ sort: sort.value, page: 0 });
  }
  function searchSoon() {
    clearTimeout(timer);
    timer = setTimeout(() => ask({ search: search.value, page: 0 }), REST_MS);
  }
  async function ask(part) {
    asked = { ...asked, ...part };
    const call = ++lastCall;
    const found = await answerOf(server.samples(asked));
    if (call !== lastCall) return;
    hint.hidden = true;
    box.hidden = false;
    if (found.error) {
      setText(note, found.error);
      body.replaceChildren();
    } else {
      draw(found);
    }
  }
  function draw(found) {
    asked.page = found.page;
    setText(title, `Samples at ${found.title}`);
    filters.replaceChildren(...Object.entries(found.counts).map(([name, n]) => filterButton(name, n)));
    const page = found.pages > 1 ? `, page ${found.page + 1} of ${found.pages}` : "";
    setText(note, found.found ? plural(found.found, "sample") + page : "No sample is like this.");
    body.replaceChildren(...found.rows.map((sample) => sampleRow(sample, () => openSample(sample.key))));
    back.hidden = found.page === 0;
    next.hidden = found.page + 1 >= found.pages;
  }
  function filterButton(name, n) {
    const isOn = name === asked.filter;
    const pressed = { "aria-pressed": String(isOn), disabled: !n && !isOn };
    return smallButton(`${name} ${count(n)}`, () => ask({ filter: name, page: 0 }), pressed);
  }
  async function openSample(key) {
    setText(note, "Opening the trace …");
    const strip = await answerOf(server.sample({ study: asked.study, key }));
    setText(note, strip.error || "");
    if (!strip.error) showInExplore({}, strip);
  }
  watch("content", async () => {
    if (!props.content) return;
    const point = JSON.parse(props.content);
    if (point.none) {
      box.hidden = true;
      hint.hidden = false;
      setText(hint, PUBLISHED);
      return;
    }
    search.value = "";
    sort.value = FIRST_PAGE.sort;
    await ask({ ...point, ...FIRST_PAGE });
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "nearest" });
  });
}

function sampleRow(sample, open) {
  const [sign, word] = VERDICTS[sample.verdict] || ["·", "no known answer"];
  const words = [word, sample.truncated && "cut at the limit", sample.looped && "looped"].filter(Boolean).join(", ");
  const verdict = { "data-verdict": sample.verdict, title: words };
  const numbers = [count(sample.tokens), count(sample.think), sample.over === null ? "" : percent(sample.over)];
  return h(
    "tr",
    { "data-sample": sample.key, ...onPick(open) },
    h("td.mi-curve-verdict", verdict, sign, h("span.mi-curve-word", ` ${words}`)),
    h("td.mi-curve-question", sample.question + (sample.number > 1 ? ` (${sample.number})` : "")),
    h("td", sample.answer ?? "–"),
    h("td", sample.gold ?? ""),
    numbers.map((text) => h("td.mi-num", text)),
  );
}
