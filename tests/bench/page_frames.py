"""Frames per second of the page while traces stream and while λ is dragged over finished ones."""

import argparse
import time
from pathlib import Path

from page_server import leave, server, visit
from playwright.sync_api import Browser, Page

# Counts animation frames for `seconds`, moving λ at each of them when asked; resolves to frames per second and the slowest 1 %.
COUNT = """([seconds, move]) => new Promise((done) => {
  const rail = document.querySelector(".mi-range"), times = [];
  let last = null, began = performance.now();
  const tick = (now) => {
    if (last !== null) times.push(now - last);
    last = now;
    if (move) { rail.value = 0.5 + 0.5 * Math.sin((now - began) / 400); rail.dispatchEvent(new Event("input", { bubbles: true })); }
    if (now - began < seconds * 1000) return requestAnimationFrame(tick);
    times.sort((a, b) => a - b);
    done({ fps: 1000 * times.length / times.reduce((a, b) => a + b, 0), slow: times[Math.floor(0.99 * times.length)] });
  };
  requestAnimationFrame(tick);
})"""


def shown_tokens(page: Page) -> list[int]:
    """Token counts in the heads of the three panes."""
    return [int(text.split()[0].replace(",", "")) for text in page.locator(".mi-fact-tokens").all_inner_texts() if text]


def stream(browser: Browser, folder: Path, how: argparse.Namespace) -> dict[str, float]:
    process, address = server(folder, "tests/ui/serve.py", "{port}", "400")
    page = visit(browser, address)
    page.fill(".mi-prompt", "words: 12000")
    page.click(".mi-primary")
    page.wait_for_function(
        "() => parseInt(document.querySelector('[data-pane=instruct] .mi-fact-tokens').textContent) > 50"
    )
    before, began = shown_tokens(page), time.perf_counter()
    counted = page.evaluate(COUNT, [how.seconds, False])
    after, seconds = shown_tokens(page), time.perf_counter() - began
    leave(page, process)
    assert len(before) == len(after) == 3, "three panes must show a trace"
    return {
        "stream fps": counted["fps"],
        "stream slowest 1 % of frames, ms": counted["slow"],
        "stream tokens/s that each pane showed": min((b - a) / seconds for a, b in zip(before, after)),
    }


def scrub(browser: Browser, folder: Path, how: argparse.Namespace) -> dict[str, float]:
    process, address = server(folder, "tests/ui/serve.py", "{port}", "2000")
    page = visit(browser, address)
    page.fill(".mi-prompt", "words: 4000")
    page.click(".mi-primary")
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && document.querySelector('.mi-status').textContent.includes('traces in')"
    )
    titles = [bar.get_attribute("title") or "" for bar in page.locator(".mi-bar").all()]
    tokens = [int(title.split(": ")[1].split()[0].replace(",", "")) for title in titles]
    assert len(tokens) == 11, tokens
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    page.evaluate(COUNT, [1, True])  # builds the frames' trees once
    counted = page.evaluate(COUNT, [how.seconds, True])
    leave(page, process)
    return {
        "scrub tokens per frame": min(tokens),
        "scrub fps": counted["fps"],
        "scrub slowest 1 % of frames, ms": counted["slow"],
        "scrub requests": len(requests),
    }
