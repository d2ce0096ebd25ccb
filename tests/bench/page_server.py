"""For the benchmarks of the page: a server in a process of its own, and a page that stands open on it."""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser.chromium import TOUR_SEEN
from tests.servers import free_port, start, stop


def visit(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
    page.add_init_script(TOUR_SEEN)
    page.goto(address)
    page.wait_for_selector("[data-ready]", timeout=60_000)
    page.set_default_timeout(120_000)
    return page


def leave(page: Page, process: subprocess.Popen) -> None:
    """Close both: a page that is open draws on while the next part is measured."""
    page.context.close()
    stop(process)


def server(folder: Path, *command: str) -> tuple[subprocess.Popen, str]:
    port = free_port()
    return start([sys.executable, *(c.format(port=port) for c in command)], port, folder), f"http://127.0.0.1:{port}/"
