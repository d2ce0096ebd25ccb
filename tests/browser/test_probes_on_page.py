"""Probes on the page, on the embedded pair: dots as they come, what they say, by keyboard alone, on a phone, with hostile text."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import pane, until
from tests.ui.fake import HOSTILE

DOT, WORDS, BUTTON = ".mi-probe-dot", ".mi-probe-words", ".mi-probe-button >> nth=0"
VALUES = """id => {
  const record = explore.app.probes.of(explore.app.board.traceKey(id));
  return record && { state: record.state, points: record.points, sufficient: record.sufficient, verbose: record.verbose };
}"""
ENDED = "id => { const r = explore.app.probes.of(explore.app.board.traceKey(id)); return Boolean(r) && r.state !== 'running' }"


def probed(page, name="thinking"):
    """Probe a pane's trace to the end; its record."""
    pane(page, name).locator(BUTTON).click()
    until(page, ENDED, name)
    return page.evaluate(VALUES, name)


def test_dots_stand_where_the_thought_was_stopped_and_say_what_came(app, visit):
    page = visit(app)
    found = probed(page)
    thinking = pane(page, "thinking")
    assert found["state"] == "done" and thinking.locator(DOT).count() == len(found["points"]) == 12
    signs = thinking.locator(DOT).all_inner_texts()
    want = ["○" if p["answer"] is None else "✓" if p["right"] else "✗" for p in found["points"]]
    assert signs == want and len(set(signs)) > 1
    places = page.evaluate(
        "() => [...document.querySelectorAll('[data-pane=thinking] .mi-probe-dot')].map(d => d.getBoundingClientRect().x)"
    )
    assert places == sorted(places)
    expect(thinking.locator(WORDS)).to_contain_text(f"sufficient at token {found['sufficient']}")
    expect(thinking.locator(".mi-sufficient")).to_have_text("sufficient here")
    expect(thinking.locator(".mi-first")).to_have_count(1)  # what the text says stands beside it
    dot, point = thinking.locator(DOT).nth(6), found["points"][6]
    dot.hover()
    expect(thinking.locator(WORDS)).to_contain_text(f"Stopped after token {point['token']}")
    expect(thinking.locator(WORDS)).to_contain_text(f"confidence {point['confidence']:.2f}")
    dot.click()
    flag = thinking.locator(".mi-shown .mi-stop-here")
    expect(flag).to_contain_text(str(point["answer"] or "no answer"))
    expect(flag).to_be_in_viewport()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(pane(page, "instruct").locator(BUTTON)).to_be_hidden()  # there is no thought


def test_by_keyboard_alone(app, visit):
    page = visit(app)
    page.locator("[data-pane=thinking] .mi-scroll.mi-shown").focus()
    page.keyboard.press("t")
    until(page, ENDED, "thinking")
    dots = pane(page, "thinking").locator(DOT)
    page.locator("[data-pane=thinking] .mi-probe-button >> nth=2").focus()
    page.keyboard.press("Tab")
    expect(dots.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(dots.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(dots.last).to_be_focused()
    page.keyboard.press("Enter")
    expect(dots.last).to_have_attribute("aria-pressed", "true")
    expect(dots.last).to_be_focused()
    expect(pane(page, "thinking").locator(".mi-stop-here")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(pane(page, "thinking").locator(".mi-stop-here")).to_have_count(0)
    assert page.evaluate("explore.app.view.get().lam") == 0.5, "the arrows moved no λ"


def test_stops_lambda_and_continuations_can_be_chosen(app, visit):
    page = visit(app)
    asked = []
    page.on("request", lambda r: asked.append(json.loads(r.post_data)) if r.url.endswith("/mi/run") else None)
    page.click("summary:has-text('Probes')")
    page.fill("[aria-label='Number of stops']", "3")
    page.fill("[aria-label='λ that answers']", "0,5")
    page.select_option("[aria-label='Continuations of each stop']", "2")
    page.keyboard.press("Escape")
    found = probed(page)
    assert [(r["kind"], r["points"], r["lam"], r["free"]) for r in asked] == [("probe", 3, 0.5, 2)]
    assert len(found["points"]) == 3 and [len(p["free"]) for p in found["points"]] == [2, 2, 2]
    expect(pane(page, "thinking").locator(WORDS)).to_contain_text("answers at λ 0.5")
    expect(pane(page, "thinking").locator(WORDS)).to_contain_text(re.compile(r"forced right \d+ %, going on \d+ %"))
    page.click("summary:has-text('Probes')")
    page.fill("[aria-label='Number of stops']", "none")
    page.keyboard.press("Tab")
    expect(page.locator("[aria-label='Number of stops']")).to_have_attribute("aria-invalid", "true")


def test_a_running_trace_and_one_without_a_thought_are_refused_with_a_sentence(app, visit):
    page = visit(app)
    page.locator("[data-pane=instruct] .mi-scroll.mi-shown").focus()
    page.keyboard.press("t")
    expect(page.locator(".mi-status")).to_contain_text("no thought")
    page.evaluate("""() => {
      const { strips } = explore.app, strip = strips.current();
      strips.extend({ ...strip, frames: { ...strip.frames, 1: { ...strip.frames[1], state: "running" } } });
      explore.app.redraw();
    }""")
    page.locator("[data-pane=thinking] .mi-scroll.mi-shown").focus()
    page.keyboard.press("t")
    expect(page.locator(".mi-status")).to_contain_text("still being written")
    page.evaluate("""() => {
      const { strips } = explore.app, strip = strips.current();
      strips.extend({ ...strip, frames: { ...strip.frames, 1: { ...strip.frames[1], state: "done", run: "gone" } } });
      explore.app.redraw();
    }""")
    page.locator("[data-pane=thinking] .mi-scroll.mi-shown").focus()
    page.keyboard.press("t")
    expect(page.locator(".mi-status")).to_contain_text("Run it again")
    expect(pane(page, "thinking").locator(".mi-probe-plot")).to_be_hidden()


@pytest.mark.parametrize("gold", ["", HOSTILE[1]])
def test_a_hostile_question_and_hostile_answers_are_text(app, visit, gold):
    page = visit(app + "?cap=200")
    page.fill(".mi-prompt", "What is 14 + 3 * 6 - 9? " + HOSTILE[0])
    page.fill(".mi-gold", gold)
    page.click(".mi-primary")
    expect(page.locator(".mi-status")).to_contain_text("traces in")
    found = probed(page)
    assert found["state"] == "done" and found["points"]
    if not gold:
        assert {p["right"] for p in found["points"]} == {None}
        expect(pane(page, "thinking").locator(".mi-probe-right, .mi-probe-wrong")).to_have_count(0)
    page.evaluate(
        """texts => {
          const { app } = explore, record = app.probes.of(app.board.traceKey("thinking"));
          record.points = record.points.map((p, i) => ({ ...p, answer: texts[i % texts.length] }));
          app.redraw();
        }""",
        list(HOSTILE),
    )
    for i in range(pane(page, "thinking").locator(DOT).count()):
        pane(page, "thinking").locator(DOT).nth(i).click()
        assert HOSTILE[i % len(HOSTILE)] in pane(page, "thinking").locator(WORDS).text_content()
        expect(pane(page, "thinking").locator(".mi-shown .mi-stop-here")).to_have_count(1)
    assert page.evaluate("() => [window.pwned, document.querySelectorAll('.mi script, .mi img, .mi base').length]") == [
        None,
        0,
    ]


def test_on_a_phone_dots_can_be_tapped_and_nothing_sticks_out(app, visit):
    page = visit(app + "?lam=1", width=390, height=844, has_touch=True, is_mobile=True)
    page.locator("[data-pane=blend] .mi-probe-button >> nth=0").tap()
    until(page, ENDED, "blend")
    page.locator("[data-pane=blend] .mi-probe-dot").nth(4).tap()
    page.evaluate("() => document.querySelector('[data-pane=blend] .mi-stack').scrollIntoView({ block: 'end' })")
    expect(pane(page, "blend").locator(".mi-shown .mi-stop-here")).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.locator("summary:has-text('Probes')").tap()
    box = page.locator(".mi-panel:has(.mi-probe-options)").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
