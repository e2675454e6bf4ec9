"""A what-if in a real browser: the answer alone is drawn again, sliders ask while they move, steps are taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.served import settled
from tests.tiny_run import COARSE, make_run

pytestmark = pytest.mark.browser
HERE = f"dataset=tiny&run=run&spec={COARSE}&shortlist=0&k=6&person=p2"


@pytest.fixture(scope="module")
def made(app_workspace: Path) -> None:
    """A tiny run in the served workspace."""
    if not (app_workspace / "runs" / "run").is_dir():
        make_run(app_workspace.parent)


class Wire:
    """What the server sends to pages that are opened from now on: the runs it starts, whole (empty) or of fragments."""

    def __init__(self, page) -> None:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        self.runs: list[list[str]] = []

        def received(frame: bytes) -> None:
            message = ForwardMsg.FromString(frame)
            if message.WhichOneof("type") == "new_session":
                self.runs.append(list(message.metadata.run.fragment_ids))

        page.on("websocket", lambda socket: socket.on("framereceived", received))
        page.reload()
        page.locator(".answer[data-drawn]").wait_for()
        settled(page)
        self.runs.clear()


def opened(open_page: Callable):
    """The station with its answer drawn: a component comes a moment after the page is at rest."""
    page = open_page(f"retrieval?{HERE}")
    page.locator(".answer[data-drawn]").wait_for()
    return page


def changed(page) -> str:
    return page.locator(".answer .changed").inner_text()


def events(page) -> list[str]:
    return page.locator(".answer button.card").evaluate_all("cards => cards.map((card) => card.dataset.id)")


def test_k_and_a_weight_change_the_answer_and_nothing_else_is_drawn(open_page: Callable, made: None):
    page = opened(open_page)
    wire = Wire(page)
    assert not page.locator(".answer .changed").is_visible()
    before = events(page)
    page.get_by_label("K per head", exact=True).fill("3")
    page.get_by_label("K per head", exact=True).press("Enter")
    page.wait_for_url(re.compile("[?&]k=3(&|$)"))
    settled(page)
    assert changed(page).startswith("K: 6 → 3 · ") and "K = 3 per head" in page.locator(".answer .facts").inner_text()
    assert set(events(page)) < set(before)
    slider = page.get_by_role("slider", name=re.compile("Text"))
    slider.focus()
    slider.press("End")
    page.wait_for_url(re.compile(r"weights=[\d.]+%2C[\d.]+%2C1%2C"))
    settled(page)
    assert "weights: the run's own → " in changed(page)
    assert wire.runs and all(wire.runs), "the whole page was drawn again"
    page.go_back()
    page.wait_for_url(lambda url: "weights" not in url)
    settled(page)
    assert page.get_by_label("K per head", exact=True).input_value() == "3"


def test_the_answer_follows_a_slider_that_is_held_and_the_movement_is_one_step(open_page: Callable, made: None):
    page = opened(open_page)
    wire = Wire(page)
    address = page.url
    slider = page.get_by_role("slider", name=re.compile("Image"))
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.down()
    said = set()
    for share in (0.35, 0.55, 0.75, 0.95):
        turn = page.locator(".answer").get_attribute("data-turn")
        page.mouse.move(box["x"] + box["width"] * share, y, steps=4)
        page.locator(f'.answer:not([data-turn="{turn}"])').wait_for()
        page.wait_for_timeout(300)
        said |= set(filter(None, page.locator(".answer .changed").all_inner_texts()))
    assert len(said) > 1, "no answer came before the slider was let go"
    assert page.url == address and slider.bounding_box() == box  # it stays under the pointer
    page.mouse.up()
    page.wait_for_url(lambda url: url != address)
    settled(page)
    assert all(wire.runs)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(lambda url: "weights" not in url)


def test_the_timeline_chooses_an_event_and_leaves_a_period_out_by_mouse_and_by_key(open_page: Callable, made: None):
    page = opened(open_page)
    stage = page.locator(".answer .stage")
    stage.scroll_into_view_if_needed()
    stage.focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator(".answer .tip").inner_text()
    event = re.search(r"event (\d+)", tip).group(1)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", tip) and "weight" in tip
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"event={event}(&|$)"))
    settled(page)
    assert page.get_by_text(re.compile(f"· event {event} ·")).first.is_visible()
    stage.focus()
    for key in ("Home", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile("hide_from_s="))
    settled(page)
    assert page.get_by_text("Left out:").is_visible()
    page.get_by_role("button", name="Put it back").click()
    page.wait_for_url(lambda url: "hide_from_s" not in url)
    settled(page)
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 100, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("hide_from_s=.*hide_to_s="))


def test_pictures_stay_in_the_window_over_answers_and_stations(open_page: Callable, made: None):
    page = opened(open_page)
    shown = "cards => cards.map((card) => card.querySelector('img')?.src ?? '')"
    before = page.locator(".answer button.card").evaluate_all(shown)
    assert any(before)
    page.get_by_role("link", name="Data").click()
    page.wait_for_url(re.compile("/data"))
    settled(page)
    page.get_by_role("link", name="Retrieval").click()
    page.locator(".answer[data-drawn]").wait_for()
    settled(page)
    assert page.locator(".answer button.card").evaluate_all(shown) == before
    page.evaluate("window.seminarPictures = {}")  # as after a message that was overtaken by a newer one
    page.get_by_label("K per head", exact=True).fill("5")
    page.get_by_label("K per head", exact=True).press("Enter")
    page.wait_for_url(re.compile("[?&]k=5(&|$)"))
    settled(page)
    page.wait_for_function("Object.keys(window.seminarPictures).length > 0")
    settled(page)
    assert any(page.locator(".answer button.card").evaluate_all(shown))


def test_what_goes_wrong_within_the_part_is_put_right_from_within_it(open_page: Callable, made: None):
    page = open_page(f"retrieval?{HERE}&weights=0,0,0,0")
    page.locator(".answer[data-drawn]").wait_for()
    assert not page.locator(".answer .sentence").is_visible()
    page.get_by_role("slider", name=re.compile("Text")).press("End")
    page.locator(".answer .sentence").wait_for()
    page.wait_for_url(re.compile(r"weights=0%2C0%2C1%2C0"))
    page.goto(f"{page.url.split('?')[0]}?{HERE}&hide_from_s=1")
    page.get_by_role("button", name="Look from the end of the life").click()  # a choice outside of the part
    page.wait_for_url(re.compile("at=end"))
    settled(page)
    assert page.get_by_label("seen from event").input_value() == "end"
    page.get_by_text("At the end of the life there is no next item").wait_for()
