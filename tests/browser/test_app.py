"""`python app.py` on the embedded pair: the real engine behind the real page. Nothing here depends on what the models say."""

import re

from playwright.sync_api import expect

from tests.browser.page_actions import pane, set_lam

# Notes every token count that the Thinking pane shows.
WATCH_COUNTS = """() => {
  const node = document.querySelector("[data-pane=thinking] .mi-fact-tokens");
  window.counts = [];
  new MutationObserver(() => window.counts.push(parseInt(node.textContent))).observe(node, { characterData: true, childList: true, subtree: true });
}"""


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
    page.wait_for_function(
        "q => document.querySelector('.mi-prompt').value !== q && document.querySelector('.mi-gold').value", arg=before
    )
    texts = run(page)
    assert all(texts) and len(set(texts)) > 1
    for name in ("instruct", "blend", "thinking"):
        tokens = int(pane(page, name).locator(".mi-fact-tokens").inner_text().split()[0])
        assert 1 <= tokens <= 48
        thought, answer = (
            int(x)
            for x in pane(page, name)
            .locator(".mi-fact-split")
            .inner_text()
            .replace(" thought", "")
            .replace(" answer", "")
            .split(" + ")
        )
        assert thought + answer == tokens
        assert pane(page, name).locator(".mi-chip").inner_text() in (
            "✓ correct",
            "✗ wrong",
            "○ no answer",
            "○ cut at the limit",
        )
    assert page.locator(".mi-sentence").inner_text().strip()
    page.click("text=Scope")
    page.fill("[aria-label^='Layers as text']", "none")
    page.keyboard.press("Enter")
    for module in page.locator(".mi-module[aria-pressed=true]").all_inner_texts():
        page.click(f".mi-module >> text={module}")
    expect(page.locator(".mi-control-value").first).to_have_text("no layer, no module")
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


def test_verdicts_are_what_the_answers_say_and_counters_move(app, visit):
    page = visit(app + "?cap=400&seed=2")
    page.click(".mi-example >> nth=0")
    page.evaluate(WATCH_COUNTS)
    gold, texts, judged = page.input_value(".mi-gold"), run(page), 0
    counts = page.evaluate("() => window.counts")
    begun = counts[counts.index(min(counts)) :]
    assert len(set(begun)) >= 2 and begun == sorted(begun), "counters move while it runs"
    for i, text in enumerate(texts):
        title, said = (
            page.locator(".mi-bar").nth(i).get_attribute("title"),
            re.search(r"The answer is ([^.]+)\.\s*$", text),
        )
        if "cut at the limit" not in title and said:
            judged += 1
            assert title.endswith("correct" if said[1].strip() == gold else "wrong"), (title, text, gold)
    assert judged >= 3


def test_two_visitors_at_different_lambdas_get_their_own_traces(app, visit):
    ask = "?cap=40&seed=3&q=What+is+12+%2B+30%3F&gold="
    one, two = visit(app + ask + "&lam=0.15"), visit(app + ask + "&lam=0.95")
    both = "() => document.querySelector('[data-pane=blend] .mi-shown .mi-body').textContent"
    for page in (one, two):
        page.click(".mi-primary")
    for page in (one, two):
        page.wait_for_function("() => document.querySelector('.mi-status').textContent.includes('12 traces in')")
    apart = [page.evaluate(both) for page in (one, two)]
    for page, other, text in ((one, 0.95, apart[1]), (two, 0.15, apart[0])):
        set_lam(page, other)
        page.click("text=Run here")
        page.wait_for_function("() => document.querySelector('.mi-status').textContent.includes('1 trace in')")
        assert page.evaluate(both) == text  # alone as in company


def test_the_pair_is_told_in_words(app, visit):
    page = visit(app)
    page.click(".mi-findings summary")
    expect(page.locator(".mi-findings .mi-about").first).to_contain_text("qwen3, 6 layers")
    page.click("text=Other pairs…")
    page.fill("[aria-label^='Own pair']", "/nowhere/a | /nowhere/b")
    page.click(".mi-own .mi-row button")
    expect(page.locator(".mi-refused, .mi-judged li[data-kind=refused]").first).to_contain_text("/nowhere/a")
