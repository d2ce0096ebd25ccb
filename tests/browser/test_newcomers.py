"""A first visit to the embedded pair: a tour that never comes back, what the pair knows, a pair that speaks, Curves at once."""

import json

from playwright.sync_api import expect

from tests.browser.page_actions import until
from tests.browser.test_access import violations

EVERYDAY = "What is the capital of France?"
MOST_REQUESTS, MOST_KB = 90, 620  # of a first visit: 82 and 587 when this was written, most of it Gradio's own
OWN = "What comes next: 15, 31, 47, 63?"


def test_a_first_visit_is_light(app, chromium):
    context = chromium.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    sizes = []
    devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(app)
    page.wait_for_selector("[data-opened]", state="attached")
    loaded = -1
    # until a second brings nothing more: the network is never idle, as Gradio's heartbeat does not end
    while loaded < len(sizes):
        loaded = len(sizes)
        page.wait_for_timeout(1000)
    context.close()
    assert 20 < len(sizes) <= MOST_REQUESTS and 100 < sum(sizes) / 1000 <= MOST_KB


def judged(page, question: str) -> None:
    """Write a question, and wait until the server has judged it."""
    with page.expect_response(lambda answer: "is_known" in (answer.request.post_data or "")):
        page.fill(".mi-prompt", question)
    page.wait_for_timeout(100)


def test_the_tour_goes_by_keys_and_never_comes_back(app, visit):
    page = visit(app, tour=True, width=390, height=844)
    card = page.locator(".mi-tour")
    expect(card).to_contain_text("1 of 4")
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    box = card.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844
    assert violations(page) == []
    card.get_by_role("button", name="Next").focus()
    for place in (2, 3, 4):
        page.keyboard.press("Enter")
        expect(card).to_contain_text(f"{place} of 4")
        box, lit = card.bounding_box(), page.locator(".mi-tour-lit").bounding_box()
        assert lit["y"] < 844 and lit["y"] + lit["height"] > 0, "what the step speaks of is seen"
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)
    assert page.locator(".mi-tour-lit").count() == 0
    page.reload()
    page.wait_for_selector("[data-opened]", state="attached")
    expect(card).to_have_count(0)


def test_the_tour_blocks_nothing_and_is_skipped(app, visit):
    page = visit(app, tour=True)
    page.locator(".mi-range").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".mi-tour")).to_contain_text("1 of 4")
    page.locator(".mi-tour").get_by_role("button", name="Skip").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".mi-tour")).to_have_count(0)
    assert page.evaluate("() => localStorage.getItem('mi-tour')") is not None


def test_a_question_that_the_pair_does_not_know_is_offered_another_pair(app, visit):
    page = visit(app)
    hint = page.locator(".mi-unknown")
    expect(page.locator(".mi-knows")).to_contain_text("ten kinds of small arithmetic problems")
    expect(hint).to_be_empty()
    judged(page, EVERYDAY)
    expect(hint).to_contain_text("none of the ten kinds")
    judged(page, OWN)
    expect(hint).to_be_empty()
    judged(page, EVERYDAY)
    page.locator(".mi-example").nth(1).click()
    expect(hint).to_be_empty()
    judged(page, EVERYDAY)
    page.evaluate("() => { window.asked = []; explore.app.trigger = (name, data) => asked.push([name, data.spec]); }")
    hint.get_by_role("button", name="Open SmolLM2").click()
    until(page, "() => asked.length === 1")
    assert page.evaluate("asked") == [["openpair", "smollm2"]]


def test_curves_have_their_place_before_they_are_drawn(app, visit):
    page, held = visit(app), []
    page.route("**/mi/plotly.min.js", lambda route: held.append(route))  # Playwright marks what it calls
    page.locator("#tabs [data-tab-id=curves]").click()
    figure = page.locator("#curves-multiples .mi-figure")
    expect(figure).to_have_attribute("aria-busy", "true")
    expect(page.locator(".mi-curve-lines")).to_contain_text("mini-sweep")
    assert figure.bounding_box()["height"] > 300
    held[0].continue_()
    expect(figure.locator(".points path").first).to_be_visible()
    expect(figure).to_have_attribute("aria-busy", "false")
    assert json.loads(page.evaluate("() => JSON.stringify(new URLSearchParams(location.search).getAll('study'))")) == [
        "mini-sweep"
    ]
