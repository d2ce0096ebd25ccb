"""Access: axe finds nothing serious in our part in either theme, the phone does not overflow, names and states are there."""

import json
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, set_lam

AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")


def violations(page) -> list[str]:
    page.evaluate(AXE)
    found = json.loads(
        page.evaluate("() => axe.run('.mi', { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations))")
    )
    return [
        f"{v['id']}: {n['html'][:160]} {n['failureSummary'][-160:]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(scripted, visit, dark):
    page = visit(scripted, dark=dark)
    assert page.evaluate("() => document.body.classList.contains('dark')") is dark
    page.click("[data-lens=markers]")
    assert violations(page) == []
    page.click("text=Scope")
    assert violations(page) == []
    page.click("text=Method")
    page.click("[aria-label='Keys and help']")
    page.select_option("[aria-label='Merge method']", "ties", force=True)
    assert violations(page) == []


def test_a_phone_has_no_overflow_and_shows_the_blend_first(scripted, visit):
    page = visit(scripted, width=390, height=844, has_touch=True)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    box = pane(page, "blend").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    for fold in ("Scope", "Method", "Decoding"):
        page.click(f"summary >> text={fold}")
        panel = page.locator("details[open] .mi-panel").bounding_box()
        assert panel["x"] >= 0 and panel["x"] + panel["width"] <= 390
    page.keyboard.press("Escape")
    set_lam(page, 0.9)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    rail = page.locator(".mi-range").bounding_box()
    assert rail["x"] >= 0 and rail["x"] + rail["width"] <= 390


def test_streaming_text_is_busy_and_not_spoken(scripted, visit):
    page = visit(scripted)
    assert page.locator(".mi [aria-live]").count() == 0 and page.locator(".mi-pane [role=status]").count() == 0
    assert page.locator(".mi-status[role=status]").count() == 1
    page.fill(".mi-prompt", "echo: " + "one two three " * 300)
    page.click(".mi-primary")
    expect(pane(page, "thinking")).to_have_attribute("aria-busy", "true")
    page.click(".mi-stop")
    expect(pane(page, "thinking")).to_have_attribute("aria-busy", "false")


def test_the_theme_switch_repaints(scripted, visit):
    page = visit(scripted)
    ground = "() => getComputedStyle(document.querySelector('.mi-pane')).backgroundColor"
    light = page.evaluate(ground)
    page.click("[aria-label='Switch between light and dark']")
    assert page.evaluate(ground) != light
