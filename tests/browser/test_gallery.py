"""The gallery of pairs in a browser: cards, a strip that is dragged before anything is loaded, loading from a card, short names."""

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import gallery, lam, own_pair
from tests.browser.test_access import violations

MINI = "assets/models/mini"
DRAG = "(input, v) => { input.value = v; input.dispatchEvent(new Event('input', { bubbles: true })); }"


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)])
def test_cards_say_what_fits_and_nothing_in_them_is_out_of_reach(scripted, visit, dark, width):
    page = visit(scripted, dark=dark, width=width, height=844)
    shown = gallery(page)
    fits = {name: shown.locator(f"[data-card='{name}'] .mi-fit") for name in ("smollm2", "qwen3-4b", "qwen3-30b-a3b")}
    expect(fits["smollm2"]).to_contain_text("every λ at once")
    expect(fits["qwen3-4b"]).to_contain_text("one λ after the other")
    expect(fits["qwen3-30b-a3b"]).to_contain_text("Needs 61 GB; 12 GB may be used here")
    expect(shown.locator("[data-card='qwen3-4b']")).to_contain_text("Apache-2.0")
    expect(shown.locator("[data-card='smollm2'] .mi-preview-range")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    assert shown.evaluate("n => [...n.querySelectorAll('.mi-tile')].every(t => t.scrollWidth <= t.clientWidth + 1)")


def test_a_strip_is_dragged_before_its_pair_is_loaded(scripted, visit):
    page = visit(scripted)
    before = lam(page)
    card = gallery(page).locator("[data-card='mini']")
    strip = card.locator(".mi-preview-range")
    expect(card.locator(".mi-preview-label")).to_contain_text("Precomputed example")
    seen = []
    for at in ("0", "0.43", "1"):
        strip.evaluate(DRAG, at)
        seen.append((card.locator(".mi-preview-head b").inner_text(), card.locator(".mi-preview-thought").is_visible()))
    assert seen == [("λ 0", False), ("λ 0.4", False), ("λ 1", True)]
    strip.press("Home")
    expect(strip).to_have_attribute("aria-valuetext", "λ 0, wrong")
    strip.press("]")  # a key of Explore: not while the gallery is open
    page.keyboard.press("Escape")
    expect(page.locator(".mi-gallery")).to_be_hidden()
    assert lam(page) == before


def test_a_card_opens_its_pair_and_shows_how_far_that_is(scripted, visit):
    page = visit(scripted)
    page.evaluate("() => { window.asked = []; explore.app.trigger = (name, data) => asked.push([name, data.spec]); }")
    card = gallery(page).locator("[data-card='smollm2']")
    card.get_by_role("button", name="Open").click()
    assert page.evaluate("asked") == [["openpair", "smollm2"]]
    step = {"phase": 3, "of": 5, "text": "Reading 4/68 tensors", "done": 4, "total": 68}
    page.evaluate("step => explore.app.pairs.showLoading(step)", step)
    expect(card.locator(".mi-load")).to_contain_text("3 of 5: Reading 4/68")
    page.evaluate("explore.app.pairs.showLoading({ error: 'This pair needs more.' })")
    expect(card.locator(".mi-refused")).to_have_text("This pair needs more.")


def test_a_pair_of_folders_goes_by_its_short_name(scripted, visit):
    page = visit(scripted)
    own = own_pair(page)
    own.get_by_label("Own pair").fill(f"{MINI}/instruct|{MINI}/thinking")
    own.get_by_role("button", name="Check").click()
    own.get_by_role("button", name="Open this pair").click()
    page.wait_for_url("**pair=**")
    page.wait_for_selector("[data-opened]", state="attached")
    expect(page.locator(".mi-pair b")).to_have_text("instruct | thinking")
    assert MINI not in page.locator(".mi").first.inner_text()
    assert page.evaluate("new URLSearchParams(location.search).get('pair')") == f"{MINI}/instruct|{MINI}/thinking"
