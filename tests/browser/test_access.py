"""Access: axe finds nothing serious in our part in either theme, the phone does not overflow, names and states are there."""

import json
from pathlib import Path

import axe_playwright_python
import pytest
from conftest import pane, set_lam
from playwright.sync_api import expect

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
    assert page.locator(".mi [aria-live]").count() == 0 and page.locator(".mi [role=status]").count() == 1
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


def test_the_computing_scripts_by_themselves(chromium):
    page = chromium.new_page()
    for name in ("core", "address", "paint", "rail", "bars", "knobs"):
        page.add_script_tag(path=str(Path(__file__).resolve().parents[2] / "assets" / "web" / f"{name}.js"))
    js = page.evaluate
    assert (
        js("MI.layersText([0,1,2,5], 6)") == "0-2,5"
        and js("MI.layersText([0,1,2], 3)") == "all"
        and js("MI.layersText([], 3)") == "none"
    )
    assert (
        js("MI.layersOf('5, 0-2', 6)") == [0, 1, 2, 5]
        and js("MI.layersOf('3-2', 6)") is None
        and js("MI.layersOf('6', 6)") is None
    )
    assert js("MI.pieces('abcdef', [[1,4,'x'],[3,9,'y']])") == [
        ["a", "", 0],
        ["bc", "x", 1],
        ["d", "x y", 3],
        ["ef", "y", 4],
    ]
    assert js("MI.pieces('ab', [], [[1]])") == [["a", "", 0], ["b", "", 1]]
    assert js("MI.diff('the cat sat down', 'the dog sat')") == [[4, 7], [12, 16]]
    assert js("[MI.parting('abc','abd'), MI.parting('a','a'), MI.parting('ab','a')]") == [2, None, 1]
    assert js("[0, 7, 11, 108, 260, 4000].map(MI.nice)") == [10, 10, 15, 150, 300, 4000]
    assert js("[MI.step(.43, 1, []), MI.step(.4, -1, []), MI.step(1, 1, []), MI.step(.4, 1, [{lam:0},{lam:.47}])]") == [
        0.5,
        0.3,
        None,
        0.47,
    ]
    assert js("[MI.lam(0.1+0.2), MI.lam(1), MI.lam(-0.25)]") == ["0.3", "1", "-0.25"]
    assert js("[MI.colour(0), MI.colour(1), MI.colour(7)]") == ["rgb(0 114 178)", "rgb(213 94 0)", "rgb(213 94 0)"]
    assert js("MI.nearest([{lam:0},{lam:.4},{lam:.5}], .45).lam") == 0.4  # a tie goes to the smaller λ
    assert js("MI.span([0.5, 1.2, -0.1])") == [-0.1, 1.2]
    page.close()
