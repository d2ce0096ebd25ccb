"""Ablations and Weights on the embedded pair: each ablation at small size, stop, a cell of the weights into Explore's scope."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.page_actions import until

ENDED = "() => /^(Done|Stopped)/.test(document.querySelector('#ablation-board .mi-hint').textContent)"


def tab(visit, app, name: str, **more):
    """A page on one of the tabs, its components filled."""
    page = visit(app, **more)
    page.click(f"#tabs [data-tab-id={name}]")
    page.wait_for_selector(f"#{'weights-heat' if name == 'weights' else 'ablation-figure'} .main-svg", state="attached")
    return page


def shown(page, host: str) -> dict:
    """What plotly holds of a figure: per trace its marks, heat map or names."""
    return page.evaluate(
        "id => { const p = document.querySelector(`#${id} .mi-plot`); return { traces: p.data.length, names: p.data.map(t => t.name), "
        "y: p.data[0].y, z: p.data[0].z, custom: p.data[0].customdata }; }",
        host,
    )


def resize(page, **sizes) -> None:
    for name, value in sizes.items():
        page.fill(f"#ablation-{name} input", str(value))
        page.keyboard.press("Tab")


def test_a_cell_of_the_weights_becomes_the_scope_in_explore(app, visit):
    page = tab(visit, app, "weights")
    expect(page.locator("#weights-board .mi-verdict")).not_to_be_empty()
    drawn = shown(page, "weights-heat")
    assert (
        drawn["y"][:3] == ["attention", "MLP", "norms"] and len(drawn["z"][0]) == 7 and drawn["custom"][1][3] == "mlp|3"
    )
    page.click("#weights-measure >> text=Relative L2")
    page.wait_for_function(
        "z => JSON.stringify(document.querySelector('#weights-heat .mi-plot').data[0].z) !== z",
        arg=json.dumps(drawn["z"]),
    )
    page.fill("#weights-board [type=search]", "layers.4 q_proj")
    expect(page.locator("#weights-board [role=status]").nth(1)).to_have_text("1 of 68 tensors")
    box = page.locator("#weights-heat .main-svg .nsewdrag").first.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 3.5 / 7, box["y"] + box["height"] * 1.5 / 4)  # MLP of layer 3
    expect(page.locator(".mi-control-value").first).to_have_text("layers 3, MLP")
    assert page.locator("#tabs [data-tab-id=explore]").get_attribute("aria-selected") == "true"
    page.click("#tabs [data-tab-id=weights]")
    page.locator("#weights-board tbody tr").first.press("Enter")  # the tensor that was searched for, by keyboard
    expect(page.locator(".mi-control-value").first).to_have_text("layers 4, attention")


def test_ablations_at_small_size_beside_the_paper(app, visit):
    """Layers, backbone (a second pair is opened for it) and methods; modules and decoding run through the handlers elsewhere."""
    page = tab(visit, app, "ablations")
    for kind, asks in (("Layers", "Which third"), ("Backbone", "in its place"), ("Methods", "merge methods")):
        page.click(f"#ablation-kind >> text={kind}")
        expect(page.locator("#ablation-board .mi-verdict")).to_contain_text(
            asks, timeout=60_000
        )  # the kind's own defaults are set
        resize(page, questions=2, samples=1, cap=24)
        page.wait_for_function(
            "() => / × 2 questions × 1 samples = /.test(document.querySelector('#ablation-cost textarea').value)"
        )
        page.click("#ablation-run")
        page.wait_for_function(ENDED)
        board = page.locator("#ablation-board")
        expect(board.locator(".mi-hint").first).to_contain_text("Done in")
        expect(board.locator(".mi-refused")).to_be_hidden()
        expect(board).to_contain_text("2 questions × 1 samples")
        expect(board).to_contain_text("Published: arXiv 2510.10977")
        if kind != "Methods":  # the figure comes after the words
            bars = {"Layers": 9, "Backbone": 2}[kind]
            until(page, f"() => document.querySelector('#ablation-figure .mi-plot').data[0].y.length === {bars}")
        assert shown(page, "ablation-figure")["names"][:2] == ["measured here", "published"]
        assert board.locator("tbody tr").count() >= 3


def test_a_profile_of_the_blocks_is_blended_in_explore(app, visit):
    page = tab(visit, app, "weights")
    page.click("text=Find λ* per block")
    page.wait_for_selector("#weights-profile .main-svg", state="attached")
    expect(page.locator("#weights-maker")).to_contain_text("responses of each parent")
    page.click("text=Blend with this profile in Explore")
    expect(page.locator("#tabs [data-tab-id=explore]")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".mi-control-value").nth(1)).to_have_text("Submodule profile")
    assert "mlp.3" in page.evaluate("() => explore.view().params") and page.evaluate("() => explore.view().lam") == 1


def test_a_run_goes_on_without_its_tab_and_stops_when_asked(app, visit):
    page = tab(visit, app, "ablations")
    resize(page, questions=200, samples=2)
    page.wait_for_function("() => document.querySelector('#ablation-cost textarea').value.includes('3,600 samples')")
    page.click("#ablation-run")
    page.wait_for_function("() => document.querySelector('#ablation-board .mi-hint').textContent.startsWith('Running')")
    page.close()
    page = tab(visit, app, "ablations")  # another visit finds it
    page.wait_for_function("() => document.querySelector('#ablation-board .mi-hint').textContent.startsWith('Running')")
    expect(page.locator("#ablation-board progress")).to_be_visible()
    page.click("#ablation-stop")
    page.wait_for_function(ENDED)
    expect(page.locator("#ablation-board .mi-hint").first).to_contain_text("Stopped; run it again to go on")


@pytest.mark.parametrize(("name", "dark"), [("ablations", False), ("weights", True)])
def test_access_and_phone(app, visit, name, dark):
    page = tab(visit, app, name, dark=dark, width=390, height=844)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    if name == "ablations":  # panels one below the other, and side by side again when the phone is turned
        drawn = "document.querySelector('#ablation-figure .js-plotly-plot')._fullLayout"
        domains = f"() => ['xaxis', 'xaxis2', 'xaxis3'].map((k) => {drawn}[k].domain[0])"
        page.wait_for_selector("#ablation-figure .main-svg", state="attached")
        assert page.evaluate(domains) == [0, 0, 0]
        page.set_viewport_size({"width": 844, "height": 390})
        page.wait_for_function(f"() => ({domains})()[2] > 0.5")
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_function(f"() => ({domains})()[2] === 0")
    found = Axe().run(page, context={"include": [[".mi-weights"], [".mi-ablation"], [".mi-figure"]]})
    assert [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")] == []
