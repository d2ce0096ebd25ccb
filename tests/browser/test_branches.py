"""Branches on the page, on the embedded pair: from a word, from a stop, by keyboard, on a phone; what they share is shaded."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, until
from tests.browser.test_access import violations
from tests.browser.test_probes_on_page import probed

ENDED = "id => { const b = explore.app.branches.current().find(b => b.id === id); return Boolean(b) && !['queued', 'running'].includes(b.frame.state) }"
BRANCH = "id => explore.app.branches.current().find(b => b.id === id)?.frame"
TOKENS, LAM = "[aria-label='Tokens that are kept']", "[aria-label='λ to go on at']"


def go_on(page, name, token, lam):
    """Branch from a pane's trace by its card; the id of the new pane."""
    before = page.evaluate("() => explore.app.branches.current().map(b => b.id)")
    pane(page, name).get_by_role("button", name="Branch", exact=True).click()
    page.fill(TOKENS, str(token))
    page.fill(LAM, str(lam))
    page.keyboard.press("Enter")
    expect(page.locator(".mi-card")).to_have_count(0)
    (new,) = [x for x in page.evaluate("() => explore.app.branches.current().map(b => b.id)") if x not in before]
    until(page, ENDED, new)
    return new


def test_a_branch_stands_beside_its_trace_and_shades_what_it_shares(app, visit):
    page = visit(app)
    asked = []
    page.on("request", lambda r: asked.append(json.loads(r.post_data)) if r.url.endswith("/mi/run") else None)
    whole = page.evaluate("() => explore.app.strips.current().frames['1']")
    new = go_on(page, "thinking", 100, 0.3)
    assert [(r["kind"], r["source"], r["at"], r["lam"]) for r in asked] == [
        ("branch", {"run": "demostrip", "id": "1"}, 100, 0.3)
    ]
    order = page.evaluate("() => [...document.querySelectorAll('.mi-panes .mi-pane')].map(p => p.dataset.pane)")
    assert order == ["instruct", "blend", "thinking", new]
    expect(pane(page, new).locator(".mi-fact-lineage")).to_have_text("from λ 1 at token 100")
    expect(pane(page, new).locator(".mi-lam")).to_have_text("λ 0.3")
    frame = page.evaluate(BRANCH, new)
    assert frame["shared"]["tokens"] == 100
    shaded = "".join(pane(page, new).locator(".mi-shown .mi-shared").all_text_contents())
    assert shaded and whole["thought"].startswith(frame["thought"][: frame["shared"]["at"]])
    assert re.sub(r"\s", "", shaded) == re.sub(r"\s", "", frame["thought"][: frame["shared"]["at"]])
    # its own λ and seed: the trace again
    same = go_on(page, "thinking", 100, 1)
    again = page.evaluate(BRANCH, same)
    assert (again["thought"], again["answer"]) == (whole["thought"], whole["answer"])
    # a branch of a branch, which is probed and closed
    second = go_on(page, new, 101, 0.9)
    expect(pane(page, second).locator(".mi-fact-lineage")).to_have_text("from λ 0.3 at token 101")
    pane(page, second).locator(".mi-probe-button", has_text="Probe").click()
    expect(pane(page, second).locator(".mi-probe-dot").first).to_be_visible()
    page.evaluate("() => explore.openTab('curves')")
    page.evaluate("() => explore.openTab('explore')")
    expect(pane(page, second).locator(".mi-probe-dot").first).to_be_visible()
    pane(page, new).get_by_role("button", name="Close this branch").click()
    expect(pane(page, new)).to_have_count(0)
    expect(pane(page, second)).to_have_count(1)


def test_a_click_on_a_word_opens_its_token_under_every_lens(app, visit):
    page = visit(app)
    text = pane(page, "thinking").locator(".mi-shown .mi-thought-text")
    for lens in ("plain", "markers"):
        page.click(f"[data-lens={lens}]")
        text.click(position={"x": 40, "y": 12})
        expect(page.locator(".mi-card")).to_be_visible()
        token = int(page.input_value(TOKENS))
        assert 0 < token < 30
        expect(pane(page, "thinking").locator(".mi-goes-on")).to_have_count(1)
        page.get_by_label("One token on").click()
        assert int(page.input_value(TOKENS)) == token + 1
        page.keyboard.press("Escape")
        expect(page.locator(".mi-card")).to_have_count(0)
        expect(pane(page, "thinking").locator(".mi-goes-on")).to_have_count(0)
    page.click("[data-lens=writer]")
    word = pane(page, "thinking").locator(".mi-shown .mi-tok").nth(20)
    word.click()
    assert page.input_value(TOKENS) == word.get_attribute("data-t")
    expect(page.locator(".mi-card-side")).to_have_count(2)  # what both parents would say there
    expect(pane(page, "thinking").locator(".mi-tok-picked")).to_have_text(word.inner_text())


def test_by_keyboard_alone(app, visit):
    page = visit(app)
    page.locator("[data-pane=thinking] .mi-scroll.mi-shown").focus()
    page.keyboard.press("b")
    expect(page.locator(LAM)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator(TOKENS)).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("60")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("0,2")
    page.keyboard.press("Enter")
    until(page, ENDED, "branch1")
    expect(pane(page, "branch1").locator(".mi-fact-lineage")).to_have_text("from λ 1 at token 60")
    assert page.evaluate("() => explore.app.branches.current()[0].lam") == 0.2
    page.keyboard.press("b")  # the focus is back in the trace
    page.fill(TOKENS, "99999")
    page.keyboard.press("Enter")
    expect(page.locator(".mi-card-note")).to_contain_text("Choose a whole number")
    page.fill(TOKENS, "10")
    page.fill(LAM, "much")
    page.keyboard.press("Enter")
    expect(page.locator(".mi-card-note")).to_contain_text("λ is a number")
    page.fill(LAM, "9")
    page.keyboard.press("Enter")
    expect(page.locator(".mi-status")).to_contain_text("λ")
    expect(page.locator(".mi-status")).to_have_attribute("data-kind", "error")
    expect(page.locator(".mi-panes .mi-pane")).to_have_count(4)


def test_six_branches_are_all_and_the_seventh_is_refused_with_a_sentence(app, visit):
    page = visit(app + "?cap=40")
    for i in range(6):
        go_on(page, "instruct", i, 0.5)
    pane(page, "instruct").get_by_role("button", name="Branch", exact=True).click()
    page.keyboard.press("Enter")
    expect(page.locator(".mi-card-note")).to_contain_text("At most 6 branches")
    assert page.evaluate("() => explore.app.branches.current().length") == 6


def test_branches_belong_to_their_strip_and_come_back_with_it(app, visit):
    page = visit(app + "?cap=30")
    new = go_on(page, "instruct", 5, 0.5)
    page.fill(".mi-prompt", "What is 2 + 3?")
    page.click(".mi-primary")
    expect(page.locator(".mi-status")).to_contain_text("traces in")
    expect(pane(page, new)).to_have_count(0)
    page.click("text=Previous strip")
    expect(pane(page, new)).to_have_count(1)


def test_on_a_phone_the_card_fits_and_the_branch_is_swiped_to(app, visit):
    page = visit(app + "?lam=1", width=390, height=844, has_touch=True, is_mobile=True)
    page.locator("[data-pane=blend] .mi-probe-button", has_text="Branch").tap()
    box = page.locator(".mi-card").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.fill(LAM, "0.4")
    page.get_by_role("button", name="Go on", exact=True).tap()
    until(page, ENDED, "branch1")
    expect(pane(page, "branch1").locator(".mi-lam")).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_in_probes_branches_and_the_card(app, visit, dark):
    page = visit(app, dark=dark)
    go_on(page, "thinking", 60, 0.4)
    probed(page)
    pane(page, "thinking").locator(".mi-probe-dot").nth(3).click()
    pane(page, "thinking").get_by_role("button", name="Branch", exact=True).click()
    expect(page.locator(".mi-card")).to_be_visible()
    assert violations(page) == []
