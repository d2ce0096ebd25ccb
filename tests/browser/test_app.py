"""`python app.py` on the embedded pair: the real engine behind the real page. Nothing here depends on what the models say."""

import sys

import pytest
from conftest import free_port, pane, start, stop
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("app")
    process = start([sys.executable, "app.py", "--port", str(port), "--home", str(folder / "home")], port, folder)
    yield f"http://127.0.0.1:{port}/"
    stop(process)


def run(page) -> list[str]:
    """Run the strip; the traces' texts by λ."""
    page.click(".mi-primary")
    page.wait_for_function("() => document.querySelector('.mi-status').textContent.includes('traces in')")
    texts = []
    for i in range(11):
        page.locator(".mi-bar").nth(i).click()
        texts.append(page.evaluate("() => document.querySelector('[data-pane=blend] .mi-shown .mi-body').textContent"))
    return texts


def test_a_strip_of_the_embedded_pair_and_a_scope_that_changes_it(app, visit):
    page = visit(app + "?cap=48")
    assert page.locator(".mi-example").count() >= 7  # six families or more, and the random question
    before = page.input_value(".mi-prompt")
    page.click(".mi-random")
    page.wait_for_function("q => document.querySelector('.mi-prompt').value !== q && document.querySelector('.mi-gold').value", arg=before)
    texts = run(page)
    assert all(texts) and len(set(texts)) > 1
    for name in ("instruct", "blend", "thinking"):
        tokens = int(pane(page, name).locator(".mi-fact-tokens").inner_text().split()[0])
        assert 1 <= tokens <= 48
        thought, answer = (
            int(x) for x in pane(page, name).locator(".mi-fact-split").inner_text().replace(" thought", "").replace(" answer", "").split(" + ")
        )
        assert thought + answer == tokens
        assert pane(page, name).locator(".mi-chip").inner_text() in ("✓ correct", "✗ wrong", "○ no answer", "○ cut at the limit")
    assert page.locator(".mi-sentence").inner_text().strip()
    page.click("text=Scope")
    page.fill("[aria-label^='Layers as text']", "none")
    page.keyboard.press("Enter")
    for module in page.locator(".mi-module[aria-pressed=true]").all_inner_texts():
        page.click(f".mi-module >> text={module}")
    expect(page.locator(".mi-knob-value").first).to_have_text("no layer, no module")
    expect(page.locator(".mi-source")).to_contain_text("other settings")
    page.keyboard.press("Escape")
    nothing = run(page)
    assert set(nothing) == {texts[0]}  # nothing is blended: every λ is Instruct, token for token


def test_the_same_seed_gives_the_same_strip_and_the_lenses_work(app, visit):
    page = visit(app + "?cap=24&seed=5&q=What+is+2+%2B+3%3F&gold=5")
    assert run(page) == run(page)
    page.click("[data-lens=writer]")
    pane(page, "thinking").locator(".mi-shown .mi-tok").nth(2).click()
    card = page.locator(".mi-card")
    assert card.locator(".mi-side-instruct li").count() == 5 and card.locator(".mi-side-thinking li").count() == 5
    expect(card).to_contain_text("log-ratio")
    card.press("Escape")
    expect(card).to_have_count(0)


def test_the_pair_is_told_in_words(app, visit):
    page = visit(app)
    page.click(".mi-findings summary")
    expect(page.locator(".mi-findings .mi-about").first).to_contain_text("qwen3, 6 layers")
    page.fill("[aria-label^='Own pair']", "/nowhere/a | /nowhere/b")
    page.click("text=Check")
    expect(page.locator(".mi-refused, .mi-judged li[data-kind=refused]").first).to_contain_text("/nowhere/a")
