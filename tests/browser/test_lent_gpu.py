"""On a Space that lends its GPU a run is an event of Gradio's. A visitor whose run gets none sees why, and a precomputed strip."""

import re
import sys

import pytest
from playwright.sync_api import expect

from mi_explorer.ui.explore import demo_strip
from tests.browser.page_actions import pane
from tests.servers import free_port, start, stop


@pytest.fixture(scope="module")
def lent(tmp_path_factory):
    port = free_port()
    process = start([sys.executable, "tests/ui/serve_lent.py", str(port)], port, tmp_path_factory.mktemp("lent"))
    yield f"http://127.0.0.1:{port}/"
    stop(process)


def test_no_gpu_shows_the_precomputed_strip_with_its_label(lent, visit):
    page = visit(lent + "?q=What+is+2+%2B+2%3F+(no+quota)")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".mi-source")).to_contain_text("shown because the run could not have a GPU")
    expect(page.locator("[role=status]").first).to_contain_text("GPU quota of this visit is used up")
    expect(page.locator(".mi-prompt")).to_have_value("What is 2 + 2? (no quota)")
    last = demo_strip.embedded_demo()["frames"]["1"]
    expect(pane(page, "thinking")).to_contain_text(last["answer"])


def test_a_run_goes_through_gradios_queue_and_streams(lent, visit):
    page = visit(lent)
    asked = []
    page.on("request", lambda r: asked.append(r.url) if r.method == "POST" else None)
    text = "日本 👩‍🔬 three four five " * 12
    page.fill(".mi-prompt", "echo: " + text)
    page.locator(".mi-primary").hover()
    page.mouse.down()  # which may become no click: it takes nothing of the visitor's share of the GPU
    page.wait_for_timeout(300)
    assert not asked
    page.mouse.up()
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text(re.compile(r"^\d\d+ tokens"))
    expect(page.locator(".mi-source")).to_have_text("Live")
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert (
        pane(page, "thinking").locator(".mi-shown .mi-thought-text").evaluate("node => node.textContent")
        == text.strip()
    )
    assert [url for url in asked if url.endswith("/queue/join")] or [url for url in asked if "/queue/join?" in url]
    assert not [url for url in asked if "/mi/run" in url]
