"""Branches and probes in the address: a link offers to make them again, and they are the same; hostile ones end in a sentence."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, until
from tests.browser.test_branches import ENDED, go_on
from tests.browser.test_probes_on_page import VALUES, probed
from tests.ui.fake import HOSTILE

OFFER, MAKE = ".mi-offer", ".mi-offer-make"
FRAMES = "() => explore.app.branches.current().map(({ path, frame }) => [path, frame.state, frame.thought, frame.answer, frame.check])"
DONE = "id => explore.app.probes.of(explore.app.board.traceKey(id))?.state === 'done'"
POINTS = "id => explore.app.probes.of(explore.app.board.traceKey(id))?.points"


def linked(page, **want):
    """The address once it holds so many branches and probes."""
    until(
        page,
        "w => { const q = new URLSearchParams(location.search); const n = k => (q.get(k) || '').split(';').filter(Boolean).length;"
        " return n('branches') === w.branches && n('probes') === w.probes }",
        want,
    )
    return page.url


def test_a_link_makes_the_same_branches_and_probes_again(app, visit):
    page = visit(app)
    first = go_on(page, "thinking", 60, 0.4)
    second = go_on(page, first, 70, 0.9)
    points = probed(page)["points"]
    pane(page, second).locator(".mi-probe-button >> nth=0").click()
    until(page, DONE, second)
    frames, of_branch = page.evaluate(FRAMES), page.evaluate(VALUES, second)["points"]
    url = linked(page, branches=2, probes=2)
    assert parse_qs(urlsplit(url).query)["branches"][0].startswith("1~60:0.4~")
    again = visit(url)
    expect(again.locator(OFFER)).to_contain_text("2 branches and probes of 2 traces")
    assert again.evaluate(FRAMES) == [], "nothing runs before somebody wants it"
    again.click(MAKE)
    expect(again.locator(OFFER)).to_be_hidden()
    for name in ("branch1", "branch2"):
        until(again, ENDED, name)
    assert again.evaluate(FRAMES) == frames
    for name in ("thinking", "branch2"):
        until(again, DONE, name)
    assert (again.evaluate(POINTS, "thinking"), again.evaluate(POINTS, "branch2")) == (points, of_branch)
    order = again.evaluate("() => [...document.querySelectorAll('.mi-panes .mi-pane')].map(p => p.dataset.pane)")
    assert order == ["instruct", "blend", "thinking", "branch1", "branch2"]
    assert linked(again, branches=2, probes=2) == url


def test_a_link_of_another_question_runs_it_first(app, visit):
    query = {"cap": "200", "q": "What is 14 + 3 * 6 - 9?", "gold": "23", "branches": "1~30:0.5", "probes": "1/4;b1/3"}
    page = visit(app + "?" + urlencode(query))
    expect(page.locator(OFFER)).to_contain_text("1 branch and probes of 2 traces")
    page.click(MAKE)
    until(page, ENDED, "branch1", 60)
    for name in ("thinking", "branch1"):
        until(page, DONE, name, 60)
    assert len(page.evaluate(POINTS, "thinking")) == 4 and page.evaluate(POINTS, "branch1")
    expect(pane(page, "branch1").locator(".mi-fact-lineage")).to_have_text("from λ 1 at token 30")
    page.fill(".mi-prompt", "What is 2 + 3?")
    page.locator(".mi-gold").focus()
    linked(page, branches=0, probes=0)  # they are not of that question


def test_who_leaves_them_has_none_of_them_in_the_address(app, visit):
    page = visit(app + "?branches=1~30:0.5&probes=1/4")
    page.locator(OFFER).get_by_role("button", name="Leave them").click()
    expect(page.locator(OFFER)).to_be_hidden()
    linked(page, branches=0, probes=0)


def test_other_tokens_than_the_links_are_said(app, visit):
    page = visit(app + "?branches=1~30:0.5~99-0123456789ab")
    page.click(MAKE)
    until(page, ENDED, "branch1")
    expect(page.locator(".mi-status")).to_contain_text("not those that the link speaks of")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("branches", HOSTILE[0]),
        ("branches", "1~9:0.5;" * 7),
        ("branches", "1~9:hint=" + HOSTILE[1]),
        ("branches", "1~40:0.5,20:0.1"),
        ("probes", HOSTILE[4]),
        ("probes", "1/99999"),
        ("probes", "__proto__/3"),
    ],
)
def test_a_bad_link_ends_in_a_sentence(app, visit, key, text):
    page = visit(app + "?" + urlencode({"v": "1", key: text}))
    expect(page.locator(".mi-status")).to_contain_text(f"“{key}” in the address was ignored")
    expect(page.locator(OFFER)).to_be_hidden()
    assert page.evaluate("() => [window.pwned, document.querySelectorAll('.mi script, .mi img').length]") == [None, 0]


def test_a_link_whose_traces_are_not_there_says_so(app, visit):
    page = visit(app + "?branches=1~99999:0.5&probes=0.77/3;b6/3")
    page.click(MAKE)
    expect(page.locator(".mi-status")).to_have_attribute("data-kind", "error")
    expect(page.locator(".mi-panes .mi-pane")).to_have_count(3)
    linked(page, branches=0, probes=0)
