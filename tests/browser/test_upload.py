"""In a real browser: an upload is reported before it is accepted and chosen; a broken one loses nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.served import settled
from seminar_core.data.opening import open_dataset
from seminar_core.workspace import Workspace

pytestmark = pytest.mark.browser
GOOD = "person,time,item,query\n" + "\n".join(f"ann,{t},i{t % 4},{'red lamp' if t % 3 else ''}" for t in range(1, 13))
BROKEN = "who,when,what\nann,1,i1\n"


def offer(page, name: str, file: str, text: str) -> None:
    """Fill the form of "Bring your own" and press its button."""
    page.locator('[data-testid="stFileUploaderDropzoneInput"]').first.set_input_files(
        {"name": file, "mimeType": "text/csv", "buffer": text.encode()}
    )
    page.get_by_text(file).first.wait_for()
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.get_by_role("button", name="Check and import").click()


def test_an_upload_is_reported_before_it_is_chosen_and_a_broken_one_loses_nothing(
    open_page: Callable, app_workspace: Path
):
    workspace = Workspace(app_workspace)
    page = open_page("data")
    page.get_by_role("tab", name="Bring your own").click()
    offer(page, "mine", "events.csv", f"{GOOD}\n,13,i1,\n")
    page.get_by_text("mine is imported: 12 events of 1 people and 4 items, 1 rows rejected").wait_for()
    page.get_by_text("empty person").first.wait_for()
    assert "dataset=mine" not in page.url
    before = open_dataset(workspace, "mine").hash

    settled(page)
    page.get_by_text("Replace a data set of this name").click()
    offer(page, "mine", "broken.csv", BROKEN)
    page.get_by_text(re.compile("^broken.csv has no column 'person'")).wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
    assert open_dataset(workspace, "mine").hash == before
    assert [path.name for path in app_workspace.iterdir() if path.name.startswith(".upload")] == []

    settled(page)
    page.get_by_text("Replace a data set of this name").click()
    offer(page, "mine", "events.csv", f"{GOOD}\nbob,20,i1,")
    page.get_by_text("waits: 13 events of 2 people and 4 items, 0 rows rejected").wait_for()
    assert open_dataset(workspace, "mine").hash == before
    page.get_by_role("button", name="Accept: replace mine").click()
    page.get_by_text("The new version of mine has taken the place of the old one.").wait_for()
    assert open_dataset(workspace, "mine").n_people == 2

    settled(page)
    offer(page, "other", "events.csv", GOOD)
    page.get_by_role("button", name="Use other").click()
    page.wait_for_url(re.compile("dataset=other"))
    settled(page)
    page.get_by_role("tab", name="This data set").click()
    assert page.get_by_text("Read the life of person ann").is_visible()
