// The samples behind a point of a curve: filter, sort, search, and a click that opens the trace in Explore.
"use strict";
MI.curveSamples = function (element, { props, server, watch }) {
  const h = MI.h;
  let asked = { study: "", cell: "", filter: "all", sort: "question", search: "", page: 0 }, turn = 0;
  const title = h("h3", { tabindex: -1 }), filters = h("div", { class: "mi-curve-filters", role: "group", "aria-label": "Which samples" });
  const sort = h("select", { class: "mi-field", "aria-label": "Order of the samples", onchange: () => ask({ sort: sort.value, page: 0 }) },
    ["question", "fewest tokens", "most tokens", "most overthinking"].map((name) => h("option", { value: name }, name)));
  const search = h("input", { class: "mi-field", type: "search", placeholder: "Search question, answer, response", "aria-label": "Search the samples" });
  let timer = null;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => ask({ search: search.value, page: 0 }), 250); });
  const body = h("tbody"), note = h("p", { class: "mi-hint", role: "status" });
  const table = h("div", { class: "mi-table-scroll", tabindex: 0, role: "region", "aria-label": "Samples" }, h("table", {},
    h("thead", {}, h("tr", {}, ["", "Question", "Answer", "Known", "Tokens", "Thought", "After first right"].map((name) => h("th", { scope: "col" }, name)))), body));
  const turnTo = (text, step) => h("button", { class: "mi-button mi-small", type: "button", onclick: () => ask({ page: asked.page + step }) }, text);
  const back = turnTo("Previous", -1), on = turnTo("Next", 1);
  const box = h("section", { class: "mi-curve-samples mi-table", hidden: true, "aria-label": "Samples of a point" },
    title, filters, h("div", { class: "mi-curve-find" }, search, sort), note, table, h("div", { class: "mi-row" }, back, on));
  const hint = h("p", { class: "mi-hint" }, "Click a point to see its samples; click a sample to read its trace in Explore.");
  element.replaceChildren(h("div", { class: "mi mi-curves" }, hint, box));

  const MARK = { correct: ["✓", "correct"], wrong: ["✗", "wrong"], no_answer: ["○", "no answer"] };
  function row(s) {
    const [mark, word] = MARK[s.verdict] || ["·", "no known answer"];
    const more = [s.truncated && "cut at the limit", s.looped && "looped"].filter(Boolean).join(", ");
    const open = () => show(s.key);
    return h("tr", { tabindex: 0, onclick: open, onkeydown: (e) => e.key === "Enter" && open(), "data-sample": s.key },
      h("td", { class: "mi-curve-verdict", "data-verdict": s.verdict, title: word + (more ? ", " + more : "") }, mark, h("span", { class: "mi-curve-word" }, more ? ` ${word}, ${more}` : ` ${word}`)),
      h("td", { class: "mi-curve-question" }, s.question + (s.number > 1 ? ` (${s.number})` : "")), h("td", {}, s.answer === null ? "–" : s.answer), h("td", {}, s.gold === null ? "" : s.gold),
      h("td", { class: "mi-num" }, MI.count(s.tokens)), h("td", { class: "mi-num" }, MI.count(s.think)), h("td", { class: "mi-num" }, s.over === null ? "" : MI.percent(s.over)));
  }
  async function ask(part) {
    asked = { ...asked, ...part };
    const mine = ++turn;
    const found = await server.list_samples(asked).catch(() => ({ error: "The server does not answer." }));
    if (mine !== turn) return;
    hint.hidden = true, box.hidden = false;
    if (found.error) return MI.text(note, found.error), body.replaceChildren();
    asked.page = found.page;
    MI.text(title, `Samples at ${found.title}`);
    filters.replaceChildren(...Object.entries(found.counts).map(([name, n]) => h("button", {
      class: "mi-button mi-small", type: "button", "aria-pressed": String(name === asked.filter), disabled: !n && name !== asked.filter, onclick: () => ask({ filter: name, page: 0 }),
    }, `${name} ${MI.count(n)}`)));
    MI.text(note, found.found ? `${MI.plural(found.found, "sample")}${found.pages > 1 ? `, page ${found.page + 1} of ${found.pages}` : ""}` : "No sample is like this.");
    body.replaceChildren(...found.rows.map(row));
    back.hidden = found.page === 0, on.hidden = found.page + 1 >= found.pages;
  }
  async function show(key) {
    MI.text(note, "Opening the trace …");
    const content = await server.open_sample({ study: asked.study, key }).catch(() => ({ error: "The server does not answer." }));
    if (content.error) return MI.text(note, content.error);
    MI.text(note, "");
    MI.show({}, content);
  }
  watch("content", async () => {
    if (!props.content) return;
    const point = JSON.parse(props.content);
    if (point.none) return void (box.hidden = true, hint.hidden = false, MI.text(hint, "This point is published: its samples are not public. Click a point of a study."));
    search.value = "", sort.value = "question";
    await ask({ ...point, filter: "all", sort: "question", search: "", page: 0 });
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "nearest" });
  });
};
