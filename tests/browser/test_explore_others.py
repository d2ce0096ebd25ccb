"""What other tabs may ask of Explore: to look at a recipe, and to open a finished sample's trace."""

import re

from playwright.sync_api import expect

from tests.browser.page_actions import lam, pane, set_lam
from tests.ui.fake import HOSTILE

SHOW = "([view, content]) => explore.show(view, content)"


def content(**more):
    """A strip of two frames as `samples.content` makes it, from a study with a hostile name."""
    frame = {
        "state": "done", "message": "", "closed": True, "lenient": True, "truncated": False, "looped": False, "first": 3,
        "mark": {"part": "thought", "at": 4}, "spots": {"thought": [[0, 4, "reflect"]], "answer": []}, "markers": {"reflect": 1}, "tps": 0,
        "finish": "stop",
        "thought": "Wait, 5 + 7 is 12. " + HOSTILE[0], "answer": "The answer is 12.", "verdict": "correct", "tokens": 9, "think": 6,
    }  # fmt: skip
    frames = {"0.4": {**frame, "id": "0.4", "lam": 0.4}, "1": {**frame, "id": "1", "lam": 1, "tokens": 20, "think": 17}}
    view = {
        "pair": "mini", "lam": 0.4, "method": "linear", "params": {}, "layers": "2-5", "modules": ["attention", "mlp"], "template": "own",
        "t": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0, "rep": 1, "cap": 200, "seed": 77,
        "q": "What is 5 + 7?", "gold": "12", "pins": [], "lens": "plain",
    }  # fmt: skip
    label = f"From the study “{HOSTILE[1]}” · sample 2 of this question · T 0.6 · seed 77"
    return {
        "token": "studyabc123",
        "label": label,
        "view": view,
        "frames": frames,
        "sentence": "Two traces.",
        "bands": [],
    } | more


def test_a_stored_sample_opens_as_any_frame_and_a_run_goes_on_from_it(scripted, visit):
    page = visit(scripted)
    set_lam(page, 0.9)
    page.evaluate(SHOW, [{}, content()])
    assert (
        lam(page) == 0.4 and page.input_value(".mi-prompt") == "What is 5 + 7?" and page.input_value(".mi-gold") == "12"
    )
    expect(pane(page, "blend").locator(".mi-chip")).to_have_text("✓ correct")
    expect(pane(page, "blend").locator(".mi-fact-tokens")).to_have_text("9 tokens")
    expect(pane(page, "thinking").locator(".mi-fact-tokens")).to_have_text("20 tokens")
    expect(pane(page, "instruct").locator(".mi-empty")).to_be_visible()
    text = page.evaluate("() => document.querySelector('[data-pane=blend] .mi-shown .mi-thought-text').textContent")
    assert text.replace("first right", "") == content()["frames"]["0.4"]["thought"]
    assert page.text_content(".mi-source") == content()["label"] and page.evaluate("() => window.pwned") is None
    expect(page.locator(".mi-sentence")).to_have_text("Two traces.")
    expect(page.locator(".mi-control-value").first).to_have_text(re.compile("layers 2-5"))
    page.wait_for_url(lambda url: all(part in url for part in ("seed=77", "layers=2-5", "cap=200")))
    page.click("text=Run here")
    expect(page.locator(".mi-source")).to_contain_text("with frames of your own")
    page.wait_for_function("() => document.querySelector('.mi-stop').hidden")
    assert page.locator(".mi-bar").count() == 2
    expect(pane(page, "blend").locator(".mi-shown .mi-answer-text")).to_have_text("So the answer is 12.")


def test_other_tabs_set_parts_of_the_view(scripted, visit):
    page = visit(scripted)
    page.evaluate(
        "() => explore.patch({ layers: '4-5', modules: ['mlp'], pair: 'qwen3-4b', constructor: 1, zebra: 2 })"
    )
    expect(page.locator(".mi-control-value").first).to_have_text("layers 4-5, MLP")
    expect(page.locator(".mi-source")).to_contain_text("other settings")
    view = page.evaluate("() => explore.view()")
    assert view["pair"] == "mini" and "zebra" not in view and view["layers"] == "4-5"
    page.evaluate(SHOW, [{}, {"error": "Gone."}])
    expect(page.locator(".mi-status")).to_have_text("Gone.")
    other = content(view=content()["view"] | {"pair": "qwen3-4b"})
    page.evaluate(SHOW, [{"lam": 1}, other])
    expect(page.locator(".mi-source")).to_contain_text("of the pair “qwen3-4b”, which is not loaded")
    assert lam(page) == 1 and page.evaluate("() => explore.view().pair") == "mini"


def test_a_run_is_stopped_for_what_is_opened(scripted, visit):
    page = visit(scripted)
    page.fill(".mi-prompt", "echo: " + "one two three " * 300)
    page.click(".mi-primary")
    expect(page.locator(".mi-source")).to_have_text("Live")
    page.evaluate(SHOW, [{}, content()])
    expect(page.locator(".mi-status")).to_have_text("The run was stopped to open this.")
    expect(page.locator(".mi-stop")).to_be_hidden()
    page.wait_for_timeout(600)
    assert page.text_content(".mi-source") == content()["label"] and page.locator(".mi-bar").count() == 2


def test_the_strip_before_comes_back_with_its_settings(scripted, visit):
    page = visit(scripted)
    swap, source, prompt = (
        page.get_by_role("button", name="Previous strip"),
        page.locator(".mi-source"),
        page.locator(".mi-prompt"),
    )
    label, asked = source.inner_text(), prompt.input_value()
    expect(swap).to_be_hidden()
    page.click(".mi-example >> nth=1")
    question = prompt.input_value()
    page.click(".mi-primary")
    expect(source).to_contain_text("Your run")
    expect(page.locator(".mi-stop")).to_be_hidden()
    mine = source.inner_text()
    swap.click()
    expect(source).to_have_text(label)
    assert prompt.input_value() == asked != question and page.locator(".mi-warn").count() == 0
    swap.click()
    expect(source).to_have_text(mine)
    assert prompt.input_value() == question
    set_lam(page, 0.7)
    page.evaluate(SHOW, [{}, content()])
    expect(source).to_have_text(content()["label"])
    swap.click()
    expect(source).to_have_text(mine)
    expect(pane(page, "thinking").locator(".mi-chip")).to_have_text("✓ correct")
    assert prompt.input_value() == question and lam(page) == 0.7 and "seed=77" not in page.url


def test_a_study_of_the_recipe_gives_the_rail_its_bands_and_curves(scripted, visit):
    page = visit(scripted)
    expect(page.locator(".mi-study")).to_be_hidden()
    assert "one strip" in [x.get_attribute("title") for x in page.locator(".mi-stage").all()][0]
    page.evaluate("() => explore.patch({ layers: '0-1' })")
    expect(page.locator(".mi-study-name")).to_have_text(
        f"Bands and curves: study “{HOSTILE[0]}” · sums · n = 6 questions × 2 · token limit 200"
    )
    assert page.locator(".mi-spark-mean").get_attribute("points").count(",") == 11
    assert [x.get_attribute("title") for x in page.locator(".mi-stage").all()][0].endswith("study's fit says)")
    set_lam(page, 0.4)
    expect(page.locator(".mi-study-figures")).to_have_text(
        re.compile(r"^\d.* % \(.* to .* %\) right, .* % with a thought, [\d,]+ tokens at λ 0.4$")
    )
    set_lam(page, 0.43)
    expect(page.locator(".mi-study-figures")).to_have_text(re.compile(r"^≈ .* at λ 0.43$"))
    assert page.evaluate("() => window.pwned") is None
    page.evaluate("() => explore.patch({ layers: 'all' })")
    expect(page.locator(".mi-study")).to_be_hidden()
