"""Take the screenshots of every station from the running app: `make screens`; words choose stations (`... stories`).

Serves the app over the workspace (`$SEMINAR_WORKSPACE`, else ./workspace) with the run that comes with the sample;
`$SCREENS_QUERY` asks for another. Training is more to look at with a background job in the workspace.
Writes `<station>-<width>-<light|dark>.png` beside this file. Needs a Chromium.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page, sync_playwright  # noqa: E402 - after the root is on the path

from benchmarks.served import CHROMIUM, WITH_WEBGL, served, settled  # noqa: E402

STATIONS = ("home", "data", "life", "alignment", "retrieval", "training", "stories", "presented")
PATHS = {"home": "", "presented": "stories"}
SHOWN_SLIDE = 2  # of the presented story, counted from 0: what quantisation changes
WIDTHS = {1280: 1600, 390: 1600}


def shot(page: Page, name: str, width: int, dark: bool) -> None:
    """Write the picture of what the page shows; say which."""
    path = HERE / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    page.screenshot(path=path)
    print(path.relative_to(ROOT))


def present(page: Page, width: int) -> None:
    """Present the story that Stories shows, in a window of a screen's shape."""
    page.set_viewport_size({"width": width, "height": 800})
    page.locator(".st-key-present button").first.click()
    slides = page.frame_locator("#seminar-presenter")
    slides.locator("section.now .main-svg").first.wait_for(timeout=180_000)
    for _ in range(SHOWN_SLIDE):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)


def main() -> None:
    """Write every picture; say which."""
    workspace = Path(os.environ.get("SEMINAR_WORKSPACE", ROOT / "workspace")).absolute()
    query = os.environ.get("SCREENS_QUERY", "dataset=sample&run=sample-seminar&person=p0302")
    workspace.mkdir(parents=True, exist_ok=True)
    with served(workspace, workspace / "screens.log") as (_, address), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=WITH_WEBGL)
        for dark in (False, True):
            for width, height in WIDTHS.items():
                page = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
                ).new_page()
                for station in sys.argv[1:] or STATIONS:
                    page.goto(f"{address}/{PATHS.get(station, station)}?{query}")
                    settled(page, 180)
                    page.wait_for_timeout(4000)
                    page.wait_for_selector('[data-testid="stProgress"]', state="detached", timeout=300_000)
                    page.wait_for_timeout(2000)
                    settled(page, 180)
                    if station == "presented":
                        present(page, width)
                    shot(page, station, width, dark)
                page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
