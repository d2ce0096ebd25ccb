"""A visitor whose run gets no GPU sees why, and a precomputed strip that says that it is one; the question stays."""

import sys

import pytest
from conftest import free_port, pane, start, stop
from playwright.sync_api import expect

from mi_explorer.ui import landing


@pytest.fixture(scope="module")
def lent(tmp_path_factory):
    port = free_port()
    process = start([sys.executable, "tests/ui/serve_lent.py", str(port)], port, tmp_path_factory.mktemp("lent"))
    yield f"http://127.0.0.1:{port}/"
    stop(process)


def test_no_gpu_shows_the_precomputed_strip_with_its_label(lent, visit):
    page = visit(lent + "?q=What+is+2+%2B+2%3F")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".mi-source")).to_contain_text("shown because the run could not have a GPU")
    expect(page.locator("[role=status]").first).to_contain_text("GPU quota of this visit is used up")
    expect(page.locator(".mi-prompt")).to_have_value("What is 2 + 2?")
    last = landing.of_embedded()["frames"]["1"]
    expect(pane(page, "thinking")).to_contain_text(last["answer"])
