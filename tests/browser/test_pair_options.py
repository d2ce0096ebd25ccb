"""The options of a pair in the page: what an adapter sits on, by keyboard alone, and what the server makes of it."""

from playwright.sync_api import expect

from tests.browser.page_actions import own_pair
from tests.checkpoints.adapters import make_adapter

MINI = "assets/models/mini"


def test_the_base_of_an_adapter_is_chosen_by_keyboard(scripted, visit, tmp_path):
    adapter = make_adapter(f"{MINI}/instruct", tmp_path / "lora", target_modules=["q_proj"])
    page = visit(scripted)
    own_pair(page)
    options, own = page.locator(".mi-pair-options"), page.locator("[aria-label^='Own pair']")
    assert options.get_attribute("open") is None
    own.fill(f"{MINI}/instruct | {adapter} | {MINI}/base")
    own.press("Enter")
    judged = page.locator(".mi-own .mi-judged")
    expect(judged).to_contain_text(
        "rank 4 on Instruct", timeout=60_000
    )  # the first check of a server imports what it needs
    expect(options).to_have_attribute("open", "")  # an adapter is there: its options are shown
    page.keyboard.press("Tab")  # to Check
    page.keyboard.press("Tab")  # to the disclosure
    assert page.evaluate("document.activeElement.textContent") == "Pair options"
    page.keyboard.press("Tab")
    expect(page.get_by_label("Adapter sits on")).to_be_focused()
    page.keyboard.press("b")
    expect(page.get_by_label("Adapter sits on")).to_have_value("base")
    own.press("Enter")
    expect(judged).to_contain_text("rank 4 on Base")


def test_options_follow_the_name_and_what_it_says_itself_stays(scripted, visit):
    page = visit(scripted)
    own_pair(page)
    page.get_by_text("Pair options").click()
    page.get_by_label("Opening think tag").fill("<plan>")
    page.get_by_label("Closing think tag").fill("</plan>")
    page.fill("[aria-label^='Own pair']", f"{MINI}/instruct|{MINI}/thinking?untie=true")
    page.click(".mi-own .mi-row button")
    page.click("text=Open this pair")
    page.wait_for_url("**pair=**")
    pair = page.evaluate("new URLSearchParams(location.search).get('pair')")
    spec, _, settings = pair.partition("?")
    assert spec == f"{MINI}/instruct|{MINI}/thinking"
    assert page.evaluate("s => Object.fromEntries(new URLSearchParams(s))", settings) == {
        "untie": "true",
        "think_open": "<plan>",
        "think_close": "</plan>",
    }


def test_a_wrong_option_is_refused_in_words(scripted, visit):
    page = visit(scripted)
    own_pair(page)
    page.get_by_text("Pair options").click()
    page.get_by_label("Closing think tag").fill("<think>")
    page.fill("[aria-label^='Own pair']", f"{MINI}/instruct|{MINI}/thinking")
    page.click(".mi-own .mi-row button")
    expect(page.locator(".mi-refused")).to_contain_text("think tag")
