"""Stop thinking and Steer in a real browser, on the real program with the embedded pair."""

import re

from playwright.sync_api import expect

from tests.browser.page_actions import lam, pane, set_lam, until

QUESTION = "Find two numbers with sum 17 and product 60."
STEER, STOP_THINKING, REPLAY = (
    "button:text-is('Steer')",
    ".mi-steer button:text-is('Stop thinking')",
    "button:text-is('Replay')",
)
FRAME = "() => explore.app.steer.frame()"
HOSTILE = "<script>window.pwned=1</script> <img src=x onerror=window.pwned=2> ${window.pwned=3} {{window.pwned=4}} \u202emirrored \x07bell"


def opened(app, visit, at=1, more="", **options):
    return visit(f"{app}?lam={at}&q={QUESTION.replace(' ', '+')}&gold=12{more}", **options)


def steering(page, tokens=10, pace="30"):
    """Begin to steer, and wait until so many tokens are there."""
    page.evaluate("pace => { document.querySelector('.mi-steer-pace select').value = pace; }", pace)
    page.click(STEER)
    reached(page, tokens)


def reached(page, tokens):
    until(page, "n => (explore.app.steer.frame()?.tokens ?? 0) >= n", tokens)


def steps(page, number):
    until(page, "n => explore.app.steer.frame().steps.length >= n", number)


def ended(page):
    until(page, "() => !explore.app.isRunning()", seconds=60)
    return page.evaluate(FRAME)


def test_dragging_lambda_changes_who_writes_from_that_very_token_and_a_replay_is_equal(app, visit):
    page = opened(app, visit)
    steering(page, 20)
    set_lam(page, 0.9)
    until(page, "() => explore.app.steer.frame().steps.length === 1")
    expect(page.locator(".mi-steer .mi-lam").first).to_have_text("λ 0.9")
    page.click("button:text-is('Pause')")
    expect(page.locator(".mi-steer .mi-chip")).to_contain_text("paused")
    at = page.evaluate("() => explore.app.steer.frame().tokens")
    page.wait_for_timeout(400)
    assert page.evaluate("() => explore.app.steer.frame().tokens") == at
    page.click("button:text-is('Go on')")
    page.click(".mi-steer button:text-is('Stop thinking')")
    frame = ended(page)
    assert [s["cause"] for s in frame["steps"]][:1] == ["lam"] and frame["closed"]
    step = frame["steps"][0]
    assert step["lam"] == 0.9 and 20 <= step["at"] < 60
    wrote = page.locator(".mi-steer .mi-wrote")
    colours = wrote.evaluate_all("nodes => [...new Set(nodes.map(n => n.style.getPropertyValue('--wrote')))]")
    assert len(colours) == 2
    expect(page.locator(".mi-steer .mi-lam-flag").first).to_have_text("λ 0.9")
    track = page.locator(".mi-steer .mi-lam-track")
    assert f"λ 0.9 from {step['at'] + 1} on" in track.get_attribute("aria-label")
    page.click("button:text-is('Replay')")
    expect(page.locator(".mi-steer-words")).to_have_text(f"Replayed: all {frame['tokens']} tokens are equal.")
    again = page.evaluate(FRAME)
    assert (again["check"], again["schedule"]) == (frame["check"], frame["schedule"])


def test_keys_steer_pause_stop_and_leave(app, visit):
    page = opened(app, visit, 0.9)
    page.evaluate(
        "() => { document.querySelector('.mi-steer-pace select').value = '8'; }"
    )  # a thought that outlasts the keys
    page.locator(".mi-head h1").click()
    page.keyboard.press("s")
    reached(page, 12)
    page.keyboard.press("]")  # from frame to frame: 0.9 → 1
    steps(page, 1)
    page.keyboard.press("k")
    expect(page.locator(".mi-steer .mi-chip")).to_contain_text("paused")
    page.locator(".mi-range").focus()
    page.keyboard.press("ArrowLeft")
    steps(page, 1)
    page.keyboard.press("k")
    page.keyboard.press("t")
    frame = ended(page)
    assert [s["lam"] for s in frame["steps"] if s["lam"] is not None][-1] == 0.99 == lam(page)
    assert frame["steps"][-1]["cause"] == "stop" and frame["closed"]
    expect(page.locator(".mi-steer .mi-fact-steps")).to_contain_text(f"thought stopped at {frame['steps'][-1]['at']}")
    page.keyboard.press("Escape")
    expect(page.locator(".mi-steer")).to_be_hidden()
    expect(pane(page, "blend")).to_be_visible()


def test_escape_stops_a_steered_run_and_keeps_what_there_is(app, visit):
    page = opened(app, visit)
    steering(page, 10, "8")
    page.keyboard.press("Escape")
    frame = ended(page)
    assert frame["state"] == "cancelled" and frame["tokens"] >= 10 and frame["check"]
    expect(page.locator(".mi-steer .mi-chip")).to_contain_text("stopped")
    page.click(REPLAY)
    expect(page.locator(".mi-steer-words")).to_contain_text(f"the {frame['tokens']} tokens are equal")


def test_a_hint_is_marked_as_yours_and_writing_it_pauses(app, visit):
    page = opened(app, visit)
    steering(page, 15)
    page.keyboard.press("h")
    page.keyboard.type("Check 5 and 12 first.")
    expect(page.locator(".mi-steer .mi-chip")).to_contain_text("paused")
    page.keyboard.press("Enter")
    steps(page, 1)
    expect(page.locator(".mi-steer .mi-hinted")).to_have_text(re.compile(r"^\s*Check 5 and 12 first\.\s*$"))
    expect(page.locator(".mi-steer .mi-hint-flag")).to_have_text("your hint")
    expect(page.locator(".mi-steer-hint input")).to_have_value("")
    frame = ended(page)
    step = frame["steps"][0]
    assert step["cause"] == "hint" and frame["tokens"] > step["at"] + step["tokens"], "the thought went on after it"
    assert frame["thought"][step["from"] : step["to"]].strip() == "Check 5 and 12 first."


def test_hostile_hints_are_text_and_impossible_ones_are_refused_in_words(app, visit):
    page = opened(app, visit)
    steering(page, 10, "15")
    field = page.locator(".mi-steer-hint input")
    field.fill("   ")
    field.press("Enter")
    expect(page.locator(".mi-status")).to_contain_text("empty")
    field.evaluate("(node, text) => { node.value = text; }", "x" * 1_000_000)
    field.press("Enter")
    expect(page.locator(".mi-status")).to_contain_text("4,000")
    field.fill(HOSTILE)
    field.press("Enter")
    steps(page, 1)
    page.click(STOP_THINKING)
    frame = ended(page)
    words = page.locator(".mi-steer .mi-hinted").evaluate_all("nodes => nodes.map(n => n.textContent).join('')")
    assert HOSTILE.replace("\x07", "") in words.replace("\x07", "") and frame["steps"][0]["cause"] == "hint"
    assert page.evaluate("() => window.pwned") is None
    page.click(REPLAY)
    expect(page.locator(".mi-steer-words")).to_contain_text("are equal")


def test_a_link_makes_the_same_response_again(app, visit):
    page = opened(app, visit)
    steering(page, 15)
    set_lam(page, 0.8)
    steps(page, 1)
    page.click(STOP_THINKING)
    frame = ended(page)
    until(page, "() => location.search.includes('schedule=') && location.search.includes('expected=')")
    assert "lam=1&" in page.evaluate("() => location.search"), "the λ that it began with"
    other = visit(page.evaluate("() => location.href"))
    expect(other.locator(".mi-steer-words")).to_have_text(f"Replayed: all {frame['tokens']} tokens are equal.")
    assert other.evaluate(FRAME)["schedule"] == frame["schedule"]
    changed = visit(page.evaluate("() => location.href.replace(/expected=\\d+-.{12}/, 'expected=9-000000000000')"))
    expect(changed.locator(".mi-steer-words")).to_contain_text("the tokens differ")
    page.fill(".mi-prompt", "What is 2 + 3?")  # another question: what was done belongs to the one before
    until(page, "() => !location.search.includes('schedule=')")


def test_links_that_cannot_be_meant_say_so(app, visit):
    for part, word in (
        ("schedule=9:0.5,3:close", "out of order"),
        ("schedule=<script>", "token:λ"),
        ("budget=0", "budget"),
        ("expected=<b>", "expected"),
        ("answer_lam=9", "answer"),
    ):
        page = visit(f"{app}?{part}")
        expect(page.locator(".mi-status")).to_contain_text(word)
        expect(page.locator(".mi-steer")).to_be_hidden()


def test_a_budget_and_the_answers_lambda_are_shown_on_the_traces(app, visit):
    page = opened(app, visit)
    page.click("summary:has-text('Decoding')")
    for label, value in (("Thought budget", "30"), ("λ of the answer", "0")):
        page.get_by_label(label).fill(value)
        page.get_by_label(label).press("Tab")
    expect(page.locator("summary:has-text('Decoding')")).to_contain_text("thought ≤ 30 · answer λ 0")
    page.click(".mi-primary")
    expect(page.locator(".mi-status")).to_contain_text("traces in")
    thinking = pane(page, "thinking")
    expect(thinking.locator(".mi-shown .mi-stop-flag")).to_have_text("budget of 30 reached")
    expect(thinking.locator(".mi-fact-steps")).to_contain_text("answer at λ 0")
    expect(thinking.locator(".mi-lam-track")).to_be_visible()
    assert "budget=30" in page.evaluate("() => location.search") and "answer_lam=0" in page.evaluate(
        "() => location.search"
    )
    page.click("summary:has-text('Decoding')")
    page.get_by_label("Thought budget").fill("0")
    page.get_by_label("Thought budget").press("Tab")
    expect(page.locator(".mi-status")).to_contain_text("from 1 to")
    page.get_by_label("Thought budget").fill("")
    page.get_by_label("Thought budget").press("Tab")
    assert page.evaluate("() => explore.view().budget") is None


def test_on_a_phone_the_rail_is_in_sight_while_one_steers(app, visit):
    page = opened(app, visit, width=390, height=844, has_touch=True)
    steering(page, 10)
    box = page.locator(".mi-range").bounding_box()
    assert box and 0 < box["y"] < 844 - box["height"]
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    set_lam(page, 0.8)
    steps(page, 1)
    page.tap(STOP_THINKING)
    assert ended(page)["closed"]
