// The view of Explore as a recipe, in one form at a time: YAML, mergekit, Python, command line, link.

import { linkOf } from "../shared/address.js";
import { copyButton, h, setText, smallButton } from "../shared/dom.js";
import { currentView } from "../shared/explore_link.js";
import { answerOf } from "../shared/server.js";
import { saveFile } from "../shared/table.js";
import { titledBox } from "./parts.js";

// id, name, ending of its file, and what it is for
const FORMS = [
  ["yaml", "Recipe", ".yaml", "For this page, the command line and the library."],
  ["mergekit", "mergekit", ".mergekit.yaml", "The same weights, up to mergekit's own rounding."],
  ["python", "Python", ".py", "Gives the trace of this question, decoding and seed."],
  ["command", "Command line", ".sh", "Gives the same trace in a terminal."],
  ["link", "Link", "", "Opens this page on the same view."],
];
const CUT_LINK = "The question is too long for a link; everything else is in it.";

// `onMade(made)` gets what the server made of the view, or null where the view has no recipe.
export function recipeBox(server, onMade) {
  let made = null;
  let shownForm = "yaml";
  let lastCall = 0;
  const title = h("p.mi-take-title");
  const code = h("pre.mi-take-code", { tabindex: 0, "aria-label": "The recipe in this form" });
  const note = h("p.mi-hint");
  const choices = FORMS.map(([form, name]) =>
    h("button.mi-seg", { "data-form": form, onclick: () => choose(form) }, name),
  );
  const copy = copyButton(() => code.textContent);
  const save = smallButton("Save", saveForm);
  const group = h("div.mi-segs", { role: "group", "aria-label": "Form of the recipe" }, choices);
  const bar = h("div.mi-row", group, copy, save);
  const node = titledBox("This view as a recipe", "What Explore shows, as a recipe", title, bar, code, note);

  function choose(form) {
    shownForm = form;
    draw();
  }
  function saveForm() {
    const [, , ending] = FORMS.find(([form]) => form === shownForm);
    saveFile(made.hash + ending, code.textContent, "text/plain");
  }
  function draw() {
    for (const choice of choices) choice.setAttribute("aria-pressed", String(choice.dataset.form === shownForm));
    const text = made ? formText(made, shownForm) : null;
    code.hidden = copy.hidden = text === null;
    save.hidden = text === null || shownForm === "link";
    if (!made) return;
    setText(title, `${made.title} · ${made.hash}`);
    setText(code, text || "");
    setText(note, formNote(made, shownForm));
  }
  async function refresh() {
    const view = currentView();
    const call = ++lastCall;
    if (!view) return;
    const answer = await answerOf(server.recipe(view));
    if (call !== lastCall) return;
    made = answer.error ? null : answer;
    if (!made) {
      setText(title, "This view has no recipe.");
      setText(note, answer.error);
    }
    draw();
    onMade(made);
  }
  draw();
  return { node, refresh };
}

// The text of a form; null where the recipe cannot be expressed in it.
function formText(made, form) {
  if (form === "link") return linkOf(made.query);
  if (form === "command" && made.export) return `${made.command}\n# the same blend as a checkpoint\n${made.export}\n`;
  return made[form] || null;
}

function formNote(made, form) {
  if (form === "mergekit" && !made.mergekit) return `Not expressible in mergekit: ${made.why}`;
  if (form === "link" && made.cut) return CUT_LINK;
  return FORMS.find(([id]) => id === form)[3];
}
