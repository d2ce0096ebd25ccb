"""Hostile text in the question, the model's output, the task file, the recipe and the address: it shows as text and runs nothing."""

from urllib.parse import quote, urlencode

import pytest
from conftest import pane
from fake import HOSTILE
from playwright.sync_api import expect


def harmless(page) -> None:
    assert page.evaluate(
        "() => [window.pwned, document.querySelectorAll('.mi script, .mi img, .mi base, .mi style, .mi svg:not(.mi-leaders)').length]"
    ) == [None, 0]


def finished(page) -> None:
    page.wait_for_function("() => document.querySelector('.mi-stop').hidden && !document.querySelector('.mi-primary').disabled")


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
    assert page.evaluate("() => document.querySelector('[data-pane=thinking] .mi-shown .mi-answer-text').textContent") == text
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
    page = visit(scripted + "?" + urlencode({"v": "1", key: " ".join(HOSTILE)}, quote_via=quote))
    page.wait_for_timeout(250)
    if key == "q":
        assert page.input_value(".mi-prompt") == " ".join(HOSTILE)
    else:
        expect(page.locator(".mi-status")).to_contain_text("<script>")
    harmless(page)


def test_a_megabyte_of_output_leaves_the_page_alive(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "flood")
    page.fill(".mi-box", "1")
    page.keyboard.press("Enter")
    page.click(".mi-primary")
    page.wait_for_timeout(1500)
    page.click(".mi-stop")
    finished(page)
    assert len(pane(page, "thinking").locator(".mi-shown .mi-answer-text").inner_text()) > 20_000
    page.locator(".mi-range").focus()
    page.keyboard.press("ArrowLeft")
    assert page.input_value(".mi-range") == "0.99"
    harmless(page)
