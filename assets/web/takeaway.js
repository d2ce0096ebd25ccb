// Take away: the view of Explore as recipe, code and command; checkpoint, studies and reports as files; recipes in again.
"use strict";
MI.takeaway = function (element, { props, server, watch }) {
  const h = MI.h, files = JSON.parse(props.files);
  const forms = [["yaml", "Recipe", ".yaml"], ["mergekit", "mergekit", ".mergekit.yaml"], ["python", "Python", ".py"], ["command", "Command line", ".sh"], ["link", "Link", ""]];
  let made = null, form = "yaml", asked = 0, timer = null;

  // -- the recipe --------------------------------------------------------------------------------------------------------
  const title = h("p", { class: "mi-take-title" }), code = h("pre", { class: "mi-take-code", tabindex: 0, "aria-label": "The recipe in this form" }), note = h("p", { class: "mi-hint" });
  const segs = forms.map(([id, name]) => h("button", { class: "mi-seg", type: "button", "data-form": id, onclick: () => ((form = id), paint()) }, name));
  const copy = copier(() => code.textContent), save = h("button", { class: "mi-button mi-small", type: "button", onclick: () => MI.save(made.hash + forms.find(([id]) => id === form)[2], code.textContent, "text/plain") }, "Save");
  const left = h("section", { class: "mi-take-box", "aria-label": "This view as a recipe" }, h("h2", {}, "What Explore shows, as a recipe"), title,
    h("div", { class: "mi-row" }, h("div", { class: "mi-segs", role: "group", "aria-label": "Form of the recipe" }, segs), copy, save), code, note);

  function texts() {
    const link = location.origin + location.pathname + "?" + made.query;
    return { ...made, link, command: made.command + (made.export ? "\n# the same blend as a checkpoint\n" + made.export + "\n" : "") };
  }
  function paint() {
    segs.forEach((seg) => seg.setAttribute("aria-pressed", String(seg.dataset.form === form)));
    if (!made) return;
    const all = texts(), none = form === "mergekit" && !made.mergekit;
    MI.text(title, `${made.title} · ${made.hash}`);
    MI.text(code, none ? "" : all[form]);
    code.hidden = copy.hidden = none;
    save.hidden = none || form === "link";
    MI.text(note, none ? "Not expressible in mergekit: " + made.why : { mergekit: "The same weights, up to mergekit's own rounding.", python: "Gives the trace of this question, decoding and seed.", command: "Gives the same trace in a terminal.", link: made.cut ? "The question is too long for a link; everything else is in it." : "Opens this page on the same view.", yaml: "For this page, the command line and the library." }[form]);
    placed();
  }
  async function refresh() {
    const view = MI.view(), turn = ++asked;
    if (!view) return;
    const answer = await server.recipe(view).catch(() => ({ error: "The server does not answer." }));
    if (turn !== asked) return;
    made = answer.error ? null : answer;
    for (const box of [code, copy, save]) box.hidden = !made;
    element.dataset.hash = made ? made.hash : "";
    if (made) return paint();
    MI.text(title, "This view has no recipe."), MI.text(note, answer.error), placed();
  }
  const soon = () => (clearTimeout(timer), (timer = setTimeout(() => element.offsetParent !== null && refresh(), 200)));

  // -- the way in --------------------------------------------------------------------------------------------------------
  const area = h("textarea", { class: "mi-take-area", rows: 7, spellcheck: "false", "aria-label": "A recipe to apply", placeholder: "Paste a recipe (YAML or JSON), a mergekit configuration, or a link of this page." });
  const heard = h("p", { class: "mi-hint mi-take-heard", role: "status" });
  const file = h("input", { type: "file", accept: ".yaml,.yml,.json,.txt", hidden: true, "aria-label": "Recipe file", onchange: async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    if (chosen.size > 256000) return say(heard, "This file is larger than any recipe.", true);
    area.value = await chosen.text();
    apply();
  } });
  async function apply() {
    const view = MI.view() || {};
    const answer = await server.read({ text: area.value, pair: view.pair || "" }).catch(() => ({ error: "The server does not answer." }));
    if (answer.error) return say(heard, answer.error, true);
    MI.patch(answer.view);
    say(heard, `The ${answer.kind} is set in Explore.` + (answer.note ? " " + answer.note : ""));
    refresh();
  }
  const right = h("section", { class: "mi-take-box", "aria-label": "A recipe from elsewhere" }, h("h2", {}, "A recipe from elsewhere"), area,
    h("div", { class: "mi-row" }, button("Apply to Explore", apply, "mi-take-apply"), button("Open a file…", () => file.click()), button("Show in Explore", () => MI.show({}, null)), file), heard);

  // -- the checkpoint ----------------------------------------------------------------------------------------------------
  const folder = h("input", { class: "mi-field", type: "text", spellcheck: "false", "aria-label": "Folder to write the checkpoint into" }), why = h("p", { class: "mi-hint" }), size = h("p", { class: "mi-hint" });
  const write = button("Write into this folder", () => job.start({ what: "folder", view: MI.view(), folder: folder.value })), zip = button("Download as zip", () => job.start({ what: "zip", view: MI.view() }), "mi-take-zip");
  const field = h("label", { class: "mi-labelled mi-take-folder" }, "New folder on the server's machine", folder);
  const job = follow("mi.take.checkpoint");
  let suggested = "";
  function placed() {
    const may = (made && made.checkpoint) || { folder: "", download: false, why: "" };
    field.hidden = write.hidden = !may.folder;
    zip.hidden = !may.download;
    if (may.folder && (folder.value === suggested || !folder.value)) folder.value = suggested = may.folder;
    MI.text(size, may.bytes ? `${made.title}: ${bytes(may.bytes)} of tensors, in its parents' layout, with tokenizer, template and model card.` : "");
    MI.text(why, may.why);
  }
  const middle = h("section", { class: "mi-take-box mi-take-wide", "aria-label": "The blend as a checkpoint" }, h("h2", {}, "The blend as a checkpoint"), size, field,
    h("div", { class: "mi-row" }, write, zip), why, job.node);

  // -- studies -----------------------------------------------------------------------------------------------------------
  const list = h("div", { class: "mi-take-studies" }), taken = h("p", { class: "mi-hint mi-take-taken", role: "status" }), box = h("input", { type: "checkbox" });
  const study = follow("mi.take.study");
  const pinned = h("label", { class: "mi-take-pinned" }, box, "Reports hold the traces at my λ and pins in Explore, instead of traces of the study");
  function report(name) {
    if (box.checked && MI.app && (MI.app.stale() || MI.app.running())) return study.refuse("The traces in Explore belong to other settings, or are still being written. Run them first, or take the study's own.");
    study.start({ what: "report", study: name, ...traces() });
  }
  function traces() {
    if (!box.checked || !MI.app) return {};
    const view = MI.view(), wanted = [...view.pins, view.lam], all = MI.app.frames();
    const frames = wanted.map((lam) => MI.nearest(all, lam)).filter(Boolean);
    return { view, frames: [...new Map(frames.map((f) => [f.lam, f])).values()].sort((a, b) => a.lam - b.lam).map(({ lam, thought, answer, verdict, tokens, think, truncated }) => ({ lam, thought: thought.slice(0, 200000), answer: answer.slice(0, 100000), verdict, tokens, think, truncated })) };
  }
  async function studies() {
    const answer = await server.studies(null).catch(() => ({ error: "The server does not answer." }));
    if (answer.error) return list.replaceChildren(h("p", { class: "mi-hint" }, answer.error));
    if (!answer.rows.length) return list.replaceChildren(h("p", { class: "mi-hint" }, "There is no study yet. Run a sweep under Curves, or bring in a file."));
    const give = (name, what, text) => button(text, () => (what === "report" ? report(name) : study.start({ what, study: name })), "", `${text} of ${name}`);
    const head = [...answer.columns, "take away"].map((text) => h("th", { scope: "col" }, text));
    const body = answer.rows.map((row) => h("tr", { "data-study": row[0] }, row.map((x) => h("td", { class: typeof x === "number" ? "mi-num" : null }, String(x))), h("td", {}, h("div", { class: "mi-take-give" }, give(row[0], "report", "Report"), files.map((end) => give(row[0], end, end.slice(1)))))));
    list.replaceChildren(h("div", { class: "mi-table" }, h("div", { class: "mi-table-scroll", tabindex: 0, role: "region", "aria-label": "Studies" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)))));
  }
  const below = h("section", { class: "mi-take-box mi-take-wide", "aria-label": "Studies as files" }, h("h2", {}, "Studies"),
    h("p", { class: "mi-hint" }, "A report is one HTML file: figures, tables, settings, intervals and traces, readable without a network. json holds the figures, the others every sample."), list, pinned, study.node, taken);

  // -- shared ------------------------------------------------------------------------------------------------------------
  function button(text, act, cls = "", label = null) {
    return h("button", { class: ("mi-button mi-small " + cls).trim(), type: "button", "aria-label": label, onclick: act }, text);
  }
  function copier(text) {
    const node = button("Copy", async () => { await navigator.clipboard.writeText(text()); MI.text(node, "Copied"); setTimeout(() => MI.text(node, "Copy"), 1500); });
    return node;
  }
  function say(node, words, wrong = false) {
    MI.text(node, words);
    node.dataset.kind = wrong ? "error" : "";
  }
  function bytes(n) {
    return n >= 1e9 ? (n / 1e9).toFixed(2) + " GB" : n >= 1e6 ? (n / 1e6).toFixed(1) + " MB" : Math.ceil(n / 1e3) + " kB";
  }
  // A file that the server makes: progress, stop, and the download at the end. It goes on when the tab is closed, and is found again.
  function follow(key) {
    const words = h("span", { class: "mi-take-words", role: "status" }), meter = h("progress", { class: "mi-loading", max: 1, "aria-label": "Progress" });
    const link = h("a", { class: "mi-take-link" }), end = button("Stop", () => server.stop(token)), node = h("div", { class: "mi-take-job", hidden: true }, meter, words, link, end);
    let token = null;
    async function start(request) {
      show({ state: "waiting", text: "Asking the server" });
      const answer = await server.make(request).catch(() => ({ error: "The server does not answer." }));
      if (answer.error) return show({ state: "failed", text: answer.error });
      token = answer.token;
      sessionStorage.setItem(key, token);
      watchIt(true);
    }
    async function watchIt(fresh) {
      const mine = token;
      for (let lost = 0; mine === token; ) {
        const now = await server.look(mine).catch(() => null);
        if (mine !== token) return;
        if (!now && ++lost > 20) return show({ state: "failed", text: "The server does not answer any more." });
        if (now) {
          lost = 0;
          if (now.state === "gone" && !fresh) return (node.hidden = true), sessionStorage.removeItem(key);
          show(now);
          if (!["waiting", "running"].includes(now.state)) return void (fresh && now.url && link.click());
        }
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }
    function show(now) {
      const live = ["waiting", "running"].includes(now.state);
      node.hidden = false;
      node.dataset.state = now.state;
      meter.hidden = end.hidden = !live;
      now.total ? (meter.value = now.done / now.total) : meter.removeAttribute("value");
      MI.text(words, now.text + (live && now.total > 1 ? ` (${bytes(now.done)} of ${bytes(now.total)})` : ""));
      words.dataset.kind = now.state === "failed" ? "error" : "";
      link.hidden = !now.url;
      if (now.url) {
        link.href = MI.root() + now.url;
        link.setAttribute("download", now.name);
        MI.text(link, "Download again");
      }
    }
    token = sessionStorage.getItem(key);
    if (token) watchIt(false);
    return { node, start, refuse: (text) => ((token = null), show({ state: "failed", text })) };
  }

  element.replaceChildren(h("div", { class: "mi mi-take" }, left, right, middle, below));
  watch("news", () => {
    const news = JSON.parse(props.news || "{}");
    say(taken, news.error || news.words || "", Boolean(news.error));
    studies();
  });
  new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && (refresh(), studies())).observe(element);
  MI.when((app) => (app.view.watch(soon), refresh()));
  paint();
};
