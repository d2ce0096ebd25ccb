"""First visits: what the page weighs, when its rail moves, and how long the first opening of Curves takes."""

import argparse
import statistics
import time
from pathlib import Path

from page_server import leave, server, visit
from playwright.sync_api import Browser

from tests.servers import ROOT, stop

# Moves the rail to 0.2; resolves to the λ that the blend's pane shows then.
MOVE = """() => {
  const rail = document.querySelector(".mi-range");
  rail.value = 0.2;
  rail.dispatchEvent(new Event("input", { bubbles: true }));
  return document.querySelector("[data-pane=blend] .mi-lam").textContent;
}"""


# Seconds from the click on the Curves tab until something stands where the curves will be, and until both charts have their points.
OPEN_CURVES = """() => void (window.curvesOpened = new Promise((done) => {
  const began = performance.now(), at = () => (performance.now() - began) / 1000;
  const drawn = (id) => document.querySelector(`${id} .main-svg .points path`);
  let skeleton = null;
  const observer = new MutationObserver(() => {
    if (skeleton === null && document.querySelector("#curves-bar .mi-curve-lines li, #curves-multiples .mi-figure:not([hidden])")) skeleton = at();
    if (!drawn("#curves-multiples") || !drawn("#curves-pareto")) return;
    observer.disconnect();
    requestAnimationFrame(() => done({ skeleton, drawn: at() }));
  });
  observer.observe(document.body, { subtree: true, childList: true });
  document.querySelector("#tabs [data-tab-id=curves]").click();
}))"""


def weight(browser: Browser, folder: Path, how: argparse.Namespace) -> dict[str, float]:
    process, address = server(folder, "app.py", "--port", "{port}", "--home", str(folder / "home"))
    seconds, sizes, counts = [], [], []
    for _ in range(how.rounds):
        page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        received: list[float] = []
        devtools.on("Network.loadingFinished", lambda e, into=received: into.append(e["encodedDataLength"]))
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("[data-ready]", timeout=60_000)
        moved = page.evaluate(MOVE)
        assert moved == "λ 0.2", moved
        seconds.append(time.perf_counter() - began)
        page.wait_for_timeout(500)
        sizes.append(sum(received))
        counts.append(len(received))
        page.context.close()
    stop(process)
    own = sum(p.stat().st_size for p in (ROOT / "assets" / "web").rglob("*") if p.is_file())
    return {
        "page weight, kB": statistics.median(sizes) / 1000,
        "of it our scripts and styles, kB": own / 1000,
        "requests": statistics.median(counts),
        "usable rail, s": statistics.median(seconds),
    }


def curves(browser: Browser, folder: Path, how: argparse.Namespace) -> dict[str, float]:
    found = []
    for _ in range(how.rounds):
        process, address = server(folder, "app.py", "--port", "{port}", "--home", str(folder / "home"))
        page = visit(browser, address)
        page.evaluate(OPEN_CURVES)
        found.append(page.evaluate("() => window.curvesOpened"))
        leave(page, process)
    return {
        "curves first open, cold server, s": statistics.median(one["drawn"] for one in found),
        "the same to its skeleton, s": statistics.median(one["skeleton"] for one in found),
    }
