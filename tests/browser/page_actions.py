"""How a test acts on the page and reads it: λ, panes, the gallery, a run, a search."""

import time
from typing import Any

from playwright.sync_api import Page

RUN, STOP = ".mi-primary", ".mi-stop"


def modules(page: Page) -> str:
    """The address of the page's modules in one script, for an `import()` in it."""
    return page.locator("link[rel=modulepreload]").first.evaluate("link => link.href")


def lam(page: Page) -> float:
    """The λ on the rail."""
    return float(page.input_value(".mi-range"))


def set_lam(page: Page, value: float) -> None:
    """Move the rail as a drag does: input events of the native range."""
    page.evaluate(
        "v => { const r = document.querySelector('.mi-range'); r.value = v; r.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )


def pane(page: Page, name: str) -> Any:
    """A pane by id: "instruct", "blend", "thinking", "pin0.3"."""
    return page.locator(f"[data-pane='{name}']")


def gallery(page: Page) -> Any:
    """The gallery of pairs, opened, with its cards there: what stands below them has its place then."""
    page.click(".mi-head-tools >> text=Pairs")
    page.wait_for_selector(".mi-gallery [data-card]")
    return page.locator(".mi-gallery")


def own_pair(page: Page) -> Any:
    """The part of the gallery, opened, that takes a pair of one's own."""
    return gallery(page).locator(".mi-own")


def until(page: Page, script: str, arg: Any = None, seconds: float = 20) -> None:
    """Wait until what a function in the page promises is true. (`wait_for_function` takes the promise itself for true.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(script, arg):
        assert time.monotonic() < end, f"not within {seconds} s: {script}"
        page.wait_for_timeout(50)


def begin_search(page: Page) -> None:
    """Begin a search on the tab that takes longer than a test: 300 evaluations of 8 questions."""
    page.click("#search-setup >> text=Set up a search")
    for field, value in (("evaluations", 300), ("questions", 8)):
        page.fill(f"#search-{field} input", str(value))
        page.keyboard.press("Tab")
    page.wait_for_function("() => /At most .* samples/.test(document.querySelector('#search-cost textarea').value)")
    page.click("#search-run")


def finished(page: Page) -> None:
    """Wait until a run has ended."""
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && !document.querySelector('.mi-primary').disabled"
    )
