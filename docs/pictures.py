"""Takes the README's pictures from a running page: `make pictures`. Needs Chromium, as the browser tests do.

The animated one drags λ through the strip that the page opens on; nothing in it is computed for the picture.
"""

import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]
from conftest import FLAGS, TOUR_SEEN, free_port, gallery, set_lam, start, stop  # noqa: E402

IMAGES = ROOT / "assets" / "images"
DRAG_STEPS = [i / 20 for i in range(21)]
FRAME_MS, LAST_FRAME_MS = 220, 1800
SPEAKS, SPEAKS_LAMBDAS, GAP = (
    "smollm2",
    ("0", "1"),
    16,
)  # the pair whose strip is drawn in words, at these λ, pixels apart
SLIDE = "(input, v) => { input.value = v; input.dispatchEvent(new Event('input', { bubbles: true })); }"


def open_page(browser: Browser, address: str, width: int, height: int, dark: bool = False) -> Page:
    """A page that has loaded and settled."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    context.add_init_script(TOUR_SEEN)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("[data-opened]", state="attached")
    page.wait_for_timeout(1500)
    return page


def dragged(page: Page) -> list[Image.Image]:
    """The page at each λ of a drag."""
    frames = []
    for lam in DRAG_STEPS:
        set_lam(page, lam)
        page.wait_for_timeout(80)
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return frames


def card_strip(page: Page) -> Image.Image:
    """The strip of a pair that speaks as its card in the gallery shows it before anything is loaded, at two λ side by side."""
    card = gallery(page).locator(f"[data-card='{SPEAKS}']")
    drawn = []
    for lam in SPEAKS_LAMBDAS:
        card.locator(".mi-preview-range").evaluate(SLIDE, lam)
        page.wait_for_timeout(200)
        shot = Image.open(io.BytesIO(card.locator(".mi-preview").screenshot())).convert("RGB")
        drawn.append(shot.crop((2, 0, shot.width, shot.height)))  # without the card's own border
    width, height = sum(i.width for i in drawn) + GAP * (len(drawn) + 1), max(i.height for i in drawn) + 2 * GAP
    both = Image.new("RGB", (width, height), drawn[0].getpixel((1, 1)))
    for i, image in enumerate(drawn):
        both.paste(image, (GAP + i * (image.width + GAP), GAP))
    return both


def take(browser: Browser, address: str) -> None:
    """All pictures of the page at this address."""
    for name, width, height, dark in (
        ("light", 1440, 900, False),
        ("dark", 1440, 900, True),
        ("phone", 390, 844, False),
    ):
        page = open_page(browser, address, width, height, dark)
        page.screenshot(path=IMAGES / f"explore-{name}.png")
        page.context.close()
    page = open_page(browser, address, 1280, 900)
    card_strip(page).save(IMAGES / f"{SPEAKS}-strip.png")
    page.context.close()
    page = open_page(browser, address, 1200, 720)
    first, *others = dragged(page)
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    first.save(
        IMAGES / "drag.webp", save_all=True, append_images=others, duration=durations, loop=0, quality=60, method=6
    )
    page.context.close()
    page = open_page(browser, f"{address}?tab=curves", 1440, 1000)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_timeout(2500)
    page.screenshot(path=IMAGES / "curves.png")
    page.context.close()


def pictures() -> None:
    """Start the page on the embedded pair, take the pictures, stop it."""
    chromium = os.environ.get("MI_EXPLORER_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        port = free_port()
        server = start([sys.executable, "app.py", "--port", str(port), "--home", folder], port, Path(folder))
        time.sleep(1)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            take(browser, f"http://127.0.0.1:{port}/")
            browser.close()
        finally:
            stop(server)
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.stat().st_size / 1e3:6.0f} kB  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    pictures()
