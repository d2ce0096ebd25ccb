"""Runs in a browser, on the scripted workbench: counters, stopping, faults, two visitors, another pair."""

import re

from playwright.sync_api import expect

from tests.browser.page_actions import RUN, STOP, finished, own_pair, pane

LONG = "echo: " + "one two three " * 300  # long enough to be stopped on a busy machine
# Notes every token count that the Thinking pane shows, so that moving counters can be asserted however slow the machine is.
WATCH_COUNTS = """() => {
  const node = document.querySelector("[data-pane=thinking] .mi-fact-tokens");
  window.counts = [];
  new MutationObserver(() => window.counts.push(parseInt(node.textContent))).observe(node, { characterData: true, childList: true, subtree: true });
}"""


def test_a_run_streams_with_moving_counters_and_right_verdicts(scripted, visit):
    page = visit(scripted)
    page.click(".mi-example >> nth=1")
    expect(page.locator(".mi-source")).to_contain_text("other settings")
    page.click(RUN)
    expect(page.locator(STOP)).to_be_visible()
    page.evaluate(WATCH_COUNTS)
    expect(page.locator(".mi-progress")).to_contain_text("of 11 λ")
    finished(page)
    counts = page.evaluate("() => window.counts")
    assert counts == sorted(counts) and len(counts) >= 4 and counts[-1] == 108
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("✓ correct")
    expect(pane(page, "thinking").locator(".mi-shown .mi-answer-text")).to_have_text("The answer is 20.")
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    expect(page.locator(".mi-source")).to_contain_text("n = 1 per λ")


def test_stop_keeps_what_was_written_and_the_next_run_works(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", LONG)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".mi-source")).to_have_text("Live")
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text(re.compile(r"^\d\d+ tokens"))
    page.keyboard.press("Escape")
    finished(page)
    kept = pane(page, "thinking").locator(".mi-shown .mi-thought-text").inner_text()
    tokens = int(pane(page, "thinking").locator(".mi-fact-tokens").inner_text().split()[0])
    assert kept.startswith("one two three") and 10 <= tokens < 900
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("◼ stopped")
    expect(page.locator(".mi-status")).to_contain_text("Stopped. What was written so far is kept.")
    page.wait_for_timeout(400)
    assert pane(page, "thinking").locator(".mi-shown .mi-thought-text").inner_text() == kept
    page.click(".mi-example >> nth=0")
    page.click(RUN)
    finished(page)
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("✓ correct")


def test_an_empty_question_is_refused_with_a_word(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "  ")
    page.click(RUN)
    expect(page.locator(".mi-status")).to_contain_text("There is no question yet")
    page.fill(".mi-prompt", "x" * 100_000)
    page.click(RUN)
    expect(page.locator(".mi-status")).to_contain_text("The question has 100,000 characters")
    expect(page.locator(RUN)).to_be_enabled()


def test_a_fault_on_the_server_is_said_and_the_partial_text_stays(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "break it")
    page.click(RUN)
    finished(page)
    expect(page.locator(".mi-status")).to_contain_text(
        "(RuntimeError). Its log says more. What was written so far is kept"
    )
    expect(page.locator(".mi-status")).to_have_attribute("data-kind", "error")
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("◼ stopped")
    assert (
        pane(page, "thinking").locator(".mi-shown .mi-thought-text").inner_text().startswith("First I add the numbers.")
    )
    expect(pane(page, "instruct").locator(".mi-chip")).to_be_hidden()


def test_two_visitors_at_once_get_their_own_traces(scripted, visit):
    one, two = visit(scripted), visit(scripted)
    for page, words, gold in ((one, "echo: " + "alpha " * 900, "3"), (two, "echo: " + "beta " * 900, "4")):
        page.fill(".mi-prompt", words)
        page.fill(".mi-gold", gold)
        page.click(RUN)
    both_live = False
    for _ in range(200):
        live = [p.locator("[data-pane=thinking]").get_attribute("aria-busy") == "true" for p in (one, two)]
        texts = [
            pane(p, "thinking").locator(".mi-shown .mi-thought-text").inner_text()
            if p.locator("[data-pane=thinking] .mi-shown .mi-thought-text").is_visible()
            else ""
            for p in (one, two)
        ]
        both_live = both_live or (all(live) and "alpha" in texts[0] and "beta" in texts[1])
        if both_live:
            break
        one.wait_for_timeout(50)
    assert both_live, "one visitor waited for the other"
    for page in (one, two):
        page.click(".mi-stop")
        finished(page)
    a, b = (pane(p, "thinking").locator(".mi-shown .mi-thought-text").inner_text() for p in (one, two))
    assert set(re.findall("alpha|beta", a)) == {"alpha"} and set(re.findall("alpha|beta", b)) == {"beta"}


def test_another_pair_is_checked_opened_and_restored_from_the_address(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "Is it there?")
    own = own_pair(page)
    mini = "assets/models/mini"
    page.fill("[aria-label^='Own pair']", f"{mini}/instruct|{mini}/thinking")
    own.get_by_role("button", name="Check").click()
    expect(own.locator(".mi-judged")).to_contain_text("6 layers")
    told = []
    page.expose_function("told", lambda text: told.append(text))
    page.evaluate("""() => { for (const q of [".mi-own .mi-judged", ".mi-status"]) {
      const node = document.querySelector(q), tell = () => told(node.textContent + "/" + (node.querySelector("progress")?.max ?? ""));
      new MutationObserver(tell).observe(node, { childList: true, characterData: true, subtree: true });
    } }""")
    page.evaluate("""() => new MutationObserver((_, watch) => {  // at once: on a busy machine a click from here comes too late
      const stop = [...document.querySelectorAll(".mi-own .mi-judged button")].find((b) => b.textContent === "Stop");
      if (stop) { watch.disconnect(); stop.click(); }
    }).observe(document.querySelector(".mi-own .mi-judged"), { childList: true, subtree: true })""")
    page.click("text=Open this pair")
    expect(page.locator(".mi-judged .mi-refused")).to_have_text("Stopped. The pair was not loaded.")
    own.get_by_role("button", name="Check").click()
    page.click("text=Open this pair")
    page.wait_for_url("**pair=**")
    assert any(re.match(r"3 of 5: Reading \d+/68 tensors of each parent .*/68$", x) for x in told), told
    assert any(x.startswith("Loading the pair, 3 of 5") for x in told), told
    page.wait_for_selector("[data-opened]")
    assert page.input_value(".mi-prompt") == "Is it there?"
    expect(pane(page, "blend").locator(".mi-empty")).to_have_text(
        "No trace yet. Run to see one."
    )  # this pair has no strip of its own
    page.click("text=Scope")
    assert page.locator(".mi-col").count() == 8  # the other scripted pair has eight layers
    page.keyboard.press("Escape")
    page.click(RUN)
    finished(page)
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text("108 tokens")
    assert visit(scripted).evaluate("() => document.querySelectorAll('.mi-col').length") == 6
