"""Access in a real browser: axe-core by day and by night, a phone's width and a wall's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.served import settled
from seminar_core.stories.page import export_story
from seminar_core.stories.story import sample_story
from seminar_core.workspace import Workspace

axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed: `make setup`")
AXE = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")  # comes with the package
STATIONS = ("", "data", "life", "alignment", "retrieval", "training", "stories")
CHOSEN = "dataset=sample&run=sample-seminar&person=p0302&person_b=p0100&search=1887"
# What a station draws last.
READY = {"alignment": ".stage", "retrieval": ".answer .stage svg", "life": ".js-plotly-plot .main-svg"}
WIDTH = "[document.documentElement.scrollWidth, document.querySelector('[data-testid=stMain]').scrollWidth]"


def serious(page) -> list[str]:
    """Serious and critical findings of axe-core, one line each."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("station", STATIONS)
def test_no_serious_finding_by_day_and_by_night_and_nothing_wider_than_the_window(open_page: Callable, station: str):
    page = open_page(f"{station}?{CHOSEN}")
    if station in READY:
        page.locator(READY[station]).first.wait_for()
        settled(page)
    assert page.locator('[data-testid="stException"]').count() == 0
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    for _ in range(3):  # on a loaded machine the page takes its time to change all its colours
        page.wait_for_timeout(600)
        found = serious(page)
        if not found:
            break
    assert found == [] and max(page.evaluate(WIDTH)) <= 390
    assert page.locator(".st-key-thread").bounding_box()["height"] < 110  # one line of labels and fields
    page.set_viewport_size({"width": 2560, "height": 1200})
    page.wait_for_timeout(300)
    assert max(page.evaluate(WIDTH)) <= 2560


def test_the_exported_story_has_no_serious_finding_by_day_and_by_night_on_a_page_and_presented(
    chromium, tmp_path: Path
):
    export_story(Workspace(tmp_path / "workspace"), sample_story(), tmp_path / "story.html")
    for scheme, width in (("light", 1280), ("dark", 390)):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.goto((tmp_path / "story.html").as_uri())
        page.locator("section .main-svg").first.wait_for()
        assert serious(page) == [] and page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("p")
        page.keyboard.press("ArrowRight")
        assert serious(page) == [] and page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()
