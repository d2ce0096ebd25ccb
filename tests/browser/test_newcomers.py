"""A first visit to the embedded pair: a tour that never comes back, what the pair knows, a pair that speaks, Curves at once."""

import json

from conftest import until
from playwright.sync_api import expect
from test_access import AXE

EVERYDAY = "What is the capital of France?"
OWN = "What comes next: 15, 31, 47, 63?"


def judged(page, question: str) -> None:
    """Write a question, and wait until the server has judged it."""
    with page.expect_response(
        lambda answer: "component_server" in answer.url and "is_known" in (answer.request.post_data or "")
    ):
        page.fill(".mi-prompt", question)
    page.wait_for_timeout(100)


def test_the_tour_goes_by_keys_and_never_comes_back(app, visit):
    page = visit(app, tour=True, width=390, height=844)
    card = page.locator(".mi-tour")
    expect(card).to_contain_text("1 of 4")
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    box = card.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844
    page.evaluate(AXE)
    found = page.evaluate(
        "() => axe.run('.mi-tour', { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations))"
    )
    assert [v["id"] for v in json.loads(found) if v["impact"] in ("serious", "critical")] == []
    card.get_by_role("button", name="Next").focus()
    for place in (2, 3, 4):
        page.keyboard.press("Enter")
        expect(card).to_contain_text(f"{place} of 4")
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)
    assert page.locator(".mi-tour-lit").count() == 0
    page.reload()
    page.wait_for_selector("[data-opened]", state="attached")
    expect(card).to_have_count(0)


def test_the_tour_is_skipped_and_blocks_nothing(app, visit):
    page = visit(app, tour=True)
    page.locator(".mi-range").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".mi-tour")).to_contain_text("1 of 4")
    page.locator(".mi-tour").get_by_role("button", name="Skip").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".mi-tour")).to_have_count(0)
    assert page.evaluate("() => localStorage.getItem('mi-tour')") is not None


def test_a_question_that_the_pair_does_not_know_is_answered_with_another_pair(app, visit):
    page = visit(app)
    hint = page.locator(".mi-unknown")
    expect(page.locator(".mi-knows")).to_contain_text("ten kinds of small arithmetic problems")
    expect(hint).to_be_empty()
    judged(page, EVERYDAY)
    expect(hint).to_contain_text("ten kinds of small arithmetic problems")
    expect(hint.get_by_role("button", name="Open SmolLM2")).to_be_visible()
    judged(page, OWN)
    expect(hint).to_be_empty()
    page.locator(".mi-example").nth(1).click()
    until(page, f"() => document.querySelector('.mi-prompt').value !== {json.dumps(OWN)}")
    expect(hint).to_be_empty()
