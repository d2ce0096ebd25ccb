"""A page whose studies and searches are made by workers: a search shows them, takes one more, and is stopped."""

import re
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import begin_search
from tests.servers import free_port, start, stop

LONG = 120_000  # milliseconds: a worker is a process that loads the pair


@pytest.fixture(scope="module")
def staffed(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("staffed")
    home = str(folder / "home")
    process = start([sys.executable, "app.py", "--port", str(port), "--home", home, "--workers", "1"], port, folder)
    yield f"http://127.0.0.1:{port}/"
    assert stop(process) == 0, "an orderly end"


def test_a_search_shows_its_workers_and_no_study_takes_them_away(staffed, visit):
    page = visit(f"{staffed}?tab=search")
    begin_search(page)
    lines = page.locator("#search-bar .mi-workers-lines")
    expect(lines).to_contain_text(re.compile(r"worker 1.*: busy · [\d,]+ samples · [\d,]+ tokens/s"), timeout=LONG)
    expect(page.locator("#search-bar .mi-workers-link")).to_be_hidden()
    page.click("#search-bar >> text=Add a worker")
    expect(lines).to_contain_text("worker 2", timeout=LONG)
    page.click("#tabs [data-tab-id=curves]")
    page.get_by_role("button", name="Set up a sweep").click()
    page.click("#curves-run")
    expect(page.locator("#curves-bar .mi-curve-notes")).to_contain_text("the search", timeout=LONG)
    page.click("#tabs [data-tab-id=search]")
    page.click("#search-stop")
    expect(page.locator("#search-bar [role=status]")).to_contain_text("Stopped", timeout=LONG)
    expect(lines).to_be_hidden()
    expect(page.locator("#search-resume")).to_be_visible()
