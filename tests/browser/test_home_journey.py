"""The first five minutes on an empty workspace: Home, its three questions, the tour, the story; nothing is trained."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.browser.served_app import settled

HOME = "?dataset=sample"


def through(page, door: str, station: str) -> str:
    """Go through a door of Home; what the station says."""
    page.locator(f".st-key-door_{door} button").click()
    page.wait_for_url(re.compile(f"/{station}"))
    settled(page, 120)
    assert page.locator('[data-testid="stException"]').count() == 0
    return page.locator("[data-testid=stMain]").inner_text()


def test_three_questions_are_answered_without_any_training(open_page: Callable):
    page = open_page(HOME)
    said = through(page, "says", "retrieval")
    assert re.search(r"Of [\d,]+ events, \d+ speak for ", said) and "run sample-seminar" in said
    page = open_page(HOME)
    page.wait_for_selector(".st-key-door_space button")
    said = through(page, "space", "alignment")
    assert "among the ten nearest" in said
    page = open_page(HOME)
    said = through(page, "loses", "retrieval")
    assert re.search(r"The quantised scan at \d+ bytes an event keeps [\d.]+% of them", said)


def test_the_tour_is_walked_left_and_resumed(open_page: Callable):
    page = open_page(HOME)
    page.locator(".st-key-tour_start button").click()
    page.wait_for_url(re.compile("/data.*tour=1"))
    settled(page)
    page.locator(".st-key-tour_next button").click()
    page.wait_for_url(re.compile("/life.*tour=2"))
    settled(page)
    assert "Tour, 2 of 6." in page.locator(".st-key-tour").inner_text()
    page.locator(".st-key-tour_leave button").click()
    page.locator(".st-key-tour").wait_for(state="detached")
    page.get_by_role("link", name="Home").first.click()
    settled(page)
    page.locator(".st-key-tour_resume button").click()
    page.wait_for_url(re.compile("tour=2"))


def test_the_story_is_saved_and_opens_with_the_network_off(open_page: Callable, chromium, tmp_path: Path):
    page = open_page(HOME)
    with page.expect_download(timeout=90_000) as download:
        page.locator(".st-key-home_story button").first.click()
    download.value.save_as(tmp_path / "story.html")
    context = chromium.new_context(offline=True)
    story = context.new_page()
    asked: list[str] = []
    story.on("request", lambda request: asked.append(request.url))
    story.goto((tmp_path / "story.html").as_uri())
    story.wait_for_selector("section .main-svg")
    assert story.locator("section").count() == 7
    story.keyboard.press("p")
    story.keyboard.press("ArrowRight")
    assert story.locator("section:visible").count() == 1
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()
