"""In a real browser: a training on the sample is started, survives a refresh, is cancelled, resumed, and leads on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.served import settled
from seminar_core.jobs import control as jobs
from seminar_core.workspace import Workspace

pytestmark = pytest.mark.browser


@pytest.fixture
def made(app_workspace: Path) -> Iterator[Workspace]:
    workspace = Workspace(app_workspace)
    yield workspace
    for row in jobs.rows(workspace):
        if row["state"] in ("queued", "running"):
            jobs.cancel(workspace, row["job"])


def waits(page, text: str, seconds: float = 120) -> None:
    page.get_by_role("heading", name=re.compile(text)).wait_for(timeout=seconds * 1000)


def test_a_training_from_the_button_to_its_map(open_page: Callable[..., object], made: Workspace):
    page = open_page("training?v=1&part=start")
    page.get_by_role("textbox", name="Name of the run").fill("journey")
    page.get_by_role("textbox", name="Name of the run").press("Enter")
    settled(page)
    page.get_by_text("See something in one minute").click()
    settled(page)
    page.get_by_role("button", name="Start", exact=True).click()
    waits(page, "journey: running")
    (row,) = jobs.rows(made)
    assert row["run"] == "journey" and row["pid"] != os.getpid()

    page.wait_for_url(re.compile(f"job={row['job']}"))  # the address follows what is drawn
    page.reload()
    settled(page)
    waits(page, "journey: running")
    page.get_by_text(re.compile("about .* left")).first.wait_for(timeout=120_000)
    step = jobs.show(made, row["job"])["step"]
    page.wait_for_timeout(3000)
    assert jobs.show(made, row["job"])["pid"] == row["pid"]

    page.get_by_role("button", name="Cancel").click()
    waits(page, "journey: stopped", 30)
    assert jobs.show(made, row["job"])["step"] >= step

    page.get_by_role("button", name="Resume").click()
    waits(page, "journey: running", 30)
    waits(page, "journey: done", 240)
    assert jobs.show(made, row["job"])["attempt"] == 2

    settled(page)  # the last look of the live part is drawn anew with the whole page
    page.get_by_role("button", name="Open its map").click()
    page.wait_for_url(lambda url: "/alignment" in url and "run=journey" in url, wait_until="commit", timeout=60_000)
    settled(page)
    assert "/alignment" in page.url and "run=journey" in page.url


def test_an_idle_page_makes_no_traffic(open_page: Callable[..., object], made: Workspace):
    page = open_page("training?v=1&part=start")
    frames = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: frames.append(1)))
    page.reload()
    settled(page)
    page.wait_for_timeout(1500)
    before = len(frames)
    page.wait_for_timeout(4000)
    assert len(frames) == before
