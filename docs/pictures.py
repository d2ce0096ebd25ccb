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
from conftest import FLAGS, TOUR_SEEN, free_port, set_lam, start, stop  # noqa: E402

IMAGES = ROOT / "assets" / "images"
DRAG_STEPS = [i / 20 for i in range(21)]
FRAME_MS, LAST_FRAME_MS = 220, 1800


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
