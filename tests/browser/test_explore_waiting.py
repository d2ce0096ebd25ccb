"""Three visitors where one run streams and two are let in: each waiting page says for what, and its place."""

import re
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane
from tests.servers import free_port, start, stop


@pytest.fixture
def busy(tmp_path):
    port = free_port()
    process = start([sys.executable, "tests/ui/serve.py", str(port), "25", "1", "2"], port, tmp_path)
    yield f"http://127.0.0.1:{port}/"
    stop(process)


def test_who_waits_is_told_for_what_and_can_leave(busy, visit):
    one, two, three = visit(busy), visit(busy), visit(busy)
    for page in (one, two, three):
        page.fill(".mi-prompt", "echo: " + "one two three " * 600)
        page.click(".mi-primary")
        if page is one:
            expect(pane(one, "thinking").locator(".mi-chip")).to_have_text("thinking")
        elif page is two:
            expect(two.locator(".mi-status")).to_have_text(
                "Waiting for a free place in the batch: next in turn, about 7 s."
            )
    expect(two.locator(".mi-progress")).to_have_text("0 of 11 λ · waiting, next in turn, about 7 s")
    expect(pane(two, "thinking").locator(".mi-chip")).to_have_text("waiting")
    expect(pane(two, "thinking").locator(".mi-shown .mi-note")).to_have_text("Waiting for a place in the batch…")
    expect(three.locator(".mi-status")).to_have_text(re.compile("Waiting for a turn on the server: next in turn"))
    expect(three.locator(".mi-progress")).to_have_text(re.compile("^waiting, next in turn"))
    three.click(".mi-stop")
    expect(three.locator(".mi-status")).to_have_text("Stopped before it began.")
    expect(three.locator(".mi-primary")).to_be_enabled()
    one.click(".mi-stop")
    expect(pane(two, "thinking").locator(".mi-chip")).to_have_text("thinking")
    expect(two.locator(".mi-progress")).to_have_text(re.compile(r"^0 of 11 λ · \d+ tokens/s$"))
    two.click(".mi-stop")
    expect(two.locator(".mi-status")).to_contain_text("Stopped. What was written so far is kept.")
    expect(three.locator(".mi-source")).not_to_have_text("Live")
