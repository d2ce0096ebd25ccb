// The blend as a checkpoint: written into a folder of the server's machine, or downloaded as a zip.

import { h, labelled, setText, smallButton, textField } from "../shared/dom.js";
import { currentView } from "../shared/explore_link.js";
import { bytes } from "../shared/format.js";
import { fileJob } from "./file_job.js";
import { titledBox } from "./parts.js";

const NOTHING = { folder: "", download: false, why: "" };

export function checkpointBox(server) {
  const job = fileJob(server, "mi.take.checkpoint");
  const folder = textField("Folder to write the checkpoint into");
  const field = labelled("New folder on the server's machine", folder);
  field.classList.add("mi-take-folder");
  const write = smallButton("Write into this folder", () => start({ what: "folder", folder: folder.value }));
  const zip = smallButton("Download as zip", () => start({ what: "zip" }), { class: "mi-take-zip" });
  const [size, why] = [h("p.mi-hint"), h("p.mi-hint")];
  const buttons = h("div.mi-row", write, zip);
  const label = "The blend as a checkpoint";
  const node = titledBox(label, label, size, field, buttons, why, job.node);
  node.classList.add("mi-take-wide");
  let suggested = "";

  function start(request) {
    job.start({ ...request, view: currentView() });
  }
  // Shows what may be done with what the server made of the view; null where there is no recipe.
  function show(made) {
    const may = made?.checkpoint || NOTHING;
    field.hidden = write.hidden = !may.folder;
    zip.hidden = !may.download;
    if (may.folder && ["", suggested].includes(folder.value)) folder.value = suggested = may.folder;
    const about = "in its parents' layout, with tokenizer, template and model card";
    setText(size, may.bytes ? `${made.title}: ${bytes(may.bytes)} of tensors, ${about}.` : "");
    setText(why, may.why);
  }
  show(null);
  return { node, show };
}
