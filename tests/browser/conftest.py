"""A real Chromium on a real server: the page on a scripted workbench (fast, the same every time).

Every page fixture fails its test when the page asks anything of another host, or when a script throws.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import ROOT, free_port

expect.set_options(timeout=20_000)  # a loaded machine is slow, not wrong

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

# For tests alone: `explore` in the page is what other tabs may ask of Explore (shared/explore_link.js), and Explore itself as `app`.
EXPOSE = """addEventListener("DOMContentLoaded", async () => {
  const link = document.querySelector("link[rel=modulepreload]");
  if (!link) return;
  const { patchView, showInExplore, currentView, exploreApp, openTab } = await import(link.href);
  window.explore = { patch: patchView, show: showInExplore, view: currentView, openTab, get app() { return exploreApp(); } };
});"""


# The tour of a first visit was seen already: it is of no concern to other tests.
TOUR_SEEN = "try { localStorage.setItem('mi-tour', 'seen'); } catch { /* a document without an origin */ }"


def listen_to_interrupts() -> None:
    """A shell lets its background jobs ignore SIGINT, and so would a server that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(command: list[str], port: int, folder: Path, wait: float = 180) -> subprocess.Popen:
    """Start a server and wait until its page answers."""
    env = {
        **os.environ,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "OMP_NUM_THREADS": "1",
    }
    log = (folder / f"server-{port}.log").open("w")
    process = subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, preexec_fn=listen_to_interrupts
    )
    end = time.monotonic() + wait
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=2).read()
            return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"The server did not come up:\n{(folder / f'server-{port}.log').read_text()[-3000:]}")


def stop(process: subprocess.Popen) -> int:
    """Ask a server to end, as a container or a service manager does; its exit status (-9: it had to be killed)."""
    process.terminate()
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(5)


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page on the scripted workbench, 40 tokens a second and row."""
    port = free_port()
    process = start([sys.executable, "tests/ui/serve.py", str(port), "40"], port, tmp_path_factory.mktemp("scripted"))
    yield f"http://127.0.0.1:{port}/"
    stop(process)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real program with the embedded pair and a home of its own."""
    port, folder = free_port(), tmp_path_factory.mktemp("app")
    process = start([sys.executable, "app.py", "--port", str(port), "--home", str(folder / "home")], port, folder)
    yield f"http://127.0.0.1:{port}/"
    assert stop(process) == 0, "an orderly end"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = (
        os.environ.get("MI_EXPLORER_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS
        )  # None: Playwright's own, where it is installed
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitors(chromium: Browser) -> list[BrowserContext]:
    """The browser's profile of the first visitor of a test, of the second, …: emptied at every visit, but for what a browser keeps
    of files, as loading those anew is half of a visit's cost."""
    return []


@pytest.fixture
def visit(chromium: Browser, visitors: list[BrowserContext]) -> Iterator[Callable[..., Page]]:
    """Open pages: `visit(address, dark=…, width=…, height=…, tour=…)` waits until the instrument is ready; `tour`: a first visit.

    Every visit is another visitor's. What else is asked of the browser (`has_touch=…`) makes a profile of its own.
    """
    own: list[BrowserContext] = []
    pages: list[Page] = []
    foreign: list[str] = []
    thrown: list[str] = []

    def open_page(
        address: str, dark: bool = False, width: int = 1280, height: int = 900, tour: bool = False, **more: Any
    ) -> Page:
        if more:
            context = chromium.new_context(**more)
            own.append(context)
        else:
            if len(visitors) <= len(pages):
                visitors.append(chromium.new_context())
            context = visitors[len(pages)]
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        context.clear_cookies()
        stored = {"origin": urljoin(address, "/"), "storageTypes": "local_storage"}
        context.new_cdp_session(page).send("Storage.clearDataForOrigin", stored)
        page.add_init_script(EXPOSE)
        if not tour:
            page.add_init_script(TOUR_SEEN)
        page.set_default_timeout(90_000)
        page.on(
            "request",
            lambda r: foreign.append(r.url) if not r.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else None,
        )
        page.on("pageerror", lambda e: thrown.append(str(e)))
        page.goto(address)
        page.wait_for_selector(
            "[data-opened]", state="attached"
        )  # ready, and the server has answered what the address asks for
        return page

    yield open_page
    for page in pages:
        page.close()
    for context in own:
        context.close()
    assert foreign == [], "the page asked something of another host"
    assert thrown == [], "a script of the page threw"


def modules(page: Page) -> str:
    """The address of the page's modules in one script, for an `import()` in it."""
    return page.locator("link[rel=modulepreload]").first.evaluate("link => link.href")


def lam(page: Page) -> float:
    """The λ on the rail."""
    return float(page.input_value(".mi-range"))


def set_lam(page: Page, value: float) -> None:
    """Move the rail as a drag does: input events of the native range."""
    page.evaluate(
        "v => { const r = document.querySelector('.mi-range'); r.value = v; r.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )


def pane(page: Page, name: str) -> Any:
    """A pane by id: "instruct", "blend", "thinking", "pin0.3"."""
    return page.locator(f"[data-pane='{name}']")


def gallery(page: Page) -> Any:
    """The gallery of pairs, opened."""
    page.click(".mi-head-tools >> text=Pairs")
    return page.locator(".mi-gallery")


def own_pair(page: Page) -> Any:
    """The part of the gallery, opened, that takes a pair of one's own."""
    return gallery(page).locator(".mi-own")


def until(page: Page, script: str, arg: Any = None, seconds: float = 20) -> None:
    """Wait until what a function in the page promises is true. (`wait_for_function` takes the promise itself for true.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(script, arg):
        assert time.monotonic() < end, f"not within {seconds} s: {script}"
        page.wait_for_timeout(50)


def begin_search(page: Page) -> None:
    """Begin a search on the tab that takes longer than a test: 300 evaluations of 8 questions."""
    page.click("#search-setup >> text=Set up a search")
    for field, value in (("evaluations", 300), ("questions", 8)):
        page.fill(f"#search-{field} input", str(value))
        page.keyboard.press("Tab")
    page.wait_for_function("() => /At most .* samples/.test(document.querySelector('#search-cost textarea').value)")
    page.click("#search-run")
