"""The first five minutes on an empty workspace, from Home to a story opened from disk; nothing is trained.

One server and one browser session walk the whole way, as a person would: three questions, the tour, a view saved, the
story presented with keys and exported, the file opened with the network off.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.served import served, settled

MOST_SECONDS = 60


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A workspace that does not exist yet, and the address of the app that serves it."""
    workspace = tmp_path / "workspace"
    with served(workspace, tmp_path / "app.log") as (_, address):
        yield workspace, address


def test_home_three_questions_tour_story_and_the_file_without_any_training(fresh, chromium, tmp_path: Path):
    workspace, address = fresh
    began, load = time.monotonic(), os.getloadavg()[0]
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.goto(address)
    settled(page, 120)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert "one long history" in said(page)
    answers(page)
    tour(page)
    save(page)
    present(page)
    export(page, tmp_path / "mine.html")
    context.close()
    offline(chromium, tmp_path / "mine.html")
    assert not (workspace / "runs").exists() and not (workspace / "jobs").exists()
    took = time.monotonic() - began
    print(f"the journey took {took:.0f} s at a load of {load:.1f}")
    if load < 0.7 * (os.cpu_count() or 1):  # on a busy machine the time says nothing
        assert took < MOST_SECONDS


def said(page) -> str:
    """What the page says; it shows no trace."""
    assert page.locator('[data-testid="stException"]').count() == 0
    return page.locator("[data-testid=stMain]").inner_text()


def home(page) -> None:
    """Back to Home by the navigation."""
    page.get_by_role("link", name="Home").first.click()
    page.locator(".st-key-tour_start button").first.wait_for()
    settled(page)


def answers(page) -> None:
    """Each door of Home opens a page that answers its question."""
    doors = (
        ("says", "retrieval", r"Of [\d,]+ events, [\d,]+ speak for "),
        ("space", "alignment", "among the ten nearest"),
        ("loses", "retrieval", r"The quantised scan at \d+ bytes an event keeps [\d.]+% of them"),
    )
    for door, station, answer in doors:
        page.locator(f".st-key-door_{door} button").click()
        page.wait_for_url(re.compile(f"/{station}.*run=sample-seminar"))
        page.get_by_text(re.compile(answer)).first.wait_for()
        settled(page, 120)
        said(page)
        assert page.get_by_text(re.compile(answer)).count()  # Retrieval says it within a component
        home(page)


def tour(page) -> None:
    """Walked to its second stop, left, and taken up there again."""
    page.locator(".st-key-tour_start button").click()
    page.wait_for_url(re.compile("/data.*tour=1"))
    page.locator(".st-key-tour_next button").click()
    page.wait_for_url(re.compile("/life.*tour=2"))
    settled(page)
    assert "Tour, 2 of 6." in page.locator(".st-key-tour").inner_text()
    page.locator(".st-key-tour_leave button").click()
    page.locator(".st-key-tour").wait_for(state="detached")
    home(page)
    page.locator(".st-key-tour_resume button").click()
    page.wait_for_url(re.compile("tour=2"))
    settled(page)


def save(page) -> None:
    """Two views of the story `mine`: the life that the tour shows, and Home's."""
    for caption in ("A long life", "Where we began"):
        page.locator(".st-key-save_view button").click()
        field = page.get_by_role("dialog").get_by_label("Caption")
        field.fill(caption)
        field.press("Tab")
        settled(page)
        page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("dialog").get_by_text(re.compile(r"Saved as slide \d of mine")).wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        if caption == "A long life":
            home(page)


def present(page) -> None:
    """The keys alone: arrows turn, n hides the notes, Escape ends it and the focus is back on the button."""
    page.get_by_role("link", name="Stories").first.click()
    page.get_by_text("1. A long life").wait_for()
    settled(page)
    page.locator(".st-key-present button").click()
    slides = page.frame_locator("#seminar-presenter")
    slides.locator("section.now .main-svg").first.wait_for()
    assert slides.locator("section:visible h2").all_inner_texts() == ["A long life"]
    page.wait_for_function("document.querySelector('#seminar-presenter') === document.activeElement")
    page.keyboard.press("ArrowRight")
    assert slides.locator("section:visible h2").all_inner_texts() == ["Where we began"]
    assert slides.locator(".page:visible").inner_text() == "2 / 2"
    picture, window = slides.locator(".now .main-svg").first.bounding_box(), page.viewport_size
    assert picture["width"] > 0.8 * window["width"] and picture["height"] > 0.5 * window["height"]
    page.keyboard.press("Home")
    assert slides.locator("section:visible h2").all_inner_texts() == ["A long life"]
    page.keyboard.press("Escape")
    page.locator("#seminar-presenter").wait_for(state="detached")
    page.wait_for_function("document.activeElement.innerText.includes('Present')")
    settled(page)


def export(page, out: Path) -> None:
    """One file with pictures of its own."""
    page.locator(".st-key-export button").first.click()
    with page.expect_download() as download:
        page.locator(".st-key-export_save button").first.click()
    download.value.save_as(out)
    assert 1_000_000 < out.stat().st_size < 10_000_000


def offline(chromium, file: Path) -> None:
    """The exported file from disk, with the network off: it asks for nothing and its figures answer the pointer."""
    context = chromium.new_context(offline=True)
    story = context.new_page()
    asked: list[str] = []
    story.on("request", lambda request: asked.append(request.url))
    story.goto(file.as_uri())
    story.locator("section .main-svg").first.wait_for()
    assert story.locator("section h2").all_inner_texts() == ["A long life", "Where we began"]
    drawn = story.locator(".js-plotly-plot .draglayer .nsewdrag").first.bounding_box()
    story.mouse.move(drawn["x"] + drawn["width"] / 2, drawn["y"] + drawn["height"] / 2)
    story.locator(".hoverlayer .hovertext").first.wait_for()
    story.keyboard.press("p")
    story.keyboard.press("ArrowRight")
    assert story.locator("section:visible h2").all_inner_texts() == ["Where we began"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()
