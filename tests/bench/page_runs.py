"""A run of the strip on the page beside the same strip straight from the engine."""

import argparse
import shutil
import statistics
import time
from pathlib import Path

from engine_runs import medium_pair
from page_server import leave, server, visit
from playwright.sync_api import Browser, Page

from mi_explorer.engine.events import Request, Token
from mi_explorer.tasks import load_task
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore import view as views
from mi_explorer.workbench import Workbench
from tests.servers import ROOT

# Seconds from the press on Run until the first token and the end are in the document, and until the next frame that shows them; the
# tokens shown. It looks when something on the page changes: a look at every frame would make the browser draw sixty times a second.
TIMED_RUN = """() => void (window.timed = new Promise((done) => {
  const counts = () => [...document.querySelectorAll(".mi-bar")].map((b) => Number(b.title.match(/: ([\\d,]+) token/)[1].replace(",", "")));
  const before = counts().reduce((a, b) => a + b, 0);
  const at = () => (performance.now() - began) / 1000;
  let began = performance.now(), seen = false, fresh = false, first = null, shown = null;
  addEventListener("pointerdown", (e) => (began = e.timeStamp), { capture: true, once: true });
  const observer = new MutationObserver(() => {
    const running = !document.querySelector(".mi-stop").hidden, total = counts().reduce((a, b) => a + b, 0);
    const live = document.querySelector(".mi-source").textContent === "Live";
    fresh = fresh || (live && total < before); // the strip of the run before is gone
    if (fresh && total > 0 && first === null) (first = at()), requestAnimationFrame(() => (shown = at()));
    seen = seen || live;
    if (!seen || running) return;
    observer.disconnect();
    const all = at();
    requestAnimationFrame(() => done({ first, shown, all, drawn: at(), tokens: total }));
  });
  observer.observe(document.querySelector("#explore"), { subtree: true, childList: true, characterData: true, attributes: true });
}))"""


def timed(page: Page) -> dict[str, float]:
    """One run of the strip on the page, by a click of the mouse that stands on Run."""
    page.evaluate(TIMED_RUN)
    page.mouse.down()
    page.mouse.up()
    return page.evaluate("() => window.timed")


def engine_alone(bench: Workbench, view: views.View) -> dict[str, float]:
    """The same strip straight from the engine: seconds to the first token and to the end, by its events."""
    requests = []
    for lam in board.STRIP_LAMBDAS:
        recipe = view.recipe(lam)
        prompt = bench.prompts.render(view.prompt, recipe)
        requests.append(Request(board.frame_id(lam), prompt.ids, recipe, view.decoding, bench.prompts.stop_ids))
    began, first, tokens = time.perf_counter(), 0.0, 0
    for event in bench.engine.submit(requests):
        if isinstance(event, Token):
            first = first or time.perf_counter() - began
            tokens += 1
    return {"first": first, "all": time.perf_counter() - began, "tokens": tokens}


def live(
    browser: Browser, folder: Path, how: argparse.Namespace, pair: str = "mini", cap: int | None = None
) -> dict[str, float]:
    process, address = server(
        folder, "app.py", "--port", "{port}", "--pair", pair.replace("{", "{{").replace("}", "}}")
    )
    page = visit(browser, address + (f"?cap={cap}" if cap else ""))
    page.wait_for_selector("[data-opened]", state="attached")
    question = load_task("mini", 1, 3).questions[0].text
    page.fill(".mi-prompt", question)
    view = views.view_of_dict({"q": question, "pair": pair} | ({"cap": cap} if cap else {}))
    clicked, theirs = [], []
    page.hover(".mi-primary")
    with Workbench.open(pair) as bench:
        engine_alone(bench, view)
        timed(page)
        for _ in range(how.rounds):  # in turns, so that all meet the same machine
            theirs.append(engine_alone(bench, view))
            clicked.append(timed(page))
    leave(page, process)
    assert {run["tokens"] for run in (*clicked, *theirs)} == {theirs[0]["tokens"]}, (
        "page and engine must write the same strip"
    )
    middle = statistics.median

    def times(runs: list[dict[str, float]], what: str) -> float:
        """By how much more than the engine's: the median over neighbours, as the machine's speed changes from minute to minute."""
        return middle(run[what] / alone["first"] for run, alone in zip(runs, theirs))

    return {
        "page tokens/s ÷ engine tokens/s": middle(t["all"] / o["all"] for o, t in zip(clicked, theirs)),
        "click to first token ÷ engine's first token": times(clicked, "first"),
        "the same to the next frame of the screen": times(clicked, "shown"),
        "click to first token, s": middle(o["first"] for o in clicked),
        "strip on the page, s": middle(o["all"] for o in clicked),
        "tokens of the strip": theirs[0]["tokens"],
    }


def large(browser: Browser, folder: Path, how: argparse.Namespace) -> dict[str, float]:
    pair = medium_pair(folder)
    for role in (pair.instruct, pair.thinking):
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(ROOT / "assets" / "models" / "mini" / "instruct" / file, role)
    found = live(browser, folder, how, f"{pair.instruct}|{pair.thinking}", 16)
    return {f"135M: {name}": value for name, value in found.items()}
