"""A real Chromium on a real server: the page on a scripted workbench (fast, the same every time).

Every page fixture fails its test when the page asks anything of another host, or when a script throws.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.chromium import EXPOSE, FLAGS, TOUR_SEEN
from tests.servers import free_port, start, stop

expect.set_options(timeout=20_000)  # a loaded machine is slow, not wrong


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
