"""The station Data says what the report says, and an upload is reported before it is used."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from app.stations.data import figures, uploads
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.errors import InvalidDataError, MissingColumnError
from seminar_core.progress import silent
from seminar_core.workspace import Workspace
from tests.app.conftest import cards_of, words_of


def test_the_counts_are_the_reports(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "data", dataset="tiny")
    said = report(open_dataset(tiny_workspace, "tiny"))
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown["People"] == f"{said['people']:,}" and shown["Events"] == f"{said['events']:,}"
    assert shown["Events with a query"] == f"{said['events_with_query']:,}"
    words = words_of(at)
    for problem in said["problems"]:
        assert problem["kind"].replace("_", " ") in words and problem["hint"] in words


def test_the_catalogue_says_how_much_of_it_is_shown(open_app, tiny_workspace):
    group = cards_of(open_app(tiny_workspace, "data", dataset="tiny"), "catalogue")[0]
    assert group["note"] == "showing the first 24 of 60 items" and len(group["cards"]) == 24
    assert any(card["image"].startswith("data:image/webp;base64,") for card in group["cards"])


def test_a_data_set_without_a_run_offers_a_first_one(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.datasets, workspace.datasets)
    at = open_app(workspace, "data", dataset="tiny")
    assert "No trained run yet" in words_of(at)
    assert at.button(key="first_run_start").label == "Train a small run now"


class Upload:
    def __init__(self, name: str, frame: pd.DataFrame):
        self.name, self.frame = name, frame

    def getvalue(self) -> bytes:
        return self.frame.to_csv(index=False).encode()


EVENTS = pd.DataFrame({"person": ["a", "a", "b"], "time": [1, 2, 3], "item": ["x", "y", "x"], "query": ["q", "", ""]})


def test_an_upload_is_imported_and_its_file_is_gone(workspace):
    items = pd.DataFrame({"item": ["x", "y"], "title": ["<b>X</b>", "Y"]})
    said = uploads.import_upload(workspace, "mine", Upload("e.csv", EVENTS), Upload("i.csv", items), silent)
    assert said["events"] == 3 and open_dataset(workspace, "mine").titles[1] == "<b>X</b>"
    assert [p.name for p in workspace.root.iterdir() if p.name.startswith(".upload")] == []


def test_an_upload_of_another_kind_is_refused_and_nothing_is_left(workspace):
    with pytest.raises(InvalidDataError, match=r"e\.xls"):
        uploads.import_upload(workspace, "mine", Upload("e.xls", EVENTS), None, silent)
    assert not workspace.datasets.exists() and list(workspace.root.iterdir()) == []


def test_what_is_wrong_with_an_upload_names_the_file_as_it_was_uploaded(workspace):
    with pytest.raises(MissingColumnError) as refused:
        uploads.import_upload(
            workspace, "mine", Upload("e.csv", EVENTS.rename(columns={"person": "who"})), None, silent
        )
    assert refused.value.message.startswith("e.csv has no column 'person'") and ".upload" not in refused.value.hint


def test_lengths_and_months_count_everybody_once():
    lengths = pd.Series([1, 1, 5, 300, 2000]).to_numpy()
    assert figures.length_table(lengths).people.sum() == 5
    assert figures.length_table(lengths[:0]).empty
    table = figures.month_table(lengths, lengths > 4)
    assert table.browsing.sum() == 2 and table.search.sum() == 3


def test_a_report_of_an_upload_says_whether_it_is_chosen(open_app, tiny_workspace):
    done = {"dataset": "tiny", "events": 9, "people": 2, "items": 3, "rejected": 1, "seconds": 0.1}
    at = open_app(tiny_workspace, "data", dataset="sample")
    at.session_state["uploaded"] = done
    at.run()
    assert "Nothing uses it until you choose it" in words_of(at)
    assert "rows are counted from 1, the header not counted" in words_of(at)
    at.button(key="use_upload").click().run()
    assert "It is chosen now" in words_of(at) and "Nothing uses it" not in words_of(at)
    assert at.button(key="upload_life").label == "Read a life of it" and not at.exception
