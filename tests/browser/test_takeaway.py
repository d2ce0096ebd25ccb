"""Take away in a browser, on the embedded pair: recipes out and in, a checkpoint, a study and its report, which opens offline."""

import json
import sys
import zipfile
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import until
from tests.servers import free_port, start, stop

EVIL = "<img src=x onerror=window.pwned=1>"
AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")


def studied(home) -> None:
    """A small sweep of a scripted pair in the store of `home`; its name is hostile."""
    from mi_explorer.recipe import Decoding, Recipe
    from mi_explorer.studies.plan import Item, Plan, grid
    from mi_explorer.studies.runner import Runner
    from mi_explorer.studies.store.store import Store
    from tests.fakes import ScriptedEngine, scripted_bench

    items = tuple(Item("sums", f"q{i}", f"What is {i} + 4? {EVIL}", str(i + 4)) for i in range(4))
    with Store.open(home) as store:
        plan = Plan("sums", grid(Recipe(), [0, 0.5, 1], Decoding(cap=200)), 4, 2)
        list(Runner(store, plan, items, lambda pair: scripted_bench(ScriptedEngine()), name=f"sums {EVIL}").run())


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("take")
    studied(folder / "home")
    process = start([sys.executable, "app.py", "--port", str(port), "--home", str(folder / "home")], port, folder)
    yield f"http://127.0.0.1:{port}/", folder
    stop(process)


def violations(page) -> list[str]:
    page.evaluate(AXE)
    found = json.loads(
        page.evaluate(
            "() => axe.run('#takeaway', { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations))"
        )
    )
    return [
        f"{v['id']}: {n['html'][:160]}" for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]
    ]


def taken(visit, address, **more):
    """The tab, opened, with its first recipe."""
    page = visit(address, **more)
    page.evaluate("explore.openTab('takeaway')")
    page.wait_for_selector(".mi-take-code:not(:empty)")
    page.wait_for_selector(".mi-take-studies tr[data-study]")
    return page


def test_a_recipe_follows_explore_and_comes_back(app, visit):
    page = taken(
        visit,
        app[0] + "?lam=0.4&layers=2-5&q=What+is+2+%2B+3%3F&seed=7",
        permissions=["clipboard-read", "clipboard-write"],
    )
    code = page.locator(".mi-take-code")
    expect(code).to_contain_text("lambda: 0.4")
    expect(code).to_contain_text("layers: 2-5")
    page.evaluate("explore.patch({ lam: 0.75, modules: ['mlp'] })")
    expect(code).to_contain_text("lambda: 0.75")
    expect(page.locator(".mi-take-title")).to_contain_text("mlp only")
    page.click("[aria-label='This view as a recipe'] >> text=Copy")
    until(page, "async () => (await navigator.clipboard.readText()).includes('lambda: 0.75')")
    ours = page.evaluate("() => navigator.clipboard.readText()")
    others = {
        "mergekit": "merge_method: linear",
        "python": "import mi_explorer as mi",
        "command": "--lambda=0.75",
        "link": "lam=0.75",
    }
    for form, said in others.items():
        page.click(f"[data-form={form}]")
        expect(code).to_contain_text(said)
    link = code.inner_text()
    page.evaluate("explore.patch({ lam: 0.1, layers: 'all', modules: ['attention', 'mlp'], seed: 0 })")
    page.fill(".mi-take-area", ours)
    page.click(".mi-take-apply")
    expect(page.locator(".mi-take-status")).to_contain_text("The recipe is set in Explore.")
    view = page.evaluate("explore.view()")
    assert (view["lam"], view["layers"], view["modules"], view["seed"]) == (0.75, "2-5", ["mlp"], 0)
    page.fill(".mi-take-area", link)
    page.click(".mi-take-apply")
    page.wait_for_function("() => explore.view().seed === 7 && explore.view().q === 'What is 2 + 3?'")
    page.fill(".mi-take-area", f"lambda: '{EVIL}'")
    page.click(".mi-take-apply")
    expect(page.locator(".mi-take-status[data-kind=error]")).to_contain_text("<img")
    page.evaluate("explore.patch({ method: 'karcher', lam: 0.3 })")
    page.click("[data-form=mergekit]")
    expect(page.locator("[aria-label='This view as a recipe'] .mi-hint")).to_contain_text("only λ = 0.5 can be written")
    assert page.evaluate("window.pwned") is None


def test_a_checkpoint_is_downloaded_and_written(app, visit, tmp_path):
    page = taken(visit, app[0] + "?lam=0.6")
    with page.expect_download() as waiting:
        page.click(".mi-take-zip")
    waiting.value.save_as(tmp_path / "blend.zip")
    with zipfile.ZipFile(tmp_path / "blend.zip") as archive:
        names = {name.split("/")[1] for name in archive.namelist()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= names
    folder = app[1] / "out" / "blend"
    page.fill("[aria-label^='Folder to write']", str(folder))
    page.click("text=Write into this folder")
    words = page.locator("[aria-label='The blend as a checkpoint'] .mi-take-words")
    expect(words).to_contain_text("read back and checked")
    expect(words).to_contain_text("Written to")
    assert names == {p.name for p in folder.iterdir()}
    page.click("text=Write into this folder")  # it is full now
    expect(words).to_contain_text("is not empty")
    page.fill("[aria-label^='Folder to write']", "relative")
    page.click("text=Write into this folder")
    expect(words).to_contain_text("whole path")


def test_a_report_opens_offline_and_shows_its_figures(app, visit, chromium, tmp_path):
    page = taken(visit, app[0] + "?pins=0,1")
    row = page.locator(f"tr[data-study='sums {EVIL}']")
    for pinned in (False, True):
        page.locator(".mi-take-pinned input").set_checked(pinned)
        with page.expect_download() as waiting:
            row.locator("text=Report").click()
        waiting.value.save_as(tmp_path / f"report{pinned}.html")
    page.evaluate("explore.patch({ q: 'Another question?' })")  # what Explore shows is no answer to it
    row.locator("text=Report").click()
    expect(page.locator("[aria-label='Studies as files'] .mi-take-words")).to_contain_text("belong to other settings")
    asked, thrown = [], []
    for pinned in (False, True):
        context = chromium.new_context(offline=True)
        report = context.new_page()
        report.on("request", lambda r: asked.append(r.url))
        report.on("pageerror", lambda e: thrown.append(str(e)))
        report.on("console", lambda m: thrown.append(m.text))
        report.goto((tmp_path / f"report{pinned}.html").as_uri())
        assert report.locator("figure svg").count() == 2
        for i in range(2):
            box = report.locator("figure svg").nth(i).bounding_box()
            assert box["width"] > 400 and box["height"] > 200
        assert report.locator("svg circle").count() >= 12  # three panels of three λ, and the Pareto chart
        expect(report.locator("h1")).to_have_text(f"sums {EVIL}")
        expect(report.locator("body")).to_contain_text("Pinned in Explore" if pinned else "Chosen by rule")
        assert report.locator(".trace").count() == 3
        assert report.evaluate("window.pwned") is None
        assert len(report.pdf()) > 10_000  # it prints
        context.close()
    assert [url for url in asked if not url.startswith("file:")] == [] and len(asked) == 2 and thrown == []


def test_a_study_leaves_and_comes_back(app, visit, tmp_path):
    page = taken(visit, app[0])
    row = page.locator(f"tr[data-study='sums {EVIL}']")
    for form in ("parquet", "csv"):
        with page.expect_download() as waiting:
            row.locator(f"text='{form}'").click()
        waiting.value.save_as(tmp_path / f"again.{form}")
    assert (tmp_path / "again.csv").read_text(encoding="utf-8").count("\n") >= 25
    with page.expect_file_chooser() as waiting:
        page.click("text=Bring in a study")
    waiting.value.set_files(tmp_path / "again.parquet")
    expect(page.locator(".mi-take-taken")).to_contain_text("24 samples (24 of them were here already)")
    expect(page.locator(f"tr[data-study='sums {EVIL} (2)']")).to_contain_text("imported")
    assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)])
def test_access_themes_and_phone(app, visit, dark, width):
    page = taken(visit, app[0] + "?lam=0.4&layers=2-5", dark=dark, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
