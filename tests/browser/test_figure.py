"""What figures and tables share: the colour of a λ as in Python, and sorting."""

import pytest
from playwright.sync_api import Page

from mi_explorer.studies.report import palette
from tests.browser.page_actions import modules


@pytest.fixture
def page(scripted, visit) -> Page:
    return visit(scripted)


def test_a_lambda_has_the_same_colour_in_python_and_on_the_page(page: Page):
    lams = [-0.5, 0, 0.1, 0.33, 0.5, 0.77, 1, 1.5]
    shown = page.evaluate(
        "async ([palette, lams]) => { const { lamColour } = await import(palette); return lams.map((lam) => lamColour(lam)); }",
        [modules(page), lams],
    )
    for lam, text in zip(lams, shown, strict=True):
        theirs = [int(x) for x in text[4:-1].split()]
        ours = [int(palette.lambda_colour(lam)[i : i + 2], 16) for i in (1, 3, 5)]
        assert max(abs(a - b) for a, b in zip(theirs, ours, strict=True)) <= 1  # halves round up there and to even here
    assert palette.lambda_colour(0) == "#0072b2" and palette.lambda_colour(1) == "#d55e00"


def test_a_table_sorts_numbers_by_size_and_blanks_last(page: Page):
    page.evaluate(
        """async ([table, rows]) => {
          const { sortableTable } = await import(table);
          document.body.replaceChildren(sortableTable(["λ", "tokens"], rows, "cells"));
        }""",
        [modules(page), [[0.5, 9], [0, 100], [1, None]]],
    )
    column = lambda: page.locator("tbody td:nth-child(2)").all_inner_texts()  # noqa: E731
    page.click("th:nth-child(2) button")
    assert column() == ["9", "100", ""]
    page.click("th:nth-child(2) button")
    assert column() == ["100", "9", ""] and page.get_attribute("th:nth-child(2)", "aria-sort") == "descending"
