"""Explore in a browser, on the scripted workbench: the first strip, scrubbing, pins, staleness, the address."""

import re

from playwright.sync_api import expect

from tests.browser.page_actions import finished, lam, pane, set_lam


def test_landing_shows_a_real_strip_and_its_verdicts(scripted, visit):
    page = visit(scripted)
    expect(pane(page, "instruct").locator(".mi-chip")).to_have_text("✗ wrong")
    expect(pane(page, "blend").locator(".mi-chip")).to_have_text("✓ correct")
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text("108 tokens")
    expect(pane(page, "thinking").locator(".mi-fact-split")).to_have_text("103 thought + 5 answer")
    expect(pane(page, "thinking").locator(".mi-shown .mi-first")).to_have_text("first right")
    expect(page.locator(".mi-source")).to_have_text("Precomputed (scripted)")
    expect(page.locator(".mi-sentence")).to_contain_text("Thought appears between λ 0.4 and 0.5.")
    assert page.locator(".mi-bar").count() == 11
    assert page.locator(".mi-stage").count() == 3


def test_dragging_scrubs_frames_without_a_request(scripted, visit):
    page = visit(scripted)
    page.wait_for_timeout(500)
    requests = []
    page.on("request", lambda r: requests.append(r.url))
    box = page.locator(".mi-range").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 11, y, steps=20)
    page.mouse.up()
    assert lam(page) == 1
    expect(pane(page, "blend").locator(".mi-fact-tokens")).to_have_text("108 tokens")
    shown = page.evaluate("""() => Array.from({ length: 101 }, (_, i) => {
      const rail = document.querySelector(".mi-range");
      rail.value = i / 100;
      rail.dispatchEvent(new Event("input", { bubbles: true }));
      return document.querySelector("[data-pane=blend] .mi-lam").textContent;
    })""")
    nearest = [min(range(11), key=lambda k: (abs(10 * k - i), k)) for i in range(101)]
    assert shown == [f"λ {k / 10:g}" for k in nearest]
    assert requests == []


def test_the_nearest_frame_is_named_where_there_is_none(scripted, visit):
    page = visit(scripted)
    set_lam(page, 0.43)
    expect(pane(page, "blend").locator(".mi-lam")).to_have_text("λ 0.4")
    expect(pane(page, "blend").locator(".mi-name")).to_have_text("nearest frame to 0.43")
    page.click("text=Run here")
    expect(pane(page, "blend").locator(".mi-lam")).to_have_text("λ 0.43")
    finished(page)
    assert page.locator(".mi-bar").count() == 12
    expect(pane(page, "blend").locator(".mi-chip")).to_have_text("✓ correct")
    expect(page.locator(".mi-sentence")).to_contain_text("10 of 12 answers are right")


def test_keys_and_typed_numbers(scripted, visit):
    page = visit(scripted)
    page.locator("body").click(position={"x": 5, "y": 5})
    for key, at in (("]", 0.6), ("]", 0.7), ("[", 0.6)):
        page.keyboard.press(key)
        assert lam(page) == at
    page.focus(".mi-range")
    page.keyboard.press("ArrowRight")
    assert lam(page) == 0.61
    assert page.get_attribute(".mi-range", "aria-valuetext") == "λ 0.61, stage 3"
    page.fill(".mi-box", "0.25")
    page.keyboard.press("Enter")
    assert lam(page) == 0.25
    for bad in ("abc", "NaN", "7", ""):
        page.fill(".mi-box", bad)
        page.keyboard.press("Enter")
        expect(page.locator(".mi-status")).to_contain_text("λ must be a number from −1 to 2")
        assert lam(page) == 0.25
    page.fill(".mi-box", "1.2")
    page.keyboard.press("Enter")
    assert lam(page) == 1.2
    page.fill(".mi-prompt", "")
    page.keyboard.type("[p]d?/")
    assert page.input_value(".mi-prompt") == "[p]d?/" and lam(page) == 1.2


def test_pins_focus_and_diff(scripted, visit):
    page = visit(scripted)
    set_lam(page, 0.3)
    page.click("text=Pin")
    expect(pane(page, "pin0.3").locator(".mi-shown .mi-answer-text")).to_have_text("So the answer is 7.")
    set_lam(page, 0.8)
    expect(pane(page, "pin0.3").locator(".mi-lam")).to_have_text("λ 0.3")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("f")
    expect(pane(page, "instruct")).to_be_hidden()
    expect(pane(page, "blend")).to_be_visible()
    page.keyboard.press("f")
    expect(pane(page, "instruct")).to_be_visible()
    page.keyboard.press("d")
    assert pane(page, "pin0.3").locator(".mi-shown .mi-new").all_inner_texts() == ["7."]  # λ 0 said 999
    page.keyboard.press("d")
    expect(page.locator(".mi-shown .mi-new")).to_have_count(0)
    page.click("[aria-label='Remove the pin at λ 0.3']")
    expect(pane(page, "pin0.3")).to_have_count(0)


def test_scope_marks_the_strip_stale_until_it_is_back(scripted, visit):
    page = visit(scripted)
    page.click("text=Scope")
    page.click("text=last two thirds")
    expect(page.locator(".mi-control-value").first).to_have_text("layers 2-5")
    expect(page.locator(".mi-source")).to_contain_text("other settings")
    expect(pane(page, "blend")).to_have_class(re.compile("mi-stale"))
    assert (
        page.locator(".mi-cell.mi-lit[data-layer='0']").count() == 0
        and page.locator(".mi-cell.mi-lit[data-layer='2']").count() == 4
    )
    page.click(".mi-module >> text=MLP")
    expect(page.locator(".mi-control-value").first).to_have_text("layers 2-5, without MLP")
    page.fill("[aria-label^='Layers as text']", "9")
    page.keyboard.press("Enter")
    expect(page.locator(".mi-status")).to_contain_text("Layers look like")
    page.click(".mi-presets >> text=everything")
    expect(page.locator(".mi-source")).to_have_text("Precomputed (scripted)")


def test_scope_by_dragging_over_layers(scripted, visit):
    page = visit(scripted)
    page.click("text=Scope")
    a, b = (page.locator(f".mi-cell[data-layer='{i}']").first.bounding_box() for i in (1, 3))
    page.mouse.move(a["x"] + 5, a["y"] + 5)
    page.mouse.down()
    page.mouse.move(b["x"] + 5, b["y"] + 5, steps=4)
    page.mouse.up()
    assert page.input_value("[aria-label^='Layers as text']") == "0,4-5"


def test_the_address_holds_the_view_and_restores_it(scripted, visit):
    page = visit(scripted)
    set_lam(page, 0.7)
    page.click("text=Pin")
    page.click("[data-lens=markers]")
    page.fill(".mi-prompt", "How many & why? λ=½ #x")
    page.click("text=Scope")
    page.click("text=last third")
    page.wait_for_url("**layers=4-5**")
    address = page.url
    assert "lam=0.7" in address and "pins=0.7" in address and "layers=4-5" in address and "cap=" not in address
    other = visit(address)
    other.wait_for_function("() => document.querySelector('.mi-prompt').value.startsWith('How many')")
    assert other.input_value(".mi-prompt") == "How many & why? λ=½ #x"
    assert lam(other) == 0.7
    expect(pane(other, "pin0.7")).to_have_count(1)
    expect(other.locator("[data-lens=markers]")).to_have_attribute("aria-pressed", "true")
    expect(other.locator(".mi-control-value").first).to_have_text("layers 4-5")
    expect(other.locator(".mi-source")).to_contain_text("other settings")
    assert other.url == address


def test_a_broken_address_says_what_was_ignored(scripted, visit):
    page = visit(scripted + "?v=1&lam=abc&layers=0-99&pins=0.3,zebra&seed=5")
    expect(page.locator(".mi-status")).to_contain_text("“lam” in the address was ignored")
    expect(page.locator(".mi-status")).to_contain_text("layers 0-5")
    assert lam(page) == 0.5
    expect(page.locator(".mi-control-value >> nth=2")).to_contain_text("seed 5")


def test_an_answer_that_came_with_a_question_goes_with_it_and_a_typed_one_stays(scripted, visit):
    page = visit(scripted)
    page.locator(".mi-example").first.click()
    page.wait_for_function("() => document.querySelector('.mi-gold').value")
    page.fill(".mi-prompt", "Something else?")
    expect(page.locator(".mi-gold")).to_have_value("")
    page.fill(".mi-gold", "42")
    page.fill(".mi-prompt", "What is six times seven?")
    expect(page.locator(".mi-gold")).to_have_value("42")


def test_play_walks_from_zero_to_one(scripted, visit):
    page = visit(scripted)
    page.click("[aria-label='Play λ from 0 to 1']")
    page.wait_for_function("() => Number(document.querySelector('.mi-range').value) < 0.1")
    page.wait_for_function("() => Number(document.querySelector('.mi-range').value) > 0.25")
    page.click("[aria-label='Play λ from 0 to 1']")
    at = lam(page)
    page.wait_for_timeout(200)
    assert lam(page) == at


def test_a_click_on_a_bar_selects_its_lambda(scripted, visit):
    page = visit(scripted)
    page.locator(".mi-bar").nth(9).click()
    assert lam(page) == 0.9
    expect(page.locator(".mi-bar").nth(9)).to_have_class(re.compile("mi-bar-on"))
