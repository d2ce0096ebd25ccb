"""The Curves tab in a browser on the embedded pair: a sweep that is stopped and goes on after a restart, a point, a trace.

Nothing here depends on what the models say.
"""

import json
import re
import sys

import pytest
from playwright.sync_api import expect

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.browser.test_access import AXE
from tests.fakes import scripted_bench
from tests.servers import free_port, start, stop

LONG = 90_000  # milliseconds: servers start, chart scripts load and sweeps run on a machine that may be busy
PUBLISHED = "Qwen3-4B on AIME25, arXiv 2510.10977"


class Server:
    """`python app.py` on a home folder of its own; can be ended and started again."""

    def __init__(self, folder) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "app.py", "--port", str(self.port), "--home", str(self.folder / "home")]
        self.process = start(command, self.port, self.folder)

    def stop(self) -> None:
        stop(self.process)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A home folder that holds a finished study “small” (scripted, so that it takes a moment)."""
    folder = tmp_path_factory.mktemp("curves")
    items = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(6))
    cells = grid(Recipe(), [i / 10 for i in range(11)], Decoding(cap=200))
    with Store.open(folder / "home") as store:
        list(Runner(store, Plan("sums", cells, 6, 2), items, lambda pair: scripted_bench(), name="small").run())
    server = Server(folder)
    yield server
    server.stop()


def opened(visit, address: str, **more):
    page = visit(address, **more)
    page.wait_for_selector("#curves-bar [data-ready='1'], #curves-bar[data-ready='1']", state="attached")
    return page


def done(page, name: str) -> int:
    """How many samples the page says that a sweep has."""
    text = page.locator(f"[data-run='{name}'] .mi-curve-progress").inner_text()
    return int(re.search(r"([\d,]+) of", text)[1].replace(",", ""))


def wait_for_samples(page, name: str, least: int) -> None:
    page.wait_for_function(
        """([name, least]) => { const node = document.querySelector(`[data-run='${name}'] .mi-curve-progress`);
        const found = node && node.textContent.match(/([\\d,]+) of/);
        return found && Number(found[1].replaceAll(',', '')) >= least; }""",
        arg=[name, least],
    )


def field(page, name: str, value: str) -> None:
    box = page.locator(f"#{name} input, #{name} textarea").first
    box.fill(value)
    box.press("Tab")


def test_a_point_opens_its_samples_and_a_sample_its_trace(server, visit):
    page = opened(visit, server.address + "?tab=curves&study=small")
    point = page.locator("#curves-multiples .scatterlayer .points path").first  # λ 0 of the accuracy
    expect(point).to_be_visible(timeout=LONG)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#curves-multiples .hovertext")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    rows = page.locator(".mi-curve-samples tbody tr")
    expect(rows).to_have_count(12, timeout=LONG)
    expect(page.locator(".mi-curve-samples h3")).to_contain_text("λ 0 ", timeout=LONG)
    page.fill(".mi-curve-find input", "is 5 +")
    expect(rows).to_have_count(2, timeout=LONG)
    tokens = rows.first.locator("td").nth(4).inner_text()
    rows.first.click()
    expect(page.locator(".mi-source")).to_contain_text("From the study “small”", timeout=LONG)
    expect(page.locator("[data-pane=blend] .mi-fact-tokens")).to_contain_text(tokens)
    assert float(page.input_value(".mi-range")) == 0 and page.input_value(".mi-prompt") == "What is 5 + 4?"


@pytest.mark.parametrize("dark", [False, True])
def test_axe_and_the_phone(server, visit, dark):
    page = opened(
        visit,
        server.address + "?tab=curves&study=small&published=" + PUBLISHED.replace(" ", "+"),
        dark=dark,
        width=390,
        height=844,
    )
    expect(page.locator("#curves-multiples .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator(".mi-curve-lines li")).to_have_count(2, timeout=LONG)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    page.locator("#curves-multiples summary").click()
    expect(page.locator("#curves-multiples tbody tr").nth(5)).to_be_visible(
        timeout=LONG
    )  # the table is made when it is first unfolded
    page.evaluate(AXE)
    found = json.loads(
        page.evaluate(
            "() => axe.run('.mi-tab .mi', { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations))"
        )
    )
    assert [v["id"] + v["nodes"][0]["html"][:120] for v in found if v["impact"] in ("serious", "critical")] == []


def test_a_refresh_keeps_the_zoom(server, visit):
    page = opened(visit, server.address + "?tab=curves&study=small")
    page.wait_for_selector("#curves-multiples .js-plotly-plot .scatterlayer .points path")
    axis = "() => document.querySelector('#curves-multiples .mi-plot')._fullLayout.xaxis.range"
    page.evaluate(
        "() => window.Plotly.relayout(document.querySelector('#curves-multiples .mi-plot'), { 'xaxis.range': [0.2, 0.4] })"
    )
    field(page, "curves-budget", "33")
    expect(page.locator(".mi-curve-budget").first).to_contain_text("33 tokens", timeout=LONG)
    assert page.evaluate(axis) == [0.2, 0.4]


@pytest.mark.timeout(900)
def test_a_sweep_is_stopped_and_goes_on_after_a_restart_and_without_its_tab(server, visit):
    page = opened(visit, server.address + "?tab=curves")
    page.get_by_role("button", name="Set up a sweep").click()
    field(page, "curves-questions", "300")
    field(page, "curves-each", "4")
    field(page, "curves-name", "long")
    expect(page.locator("#curves-cost textarea, #curves-cost input").first).to_have_value(
        re.compile(r"^13,200 samples"), timeout=LONG
    )
    page.click("#curves-run")
    wait_for_samples(page, "long", 8)
    page.wait_for_function("() => new URLSearchParams(location.search).getAll('study').includes('long')")
    page.locator("[data-run=long] button", has_text="Stop").click()
    expect(page.locator("[data-run=long]")).to_have_attribute("data-state", "stopped", timeout=LONG)
    kept = done(page, "long")
    assert 8 <= kept < 13_200
    address = page.url
    page.close()

    server.stop()
    server.start()
    page = opened(visit, address)
    expect(page.locator("[data-run=long]")).to_have_attribute("data-state", "unfinished", timeout=LONG)
    assert done(page, "long") == kept  # nothing is lost
    page.locator("[data-run=long] button", has_text="Go on").click()
    wait_for_samples(page, "long", kept + 5)
    page.close()  # a closed tab does not end it
    page = opened(visit, address)
    expect(page.locator("[data-run=long]")).to_have_attribute("data-state", "running", timeout=LONG)
    page.locator("[data-run=long] button", has_text="Stop").click()
    expect(page.locator("[data-run=long]")).to_have_attribute("data-state", "stopped", timeout=LONG)
