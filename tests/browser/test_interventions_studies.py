"""Curves in a real browser: the precomputed studies of interventions draw when the page is first opened; probes are added from there."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.test_curves import LONG, Server, field, opened


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A home folder with a small study of the embedded pair, two λs that think."""
    folder = tmp_path_factory.mktemp("interventions")
    words = ["sweep", "--lambda", "0.8,1", "--questions", "2", "--samples", "1", "--name", "thoughts", "--quiet"]
    command = [sys.executable, "-m", "mi_explorer", *words, "--home", str(folder / "home")]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    server = Server(folder)
    yield server
    server.stop()


def names(page, host: str) -> list[str]:
    return page.evaluate("id => document.querySelector(`#${id} .mi-plot`).data.map(t => t.name)", host)


@pytest.mark.parametrize(
    "study, host, drawn",
    [
        ("mini-budgets", "curves-pareto", ["λ without a budget", "budget at λ 1"]),
        ("mini-budgets", "curves-grid", ["accuracy, %", "tokens"]),
        ("mini-answer-budget", "curves-grid", ["accuracy, %", "tokens"]),
        ("mini-probes", "curves-probes", ["forced answer", "free continuation"]),
    ],
)
def test_precomputed_studies_of_interventions_draw_at_first_open(server, visit, study, host, drawn):
    page = opened(visit, server.address + f"?tab=curves&study={study}")
    expect(page.locator(f"#{host} .js-plotly-plot")).to_be_visible(timeout=LONG)
    found = names(page, host)
    assert [name for name in drawn if name not in found] == []
    expect(page.locator(".mi-curve-lines b").first).to_have_text(study)
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_study_that_is_measured_here_is_a_click_away(server, visit):
    page = opened(visit, server.address + "?tab=curves&study=thoughts")
    page.locator(".mi-curve-others button", has_text="mini-budgets").click()
    expect(page.locator("#curves-grid .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator(".mi-curve-claims", has_text="budget")).to_have_count(1)
    assert "study=mini-budgets" in page.url


def test_probes_are_added_to_a_study_from_the_page(server, visit):
    page = opened(visit, server.address + "?tab=curves&study=thoughts")
    page.get_by_role("button", name="Change your study").click()
    field(page, "curves-points", "3")
    page.click("#curves-probe button, button#curves-probe")
    run = page.locator("[data-run='probes of thoughts']")
    expect(run).to_have_attribute("data-state", "done", timeout=LONG)
    expect(run.locator(".mi-curve-progress")).to_contain_text("4 of 4 samples")
    expect(page.locator("#curves-probes .js-plotly-plot")).to_be_visible(timeout=LONG)
    assert {"sufficient", "verbose"} & set(names(page, "curves-probes"))
