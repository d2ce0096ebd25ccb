"""How a run comes to the page: one request, its answer as it grows; and what is said where that answer breaks off or never begins."""

import json
import re
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, until
from tests.servers import free_port, start, stop

RUN, LONG = ".mi-primary", "echo: " + "日本 👩‍🔬 é\u200b three " * 300
RUNS = "**/mi/run"
OVER = "async (token) => (await explore.app.server.is_running(token)) === false"


@pytest.fixture
def mortal(tmp_path):
    """A page whose server a test may kill."""
    port = free_port()
    process = start([sys.executable, "tests/ui/serve.py", str(port), "40"], port, tmp_path)
    yield f"http://127.0.0.1:{port}/", process
    stop(process)


def thought(page):
    return pane(page, "thinking").locator(".mi-shown .mi-thought-text")


def breaks_off(route):
    """Answers a run with one state and the beginning of another."""
    frame = {
        "id": "1",
        "lam": 1,
        "state": "running",
        "message": "",
        "thought": "",
        "answer": "Half an ans",
        "tokens": 3,
        "think": 0,
        "tps": 9,
    }
    token = json.loads(route.request.post_data)["token"]
    piece = {
        "token": token,
        "state": "running",
        "message": "",
        "sentence": "",
        "bands": [],
        "waits": None,
        "frames": {"1": frame},
        "more": {},
    }
    route.fulfill(status=200, content_type="text/event-stream", body=f'data: {json.dumps(piece)}\n\ndata: {{"tok')


def test_a_run_is_one_request_and_its_text_comes_through_whole(scripted, visit):
    page = visit(scripted)
    asked = []
    page.on("request", lambda r: asked.append(r.url.removeprefix(scripted)) if r.method == "POST" else None)
    text = "日本 👩‍🔬 é \u202emirrored\u202c zero\u200bwidth \\u0041 </div> \n\n data: {} \n\nend"
    page.fill(".mi-prompt", "echo: " + text)
    page.click(RUN)
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert (
        [url for url in asked if "curve" not in url]
        and asked.count("mi/run") == 1
        and not [url for url in asked if "queue" in url]
    )
    assert thought(page).evaluate("node => node.textContent") == text.strip()
    assert (
        pane(page, "instruct").locator(".mi-shown .mi-answer-text").evaluate("node => node.textContent") == text.strip()
    )


def test_a_server_that_dies_is_noticed_at_once_and_the_text_stays(mortal, visit):
    address, process = mortal
    page = visit(address)
    page.fill(".mi-prompt", LONG)
    page.click(RUN)
    expect(page.locator(".mi-source")).to_have_text("Live")
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text(re.compile(r"^\d\d+ tokens"))
    process.kill()
    expect(page.locator(".mi-status")).to_have_text(
        "The server does not answer any more. What was written so far is kept.", timeout=5000
    )
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("◼ stopped")
    assert thought(page).evaluate("node => node.textContent").startswith("日本 👩‍🔬 é")
    expect(page.locator(RUN)).to_be_enabled()


def test_an_answer_that_breaks_off_is_said_to_have_ended_without_a_word(scripted, visit):
    page = visit(scripted)
    page.route(RUNS, breaks_off)
    page.click(RUN)
    expect(page.locator(".mi-status")).to_have_text("The run ended without a word. What was written so far is kept.")
    expect(pane(page, "thinking").locator(".mi-shown .mi-answer-text")).to_have_text("Half an ans")
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("◼ stopped")
    page.click("button:text('Previous strip')")
    assert len(page.evaluate("() => explore.app.strips.frames()")) == 11


def test_a_run_that_is_turned_away_says_why_and_leaves_the_strip_as_it_was(scripted, visit):
    page = visit(scripted)
    before = thought(page).inner_text()
    words = "You are not signed in. Reload the page and sign in again."
    page.route(RUNS, lambda route: route.fulfill(status=401, content_type="text/plain", body=words))
    page.fill(".mi-prompt", "Something else?")
    page.click(RUN)
    expect(page.locator(".mi-status")).to_have_text(words)
    expect(page.locator(".mi-source")).to_contain_text("These traces belong to other settings")
    assert thought(page).inner_text() == before
    page.unroute(RUNS)
    page.fill(".mi-prompt", "echo: back again")
    page.click(RUN)
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")


def runs_of(page):
    """The requests for runs that a page makes from now on."""
    asked = []
    page.on("request", lambda r: asked.append(json.loads(r.post_data)) if r.url.endswith("/mi/run") else None)
    return asked


def test_a_run_begins_with_its_click_and_not_before(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(RUN).hover()
    page.mouse.down()
    page.wait_for_timeout(300)
    page.locator(".mi-head h1").hover()  # moved off: no click
    page.mouse.up()
    assert asked == [] and not page.evaluate("() => explore.app.isRunning()")
    page.click(RUN)
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert [run["kind"] for run in asked] == ["strip"]


def test_what_is_being_typed_counts_for_the_run(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(".mi-lambox input").fill(
        "0.234"
    )  # not committed: the box waits for Enter, or for the focus to go elsewhere
    page.locator(RUN).click()
    expect(page.locator(".mi-status")).to_contain_text("traces in")
    assert [run["view"]["lam"] for run in asked] == [0.234]


def test_run_here_makes_one_more_frame(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(".mi-lambox input").fill("0.55")
    page.locator(".mi-lambox input").press("Enter")
    page.click("button:text('Run here')")
    expect(page.locator(".mi-status")).to_contain_text("1 trace in")
    assert [run["kind"] for run in asked] == ["here"]
    assert 0.55 in page.evaluate("() => explore.app.strips.frames().map(f => f.lam)")


def test_a_tab_that_is_closed_ends_its_run(mortal, visit):
    address, _ = mortal
    page, other = visit(address), visit(address)
    page.fill(".mi-prompt", LONG)
    page.click(RUN)
    expect(page.locator(".mi-source")).to_have_text("Live")
    token = page.evaluate("() => explore.app.strips.current().token")
    assert other.evaluate("token => explore.app.server.is_running(token)", token) is True
    page.close()
    until(other, OVER, token)
