"""How a run comes to the page: one request, its answer as it grows; and what is said where that answer breaks off or never begins."""

import json
import re
import sys

import pytest
from conftest import free_port, pane, start, stop, until
from playwright.sync_api import expect

RUN, LONG = ".mi-primary", "echo: " + "日本 👩‍🔬 é\u200b three " * 300
RUNS = "**/mi/run"
GOES_ON = "token => MI.app.server.alive(token)"
OVER = "async (token) => (await MI.app.server.alive(token)) === false"


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


def press(page, selector=RUN, begun=True):
    """Press the mouse on a button and hold it until the run has been asked for, and has begun; its token."""
    page.locator(selector).hover()
    with page.expect_request(RUNS) as asked:
        page.mouse.down()
    token = json.loads(asked.value.post_data)["token"]
    if begun:
        until(page, GOES_ON, token)
    return token


def test_a_press_begins_the_run_and_the_click_takes_it_over(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.fill(".mi-prompt", "echo: " + "one two three " * 30)
    label = page.locator(".mi-source").inner_text()
    token = press(page)
    page.wait_for_timeout(300)
    assert page.locator(".mi-source").inner_text() == label and not page.evaluate(
        "() => MI.app.running()"
    )  # nothing is shown of it yet
    page.mouse.up()
    assert page.evaluate("() => MI.app.strip().token") == token  # at once: its states are there already
    assert all(frame["tokens"] > 3 for frame in page.evaluate("() => MI.app.frames()"))
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert len(asked) == 1
    assert thought(page).inner_text() == ("one two three " * 30).strip()


def test_a_press_that_becomes_no_click_leaves_everything_as_it_was(scripted, visit):
    page = visit(scripted)
    asked, before = runs_of(page), page.evaluate("() => JSON.stringify(MI.app.strip())")
    token = press(page)
    page.locator(".mi-head h1").hover()
    page.mouse.up()
    until(page, OVER, token, seconds=1)  # at once, not when a press has lasted too long
    assert page.evaluate("() => JSON.stringify(MI.app.strip())") == before
    assert page.locator(".mi-status").inner_text() == ""
    page.fill(".mi-prompt", LONG)
    token = press(page)  # a hand that stays on the button for long: the click begins another run
    until(page, OVER, token)
    page.mouse.up()
    expect(page.locator(".mi-source")).to_have_text("Live")
    assert page.evaluate("() => MI.app.strip().token") == asked[2]["token"] != token
    page.click(".mi-stop")
    expect(page.locator(".mi-status")).to_contain_text("Stopped.")


def test_the_click_runs_what_is_set_then_and_not_what_was_pressed(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    token = press(page)
    page.evaluate("() => MI.patch({ q: 'echo: changed under way' })")
    page.mouse.up()
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert [run["view"]["q"] for run in asked][1:] == ["echo: changed under way"]
    assert thought(page).inner_text() == "changed under way"
    until(page, OVER, token)


def test_what_is_being_typed_counts_for_the_press(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(".mi-lambox input").fill(
        "0.234"
    )  # not committed: the box waits for Enter or for another place to be touched
    page.locator(RUN).click()
    expect(page.locator(".mi-status")).to_contain_text("traces in")
    assert [run["view"]["lam"] for run in asked] == [0.234]


def test_a_run_refused_at_the_press_says_so_at_the_click(scripted, visit):
    page = visit(scripted)
    page.route(RUNS, lambda route: route.fulfill(status=401, content_type="text/plain", body="You are not signed in."))
    before = thought(page).inner_text()
    press(page, begun=False)
    page.wait_for_timeout(200)
    assert page.locator(".mi-status").inner_text() == ""
    page.mouse.up()
    expect(page.locator(".mi-status")).to_have_text("You are not signed in.")
    assert thought(page).inner_text() == before and not page.evaluate("() => MI.app.running()")


def test_what_a_press_lost_is_kept_as_far_as_it_came(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "Something else?")
    page.route(RUNS, breaks_off)
    press(page, begun=False)
    page.wait_for_timeout(500)  # the answer has come and gone
    page.mouse.up()
    expect(page.locator(".mi-status")).to_have_text("The run ended without a word. What was written so far is kept.")
    assert page.evaluate("() => MI.app.frames().map(f => [f.id, f.state, f.answer])") == [
        ["1", "cancelled", "Half an ans"]
    ]
    page.click("button:text('Previous strip')")
    assert len(page.evaluate("() => MI.app.frames()")) == 11


def test_run_here_begins_at_the_press_too(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(".mi-lambox input").fill("0.55")
    page.locator(".mi-lambox input").press("Enter")
    token = press(page, "button:text('Run here')", begun=False)  # one frame, over in no time
    page.mouse.up()
    expect(page.locator(".mi-status")).to_contain_text("1 trace in")
    assert [run["kind"] for run in asked] == ["here"] and asked[0]["token"] == token
    assert 0.55 in page.evaluate("() => MI.app.frames().map(f => f.lam)")


def test_the_other_mouse_buttons_begin_nothing(scripted, visit):
    page = visit(scripted)
    asked = runs_of(page)
    page.locator(RUN).hover()
    for button in ("middle", "right"):
        page.mouse.down(button=button)
        page.mouse.up(button=button)
    page.wait_for_timeout(300)
    assert asked == []


def finger(page, selector=RUN):
    """A finger over a button: a function of what it does (touchStart, touchMove, touchEnd) and how far above it has moved."""
    box, devtools = page.locator(selector).bounding_box(), page.context.new_cdp_session(page)

    def does(what, up=0):
        points = (
            [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2 - up}] if what != "touchEnd" else []
        )
        devtools.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": points})

    return does


def test_a_finger_begins_the_run_too_and_its_tap_takes_it_over(scripted, visit):
    page = visit(scripted, width=390, height=844, has_touch=True, is_mobile=True)
    asked = runs_of(page)
    page.fill(".mi-prompt", "echo: " + "one two three " * 30)
    does = finger(page)
    with page.expect_request(RUNS):
        does("touchStart")
    page.wait_for_timeout(150)
    assert not page.evaluate("() => MI.app.running()")
    assert page.evaluate("() => document.activeElement.className") == "mi-prompt"  # its keyboard stays until the tap
    does("touchEnd")
    page.wait_for_function("token => MI.app.strip().token === token", arg=asked[0]["token"])
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    assert len(asked) == 1


def test_a_finger_that_scrolls_runs_nothing(scripted, visit):
    page = visit(scripted, width=390, height=844, has_touch=True, is_mobile=True)
    page.fill(".mi-prompt", LONG)
    asked, before = runs_of(page), page.evaluate("() => JSON.stringify(MI.app.strip())")
    does = finger(page)
    with page.expect_request(RUNS):
        does("touchStart")
    until(page, GOES_ON, asked[0]["token"])
    for up in range(10, 160, 10):
        does("touchMove", up)
    does("touchEnd")
    until(page, OVER, asked[0]["token"], seconds=1)
    assert page.evaluate("() => scrollY") > 50
    assert len(asked) == 1 and page.evaluate("() => JSON.stringify(MI.app.strip())") == before


def test_a_tab_that_is_closed_ends_its_run(mortal, visit):
    address, _ = mortal
    page, other = visit(address), visit(address)
    page.fill(".mi-prompt", LONG)
    page.click(RUN)
    expect(page.locator(".mi-source")).to_have_text("Live")
    token = page.evaluate("() => MI.app.strip().token")
    assert other.evaluate("token => MI.app.server.alive(token)", token) is True
    page.close()
    until(other, OVER, token)
