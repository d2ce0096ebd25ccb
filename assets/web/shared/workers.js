// The workers of a study or search: what each does, the cluster's own page, and buttons that add a worker or let one go.

import { h, setText, smallButton } from "./dom.js";
import { count, plural } from "./format.js";

// One worker. After the end of its run only what it made counts.
export function workerWords({ name, host, state, done, rate, note }, isRunning = true) {
  const where = host ? `${name} (${host})` : name;
  if (!isRunning) return `${where}: ${plural(done, "sample")}`;
  const words = [`${where}: ${state}`, plural(done, "sample"), rate ? `${count(rate)} tokens/s` : "", note || ""];
  return words.filter(Boolean).join(" · ");
}

// An http(s) address, or "": whatever else an address may be, a link would run it.
export function safeLink(address) {
  try {
    const { protocol, href } = new URL(address);
    return ["http:", "https:"].includes(protocol) ? href : "";
  } catch {
    return "";
  }
}

// `change(1)` adds a worker, `change(-1)` lets one go; both give "" or what went wrong.
export function workersBlock(change) {
  const lines = h("p.mi-workers-lines.mi-num");
  const problem = h("p.mi-refused", { role: "alert", hidden: true });
  const link = h(
    "a.mi-workers-link",
    { target: "_blank", rel: "noopener noreferrer", hidden: true },
    "Ray’s dashboard",
  );
  const steer = (by) => async () => {
    const said = await change(by);
    setText(problem, said);
    problem.hidden = !said;
  };
  const add = smallButton("Add a worker", steer(1));
  const less = smallButton("Let one go", steer(-1));
  const node = h("div.mi-workers", { hidden: true }, lines, h("span.mi-workers-acts", add, less, link), problem);
  function update({ workers = [], dashboard = "", resizable = false }, isRunning) {
    const address = safeLink(dashboard);
    node.hidden = !workers.length;
    setText(lines, workers.map((worker) => workerWords(worker, isRunning)).join("\n"));
    add.hidden = less.hidden = !(resizable && isRunning);
    link.hidden = !address;
    if (address) link.href = address;
    else link.removeAttribute("href");
  }
  return { node, update };
}
