// What stands around the instrument: header, lens switch, keys and their help.
"use strict";
MI.header = function (app, setup, help) {
  const h = MI.h, root = document.body;
  const share = h("button", { class: "mi-button mi-small", type: "button", onclick: async () => {
    const link = location.origin + location.pathname + "?" + MI.address(app.view.get(), setup.fields, setup.version, setup.linkLimit);
    const copied = await navigator.clipboard.writeText(link).then(() => true, () => false);
    const cut = app.view.get().q.length > setup.linkLimit ? " The question is too long for a link and is not in it." : "";
    app.say((copied ? "The link to this view is on the clipboard." : "The address bar holds the link to this view.") + cut);
  } }, "Share");
  const theme = h("button", { class: "mi-icon", type: "button", title: "Light or dark", "aria-label": "Switch between light and dark", onclick: () => (root.classList.toggle("dark"), app.rail.drawFrames()) }, "◐");
  const ask = h("button", { class: "mi-icon", type: "button", title: "Keys (?)", "aria-label": "Keys and help", onclick: () => help.showModal() }, "?");
  return h("header", { class: "mi-head" },
    h("h1", {}, "MI Explorer"),
    h("p", { class: "mi-formula" }, h("i", {}, "θ"), "(λ) = (1−λ)·", h("span", { class: "mi-end-instruct" }, "Instruct"), " + λ·", h("span", { class: "mi-end-thinking" }, "Thinking")),
    app.pairs.node, h("div", { class: "mi-head-tools" }, share, ask, theme));
};

MI.lenses = function (app, setup) {
  const h = MI.h;
  const names = { plain: "Plain", markers: "Markers", writer: "Who wrote it", entropy: "Entropy" };
  const buttons = setup.lenses.map((l) => h("button", { type: "button", class: "mi-seg", "data-lens": l, onclick: () => app.view.set({ lens: l }) }, names[l]));
  const toggle = (words, title, act) => { const b = h("button", { type: "button", class: "mi-button mi-small", title, "aria-pressed": "false", onclick: () => b.setAttribute("aria-pressed", String(Boolean(act()))) }, words); return b; };
  const diff = toggle("Diff to λ 0", "Mark the words that λ = 0 does not have (d)", () => app.board.toggleDiff());
  const sync = toggle("Sync scroll", "Scroll all panes together", () => app.board.toggleSync());
  const legend = h("span", { class: "mi-lens-legend" });
  const words = { plain: "", markers: [["reflect", "wait, hmm"], ["switch", "instead"], ["verify", "check"]], writer: [["instruct", "Instruct likelier"], ["thinking", "Thinking likelier"]], entropy: [["entropy", "unsure"]] };
  return {
    diff,
    node: h("div", { class: "mi-lenses" }, legend, h("div", { class: "mi-segs", role: "group", "aria-label": "Lens" }, buttons), diff, sync),
    draw(view) {
      for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.lens === view.lens));
      legend.replaceChildren(...(words[view.lens] || []).map(([cls, text]) => h("span", { class: "mi-legend-" + cls }, text)));
    },
  };
};

MI.help = function () {
  const h = MI.h;
  const rows = [["/", "write the question"], ["Ctrl + Enter", "run the strip"], ["Esc", "stop, or close"], ["[  ]", "step λ from frame to frame"], ["← →", "move λ on the rail"], ["p", "pin this λ"], ["f", "focus the blend"], ["d", "diff against λ = 0"], ["?", "this help"]];
  const close = h("button", { class: "mi-button", type: "button", onclick: () => dialog.close() }, "Close");
  const dialog = h("dialog", { class: "mi-help", "aria-label": "Keys" }, h("h2", {}, "Keys"), h("dl", {}, rows.map(([k, v]) => [h("dt", {}, h("kbd", {}, k)), h("dd", {}, v)])),
    h("p", {}, "Every λ has its own trace; dragging only looks at them. Run makes them all at once, Run here makes one more."), close);
  return dialog;
};

MI.keys = function (app, { knobs, ask, help, lenses }) {
  document.addEventListener("keydown", (e) => {
    if (!app.visible()) return; // another tab is shown
    const typing = e.target.closest && e.target.closest("input:not([type=range]), textarea, select, [contenteditable]");
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) return e.preventDefault(), document.activeElement.blur(), app.run("strip");
    if (e.key === "Escape") {
      if (help.open) return;
      if (knobs.close() || app.pairs.close()) return;
      if (app.running()) return app.stop();
      return typing ? e.target.blur() : app.board.unfocus();
    }
    if (typing || e.ctrlKey || e.metaKey || e.altKey || help.open) return;
    const act = { "/": () => ask.area.focus(), "[": () => app.rail.step(-1), "]": () => app.rail.step(1), p: app.pin, f: app.board.focus, d: () => lenses.diff.click(), "?": () => help.showModal() }[e.key];
    if (act) e.preventDefault(), act();
  });
};
