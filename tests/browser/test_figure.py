"""What the figures' script computes, in a browser: the colour of a λ as in Python, CSV that quotes and disarms, sorting."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from mi_explorer.ui import plotly_component

WEB = Path(__file__).resolve().parents[2] / "assets" / "web"


@pytest.fixture
def blank(chromium: Browser):
    page = chromium.new_page()
    for name in ("core", "figure"):
        page.add_script_tag(content=(WEB / f"{name}.js").read_text(encoding="utf-8"))
    yield page
    page.close()


def test_a_lambda_has_the_same_colour_in_python_and_on_the_page(blank: Page):
    lams = [-0.5, 0, 0.1, 0.33, 0.5, 0.77, 1, 1.5]
    for lam, text in zip(lams, blank.evaluate("lams => lams.map(MI.colour)", lams), strict=True):
        theirs = [int(x) for x in text[4:-1].split()]
        ours = [int(plotly_component.lambda_colour(lam)[i : i + 2], 16) for i in (1, 3, 5)]
        assert max(abs(a - b) for a, b in zip(theirs, ours, strict=True)) <= 1  # halves round up there and to even here
    assert plotly_component.lambda_colour(0) == "#0072b2" and plotly_component.lambda_colour(1) == "#d55e00"


def test_csv_quotes_and_disarms_formulas(blank: Page):
    rows = [["=1+1", -2.5], ['say "hi"', None], ["-3", "@x"]]
    text = blank.evaluate("rows => MI.csv(['a', 'b,c'], rows)", rows)
    assert text == 'a,"b,c"\r\n\'=1+1,-2.5\r\n"say ""hi""",\r\n-3,\'@x\r\n'


def test_a_table_sorts_numbers_by_size_and_blanks_last(blank: Page):
    blank.evaluate(
        "rows => document.body.append(MI.table(['λ', 'tokens'], rows, 'cells'))", [[0.5, 9], [0, 100], [1, None]]
    )
    column = lambda: blank.locator("tbody td:nth-child(2)").all_inner_texts()  # noqa: E731
    blank.click("th:nth-child(2) button")
    assert column() == ["9", "100", ""]
    blank.click("th:nth-child(2) button")
    assert column() == ["100", "9", ""] and blank.get_attribute("th:nth-child(2)", "aria-sort") == "descending"
