"""The page against its own engine and against the clock of the browser, in a real Chromium.

    python tests/bench/bench_page.py [--json FILE] [--only stream,scrub,live,weight]

stream  frames per second while 3 panes stream 400 tokens/s each (a strip of 11 rows runs), scripted workbench
scrub   frames per second while dragging λ over 11 finished frames of 4,000 tokens each; every frame moves λ
live    embedded pair: page tokens/s ÷ engine tokens/s, and click-to-first-token ÷ the engine's own first token (same strip, in turns)
weight  bytes and requests of the first visit, seconds to a usable rail
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser"), str(ROOT / "tests" / "ui")]

from conftest import FLAGS, free_port, start, stop  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

# Counts animation frames for `seconds`, moving λ at each of them when asked; resolves to frames per second and the slowest 1 %.
COUNT = """([seconds, move]) => new Promise((done) => {
  const rail = document.querySelector(".mi-range"), times = [];
  let last = null, began = performance.now();
  const tick = (now) => {
    if (last !== null) times.push(now - last);
    last = now;
    if (move) { rail.value = 0.5 + 0.5 * Math.sin((now - began) / 400); rail.dispatchEvent(new Event("input", { bubbles: true })); }
    if (now - began < seconds * 1000) return requestAnimationFrame(tick);
    times.sort((a, b) => a - b);
    done({ fps: 1000 * times.length / times.reduce((a, b) => a + b, 0), slow: times[Math.floor(0.99 * times.length)] });
  };
  requestAnimationFrame(tick);
})"""
# Seconds from the click on Run to the first token on the page and to the end, and the tokens shown.
TIMED_RUN = """() => new Promise((done) => {
  const counts = () => [...document.querySelectorAll(".mi-bar")].map((b) => Number(b.title.match(/: ([\\d,]+) token/)[1].replace(",", "")));
  const began = performance.now();
  let seen = false, first = null;
  document.querySelector(".mi-primary").click();
  const tick = () => {
    const running = !document.querySelector(".mi-stop").hidden, total = counts().reduce((a, b) => a + b, 0);
    const live = document.querySelector(".mi-source").textContent === "Live";
    if (live && total > 0 && first === null) first = performance.now();
    seen = seen || live;
    if (!seen || running) return requestAnimationFrame(tick);
    done({ first: (first - began) / 1000, all: (performance.now() - began) / 1000, tokens: total });
  };
  requestAnimationFrame(tick);
})"""


def visit(browser: Any, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
    page.goto(address)
    page.wait_for_selector("[data-ready]", timeout=60_000)
    page.set_default_timeout(120_000)
    return page


def server(folder: Path, *command: str) -> tuple[subprocess.Popen, str]:
    port = free_port()
    return start([sys.executable, *(c.format(port=port) for c in command)], port, folder), f"http://127.0.0.1:{port}/"


def stream(browser: Any, folder: Path) -> dict[str, float]:
    process, address = server(folder, "tests/ui/serve.py", "{port}", "400")
    page = visit(browser, address)
    page.fill(".mi-prompt", "echo: " + "one two three " * 800)
    page.click(".mi-primary")
    page.wait_for_timeout(500)
    counted = page.evaluate(COUNT, [4, False])
    stop(process)
    return {"stream fps": counted["fps"], "stream slowest 1 % of frames, ms": counted["slow"]}


def scrub(browser: Any, folder: Path) -> dict[str, float]:
    process, address = server(folder, "tests/ui/serve.py", "{port}", "2000")
    page = visit(browser, address)
    page.fill(".mi-prompt", "echo: " + "one two three four " * 500)
    page.click(".mi-primary")
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && document.querySelector('.mi-status').textContent.includes('traces in')"
    )
    shown = page.locator("[data-pane=thinking] .mi-fact-tokens").inner_text()
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    page.evaluate(COUNT, [1, True])  # builds the frames' trees once
    counted = page.evaluate(COUNT, [4, True])
    stop(process)
    tokens = float(shown.split()[0].replace(",", ""))
    return {
        "scrub tokens per frame": tokens,
        "scrub fps": counted["fps"],
        "scrub slowest 1 % of frames, ms": counted["slow"],
        "scrub requests": len(requests),
    }


def engine_alone(bench: Any, view: Any) -> dict[str, float]:
    from mi_explorer.study.ask import Ask
    from mi_explorer.ui import board

    asks = [Ask(board.frame_id(x), view.prompt, view.recipe(x), view.decoding) for x in board.GRID]
    began, first, last = time.perf_counter(), None, {}
    for changed in bench.stream(asks, hz=200):
        last |= {s.id: s for s in changed}
        if first is None and any(s.trace.tokens for s in changed):
            first = time.perf_counter() - began
    return {"first": first or 0.0, "all": time.perf_counter() - began, "tokens": sum(s.trace.tokens for s in last.values())}


def live(browser: Any, folder: Path, rounds: int = 5) -> dict[str, float]:
    from mi_explorer.tasks import load_task
    from mi_explorer.ui import view as views
    from mi_explorer.workbench import Workbench

    process, address = server(folder, "app.py", "--port", "{port}")
    page = visit(browser, address)
    question = load_task("mini", 1, 3).questions[0].text
    page.fill(".mi-prompt", question)
    view = views.from_dict({"q": question})
    ours, theirs = [], []
    with Workbench.open("mini") as bench:
        engine_alone(bench, view)
        page.evaluate(TIMED_RUN)
        for _ in range(rounds):  # in turns, so that both meet the same machine
            theirs.append(engine_alone(bench, view))
            ours.append(page.evaluate(TIMED_RUN))
    stop(process)
    assert ours[0]["tokens"] == theirs[0]["tokens"], "the page and the engine must write the same strip"
    middle = statistics.median
    speed = middle(o["tokens"] / o["all"] for o in ours) / middle(t["tokens"] / t["all"] for t in theirs)
    return {
        "page tokens/s ÷ engine tokens/s": speed,
        "click to first token ÷ engine's first token": middle(o["first"] for o in ours) / middle(t["first"] for t in theirs),
        "click to first token, s": middle(o["first"] for o in ours),
        "strip on the page, s": middle(o["all"] for o in ours),
        "tokens of the strip": ours[0]["tokens"],
    }


def weight(browser: Any, folder: Path) -> dict[str, float]:
    process, address = server(folder, "tests/ui/serve.py", "{port}")
    seconds, sizes, counts = [], [], []
    for _ in range(3):
        page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        received: list[float] = []
        devtools.on("Network.loadingFinished", lambda e, into=received: into.append(e["encodedDataLength"]))
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("[data-ready]", timeout=60_000)
        seconds.append(time.perf_counter() - began)
        page.wait_for_timeout(500)
        sizes.append(sum(received))
        counts.append(len(received))
        page.context.close()
    stop(process)
    own = sum(len((ROOT / "assets" / "web" / f).read_bytes()) for f in os.listdir(ROOT / "assets" / "web"))
    return {
        "page weight, kB": statistics.median(sizes) / 1000,
        "of it our scripts and styles, kB": own / 1000,
        "requests": statistics.median(counts),
        "usable rail, s": statistics.median(seconds),
    }


PARTS = {"stream": stream, "scrub": scrub, "live": live, "weight": weight}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    import shutil

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("MI_EXPLORER_CHROMIUM") or shutil.which("chromium"), args=FLAGS)
        for name in args.only.split(","):
            figures |= PARTS[name](browser, Path(folder))
        versions = {"chromium": browser.version, "python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
        browser.close()
    for name, value in figures.items():
        print(f"{name:48} {value:12,.2f}")
    print(versions)
    if args.json:
        args.json.write_text(json.dumps({"figures": figures, "versions": versions}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
