"""The Search tab on the embedded pair: the precomputed search, its recipes and profile, and a small search from form to frontier."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.page_actions import begin_search

POINT = "#search-candidates .js-plotly-plot"


def opened(visit, app, **more):
    """The tab, its figures drawn."""
    page = visit(f"{app}?tab=search", **more)
    page.wait_for_selector("#search-candidates .main-svg", state="attached")
    return page


def test_the_precomputed_search_its_profile_and_a_recipe_in_explore(app, visit):
    page = opened(visit, app)
    expect(page.locator("#search-bar .mi-verdict")).to_contain_text("etter than the line")
    rows = page.locator("#search-recipes tbody tr")
    expect(rows).to_have_count(4)
    rows.filter(has_text="no better").last.click()
    bars = page.locator("#search-recipes [role=slider]")
    expect(bars).to_have_count(6)
    title = page.locator("#search-recipes .mi-profile-title")
    measured = title.text_content()
    bars.nth(2).press("Home")
    bars.nth(2).press("ArrowUp")
    expect(title).to_contain_text("Edited by hand")
    expect(bars.nth(2)).to_have_attribute("aria-valuenow", "0.05")
    box = bars.nth(4).locator(".mi-profile-well").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 2)  # the top of the bar
    expect(bars.nth(4)).to_have_attribute("aria-valuenow", "1")
    page.click("#search-recipes >> text=Open in Explore")
    expect(page.locator("#tabs [data-tab-id=explore]")).to_have_attribute("aria-selected", "true")
    view = page.evaluate("() => explore.view()")
    assert view["method"] == "submodule" and view["params"]["mlp.2"] == 0.05 and view["params"]["attention.4"] == 1
    page.click("#tabs [data-tab-id=search]")
    page.click("#search-recipes >> text=Back to the measured one")
    expect(title).to_have_text(measured)
    page.click("#search-recipes >> text=Take away…")
    expect(page.locator("#tabs [data-tab-id=takeaway]")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#takeaway .mi-take-code")).to_contain_text("submodule")
    page.click("#tabs [data-tab-id=search]")
    page.evaluate(  # a click on the first point of the line: λ 0 plain
        """([id]) => { const plot = document.querySelector(id);
        const trace = plot.data.findIndex((t) => t.name.startsWith("plain"));
        plot.emit("plotly_click", { points: [{ customdata: plot.data[trace].customdata[0], curveNumber: trace }] }); }""",
        [POINT],
    )
    expect(page.locator("#tabs [data-tab-id=explore]")).to_have_attribute("aria-selected", "true")
    assert page.evaluate("() => [explore.view().method, explore.view().lam]") == ["linear", 0]


def test_a_small_search_is_run_stopped_and_gone_on_with(app, visit):
    page = opened(visit, app)
    begin_search(page)
    expect(page.locator("#search-bar [role=status]")).to_contain_text("evaluations", timeout=120_000)
    page.wait_for_function(
        f"() => (document.querySelector('{POINT}')?.data || []).some((t) => t.name === 'frontier so far')",
        timeout=120_000,
    )
    page.click("#search-stop")
    expect(page.locator("#search-bar [role=status]")).to_contain_text("Stopped", timeout=60_000)
    expect(page.locator("#search-recipes h3")).to_contain_text("frontier so far")
    expect(page.locator("#search-resume")).to_be_visible()


def test_search_tab_in_the_dark_on_a_phone(app, visit):
    page = opened(visit, app, dark=True, width=390, height=844)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    found = Axe().run(page, context={"include": [["#search-bar"], ["#search-recipes"], [".mi-figure"]]})
    assert [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")] == []
