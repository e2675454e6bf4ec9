"""A real browser on a real server: the app on a free port over a temporary workspace, and Debian's Chromium.

`app_url` is the address of the served app, `open_page(path, width=..., dark=...)` opens one of its pages and waits
until it has been drawn; `settled(page)` of benchmarks/served.py waits again after a click. Without a Chromium they skip
and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.served import CHROMIUM, WITH_WEBGL, served, settled


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """One browser for all tests."""
    if not CHROMIUM:
        pytest.skip("no Chromium found: `apt-get install chromium`, or set CHROMIUM to its path")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=WITH_WEBGL)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the served app; a test module may fill it with the command line."""
    return tmp_path_factory.mktemp("browser") / "workspace"


@pytest.fixture(scope="session")
def app_url(app_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the served app."""
    log = tmp_path_factory.mktemp("log") / "app.log"
    with served(app_workspace, log) as (_, address):
        yield address
    print(log.read_text(errors="replace")[-4000:])


@pytest.fixture
def open_page(chromium, app_url: str) -> Iterator[Callable[..., object]]:
    """`open_page("retrieval?k=10", width=390, dark=True)` in a fresh session; returns the drawn Playwright page."""
    contexts = []

    def open_it(path: str = "", *, width: int = 1280, height: int = 900, dark: bool = False):
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.goto(f"{app_url}/{path.lstrip('/')}")
        page.locator('[data-testid="stHeading"]').first.wait_for()  # before its first run the page counts as drawn
        settled(page)
        return page

    yield open_it
    for context in contexts:
        for page in context.pages:  # pytest shows this of a test that failed
            print(f"{page.url}\n{page.inner_text('body')[:4000]}")
        context.close()
