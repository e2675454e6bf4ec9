"""The first journey in a real browser: from a searched word to the reason an event was lost, and a link to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.served import settled
from tests.tiny_run import COARSE, make_run

pytestmark = pytest.mark.browser
HERE = f"dataset=tiny&run=run&spec={COARSE}&shortlist=0&k=6"


@pytest.fixture(scope="module")
def made(app_workspace: Path) -> None:
    """A tiny run in the served workspace."""
    if not (app_workspace / "runs" / "run").is_dir():
        make_run(app_workspace.parent)


def entered(page, field, text: str, in_address: str) -> None:
    """Type `text` into `field` and press Enter until the page's address holds `in_address`.

    On a loaded machine a rerun that is still under way may put the field's old value back under the typing.
    """
    for _ in range(4):
        field.fill(text)
        field.press("Enter")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if in_address in page.url:
                return
            page.wait_for_timeout(100)
    raise AssertionError(f"{in_address} never stood in the address, which is {page.url}")


def metric(page, label: str) -> str:
    """A number of the answer's headline."""
    return page.locator(f'.numbers [data-label="{label}"] dd').first.inner_text()


def test_the_bare_address_opens_home_and_a_path_any_station(open_page: Callable, app_url: str, made: None):
    page = open_page("?dataset=tiny")
    page.wait_for_url(re.compile("dataset=tiny"))
    assert page.get_by_role("heading", name="Home", exact=False).first.is_visible()
    for station in ("data", "life", "alignment", "retrieval", "training"):
        page.goto(f"{app_url}/{station}?{HERE}")
        page.get_by_role("heading", name=station.capitalize()).first.wait_for()
        assert page.locator('[data-testid="stException"]').count() == 0


def test_find_a_person_ask_move_a_weight_read_why_and_share_the_page(open_page: Callable, made: None):
    page = open_page(f"life?{HERE}")
    page.get_by_label("They searched for").fill("lamp")
    page.get_by_label("They searched for").press("Enter")
    page.wait_for_url(re.compile("find=lamp"))
    settled(page)
    table = page.locator('[data-testid="stDataFrame"]').first
    table.wait_for()
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 55)
    settled(page)
    page.wait_for_url(re.compile(r"person=p\d+"))
    person = re.search(r"person=(p\d+)", page.url)
    page.get_by_role("button", name="What does it say about an item?").click()
    page.wait_for_url(re.compile(f"/retrieval.*{person.group(0)}"))
    settled(page)
    assert "find=lamp" in page.url
    before = metric(page, "Recall@K")
    assert before.endswith("%")
    slider = page.get_by_role("slider", name=re.compile("Text"))
    slider.focus()
    for _ in range(30):
        slider.press("ArrowRight")
    moved = f"{float(slider.input_value()):g}"  # the answers on the way to it come and go
    page.wait_for_url(re.compile(rf"weights=[\d.]+%2C[\d.]+%2C{re.escape(moved)}%2C"))
    settled(page)
    assert page.get_by_text("left the exact set").is_visible()
    lost = page.locator("button.card", has_text="✕ lost").first
    lost.wait_for()
    lost.click()
    page.wait_for_url(re.compile("event="))
    settled(page)
    event = re.search(r"event=(\d+)", page.url).group(1)
    why = page.get_by_text(re.compile(f"lost · event {event} ")).first
    assert why.is_visible()
    assert page.get_by_text("the scan did not put it on the shortlist").first.is_visible()
    page.get_by_role("button", name="Link").click()
    link = page.locator('[data-testid="stCode"]').first.inner_text().strip()  # is drawn when it is opened
    assert link.startswith("http://127.0.0.1") and f"event={event}" in link
    again = open_page(link.split("/", 3)[3])
    assert metric(again, "Recall@K") == metric(page, "Recall@K")
    assert metric(again, "Logit, exact") == metric(page, "Logit, exact")
    assert again.get_by_text(re.compile(f"lost · event {event} ")).first.is_visible()


def lost_on_the_chart(page) -> list[tuple[float, float, int]]:
    """Where the lost events are drawn on the screen, and which they are."""
    places = page.locator(".js-plotly-plot").first.evaluate(
        """plot => {
            const trace = plot._fullData.find(t => (t.name || '').startsWith('lost'));
            if (!trace) return [];
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return Array.from(trace.x).map((x, i) => [
                box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(trace.y[i]),
                Number(trace.customdata[i]),
            ]);
        }"""
    )
    return [tuple(place) for place in places]


def test_a_lasso_around_lost_events_says_why_they_were_lost(open_page: Callable, made: None):
    page = open_page(f"retrieval?{HERE}&person=p2&figure=scores")
    chart = page.locator(".js-plotly-plot").first
    chart.scroll_into_view_if_needed()
    lost = lost_on_the_chart(page)
    assert lost, "nothing was lost: the codebooks of this test are meant to be coarse"
    chart.hover()
    page.locator('.modebar-btn[data-title="Lasso Select"]').first.click()
    lost = lost_on_the_chart(page)
    x, y, event = lost[0]
    page.mouse.move(x + 14, y)
    page.mouse.down()
    for dx, dy in ((10, 10), (0, 14), (-10, 10), (-14, 0), (-10, -10), (0, -14), (10, -10), (14, 0)):
        page.mouse.move(x + dx, y + dy)
    page.mouse.up()
    page.wait_for_url(re.compile("event="))
    settled(page)
    chosen = re.search(r"event=([\d,%C]+)", page.url).group(1).replace("%2C", ",").split(",")
    assert str(event) in chosen
    assert page.get_by_text(re.compile(f"lost · event {event} ")).first.is_visible()
    assert page.get_by_text("the scan did not put it on the shortlist").first.is_visible()
    assert page.get_by_text("what one channel of the target and one channel of the event add").first.is_visible()


def test_a_choice_survives_the_stations_and_the_way_back(open_page: Callable, made: None):
    page = open_page(f"life?{HERE}&person=p2")
    page.get_by_role("link", name="Retrieval").click()
    page.wait_for_url(re.compile(r"/retrieval\?.*person=p2"))
    settled(page)
    page.get_by_role("link", name="Data").click()
    page.wait_for_url(re.compile(r"/data\?.*person=p2"))
    settled(page)
    page.go_back()
    page.wait_for_url(re.compile("/retrieval.*person=p2"))
    settled(page)
    assert page.get_by_label("Person", exact=True).input_value() == "p2"


def test_the_back_button_takes_back_one_choice_at_a_time(open_page: Callable, made: None):
    page = open_page(f"life?{HERE}&person=p2")
    page.wait_for_url(re.compile("[?&]v=1"))  # a link written by hand has been completed: that replaces its entry
    for text in ("lamp", "chair"):
        entered(page, page.get_by_label("Title or query contains"), text, f"text={text}")
        settled(page)
    page.go_back()
    page.wait_for_url(re.compile("text=lamp"))
    settled(page)
    assert page.get_by_label("Title or query contains").input_value() == "lamp"
    page.go_back()
    page.wait_for_url(lambda url: "text=" not in url)
    settled(page)
    assert page.get_by_label("Title or query contains").input_value() == ""


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_page_does_not_scroll_sideways(open_page: Callable, made: None, dark: bool):
    for station in ("data", "life", "retrieval"):
        page = open_page(f"{station}?{HERE}&person=p2", width=390, dark=dark)
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= 391, f"{station} is {wide} px wide"


def test_the_page_fetches_nothing_from_elsewhere(chromium, app_url: str, made: None):
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{app_url}/retrieval?{HERE}&person=p2")
    settled(page)
    page.close()
    elsewhere = [url for url in asked if not url.startswith((app_url, "data:", "blob:"))]
    assert elsewhere == []
