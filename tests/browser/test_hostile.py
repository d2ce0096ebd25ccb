"""Hostile text in the question, the model's output, the task file, the recipe and the address: it shows as text and runs nothing."""

import re
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, set_lam
from tests.ui.fake import HOSTILE


def harmless(page) -> None:
    assert page.evaluate(
        "() => [window.pwned, document.querySelectorAll('.mi script, .mi img, .mi base, .mi style, .mi svg:not(.mi-leaders, .mi-spark)').length]"
    ) == [None, 0]


def finished(page) -> None:
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && !document.querySelector('.mi-primary').disabled"
    )


def test_the_corpus_in_question_and_output_shows_as_text(scripted, visit):
    page = visit(scripted)
    text = " ".join(HOSTILE)
    page.fill(".mi-prompt", "echo: " + text)
    page.fill(".mi-gold", HOSTILE[1])
    page.click(".mi-primary")
    finished(page)
    shown = "[data-pane=thinking] .mi-shown .mi-thought-text, [data-pane=thinking] .mi-shown .mi-answer-text"
    words = page.evaluate("q => [...document.querySelectorAll(q)].map(n => n.textContent)", shown)
    assert words == [text, text]
    for lens in ("markers", "writer", "entropy", "plain"):
        page.click(f"[data-lens={lens}]")
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("d")
    assert (
        page.evaluate("() => document.querySelector('[data-pane=thinking] .mi-shown .mi-answer-text').textContent")
        == text
    )
    harmless(page)


def test_a_hostile_task_file_shows_as_text(scripted, visit):
    page = visit(scripted)
    chip = page.locator(".mi-example").nth(3)
    assert chip.text_content() == HOSTILE[1]
    chip.click()
    assert page.input_value(".mi-prompt") == "echo: " + HOSTILE[1] and page.input_value(".mi-gold") == HOSTILE[1]
    harmless(page)


@pytest.mark.parametrize("key", ["q", "method", "layers", "pair", "lens", "params"])
def test_a_hostile_address_shows_as_text(scripted, visit, key):
    text = " ".join(HOSTILE) * (8 if key == "q" else 1)
    page = visit(scripted + "?" + urlencode({"v": "1", key: text}, quote_via=quote))
    page.wait_for_timeout(250)
    if key == "q":
        assert page.input_value(".mi-prompt") == text
    else:
        expect(page.locator(".mi-status")).to_contain_text("<script>")
    harmless(page)


@pytest.mark.parametrize("part", ["question", "answer"])
def test_a_megabyte_typed_is_refused_with_a_word(scripted, visit, part):
    page = visit(scripted)
    text = " ".join(HOSTILE)
    if part == "question":
        page.fill(".mi-prompt", text * (1_000_000 // len(text)))
        page.click(".mi-primary")
        expect(page.locator(".mi-status")).to_have_text(
            re.compile(r"The question has 1?\d{3},\d{3} characters; at most 20,000 are allowed")
        )
    else:
        page.evaluate("x => explore.patch({ gold: x.repeat(1e6 / x.length) })", text)
        page.click(".mi-primary")
        expect(page.locator(".mi-status")).to_have_text("The known answer may have at most 500 characters.")
    expect(page.locator(".mi-primary")).to_be_enabled()
    page.wait_for_timeout(400)
    assert len(page.url) < 300  # neither goes into the address
    harmless(page)


def test_a_megabyte_of_output_comes_through_and_leaves_the_page_alive(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "flood")
    page.fill(".mi-box", "1")
    page.keyboard.press("Enter")
    page.click(".mi-primary")
    expect(pane(page, "thinking").locator(".mi-shown .mi-more")).to_be_visible()
    set_lam(page, 0.99)  # while it streams
    finished(page)
    body = pane(page, "thinking").locator(".mi-shown .mi-answer-text")
    assert len(body.text_content()) == 60_000
    more = pane(page, "thinking").locator(".mi-shown .mi-more")
    whole = "".join(f"<b>{i}</b>" + "x" * 20_000 + " " for i in range(52)).strip()
    assert more.text_content() == f"Show all {len(whole):,} characters" and len(whole) > 1_000_000
    more.click()
    expect(more).to_be_hidden()
    assert body.text_content() == whole
    page.locator(".mi-range").focus()
    page.keyboard.press("ArrowLeft")
    assert page.input_value(".mi-range") == "0.98"
    harmless(page)
