"""The station Data says what the report says, and an upload is reported before it is used."""

from __future__ import annotations

import ast
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import seminar_core
from app import limits, loaders
from app.stations.data import figures
from app.stations.data import loaders as sources
from app.stations.data.hints import for_page
from seminar_core.data.event_source import HINTS
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.data.versions import remove_released
from seminar_core.workspace import Workspace
from tests.app.conftest import cards_of, words_of

CORE = Path(seminar_core.__file__).parent / "data"


def said_by_imports() -> list[str]:
    """Every hint in the sources of what a table's import runs through."""
    files = [
        "catalogue",
        "limits",
        "table_files",
        "tables/json_lines",
        "tables/text",
        "scratch",
        "report",
        "build",
        "hints",
        "importers/table",
    ]
    found = []
    for name in files:
        tree = ast.parse((CORE / f"{name}.py").read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for keyword in call.keywords:
                if keyword.arg == "hint":
                    found.append("".join(str(n.value) for n in ast.walk(keyword.value) if isinstance(n, ast.Constant)))
    return sorted(set(found))


def test_the_counts_are_the_reports(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "data", dataset="tiny")
    said = report(open_dataset(tiny_workspace, "tiny"))
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown["People"] == f"{said['people']:,}" and shown["Events"] == f"{said['events']:,}"
    assert shown["Events with a query"] == f"{said['events_with_query']:,}"
    words = words_of(at)
    for problem in said["problems"]:
        assert problem["kind"].replace("_", " ") in words and problem["hint"] in words


def test_the_report_of_a_mended_file_is_shown_though_the_content_is_the_same(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "workspace")
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
    file, rows = tmp_path / "events.csv", "person,time,item\nu1,1600000000,a\nu2,1600000010,b\n"

    def told(text: str) -> tuple[str, list[str], int, list[str], int]:
        file.write_text(text)
        import_table(workspace, file, "data")
        dataset, waits = loaders.dataset("data"), sources.offered_report("data", loaders.dataset("data").hash)
        of = (loaders.report("data"), waits[0])
        kinds = [[problem["kind"] for problem in said["problems"]] for said in of]
        rejected = [manifest["counts"]["rejected"] for manifest in (dataset.manifest, waits[1])]
        return dataset.hash, kinds[0], rejected[0], kinds[1], rejected[1]

    content, *damaged = told(rows + "u3,soon,a\n")
    assert damaged == [["unreadable_time", "no_items_file"], 1] * 2
    assert told(rows) == (content, *[["no_items_file"], 0] * 2)


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


EVENTS = b"person,time,item,query\na,1,x,q\na,2,y,\nb,3,x,\n"


def offer(at: AppTest, name: str, text: bytes = EVENTS, file: str = "e.csv", *, replace: bool = False) -> AppTest:
    """Fill the form of "Bring your own", press its button, and wait for the import to end."""
    at.file_uploader(key="upload_events").set_value((file, text, "text/csv"))
    at.text_input(key="upload_name").set_value(name)
    at.checkbox(key="upload_replace").set_value(replace)
    at.button(key="FormSubmitter:upload-Check and import").click().run()
    return ended(at)


def ended(at: AppTest) -> AppTest:
    """The page when no import of it is under way any more."""
    until = time.monotonic() + 120
    while "upload_job" in at.session_state and time.monotonic() < until:
        time.sleep(0.2)
        at.run()
    assert "upload_job" not in at.session_state and not at.exception
    return at


def test_an_upload_whose_job_was_forgotten_meanwhile_gives_way_to_the_form(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "data", dataset="tiny")
    at.session_state["upload_job"] = "import-0042"
    at.run()
    assert not at.exception and not at.error and "upload_job" not in at.session_state
    assert at.file_uploader(key="upload_events")


def left_over(workspace: Workspace) -> list[str]:
    return [p.name for p in (*workspace.root.iterdir(), *workspace.datasets.iterdir()) if p.name[:2] in (".u", ".p")]


def test_an_upload_is_imported_by_a_job_and_its_report_says_how_it_was_read(open_app, workspace):
    at = offer(open_app(workspace, "data"), "mine", EVENTS + b"c,soon,z,\n")
    words = words_of(at)
    assert "mine is imported: 3 events of 2 people and 2 items, 1 rows rejected" in words
    assert "Read as: delimiter comma (the first line)" in words and "ids of people text ('a' among 2" in words
    assert "0 of 2 items never met (0%)" in words and "Nothing uses it until you choose it" in words
    assert "say how they are written: “Format of times”" in words and "--" not in words
    assert open_dataset(workspace, "mine").n_events == 3 and left_over(workspace) == []


def test_a_replacing_upload_waits_with_its_report_and_is_accepted_or_discarded(open_app, workspace):
    at = offer(open_app(workspace, "data"), "mine")
    old = open_dataset(workspace, "mine").hash
    for button, people, words in (("discard_mine", 2, "was discarded"), ("accept_mine", 3, "has taken the place")):
        at = offer(at, "mine", EVENTS + b"c,9,z,\n", replace=True)
        assert "A new version of **mine** waits: 4 events of 3 people and 3 items" in words_of(at)
        assert open_dataset(workspace, "mine").hash == old
        at.button(key=button).click().run()
        assert words in words_of(at) and not at.exception
        assert open_dataset(workspace, "mine").n_people == people
        loaders._dataset.clear()  # what an open page reads stays until it is let go
        remove_released(workspace)
        kept = [path.name for path in workspace.dataset_dir("mine").iterdir() if path.is_dir()]
        assert kept == [open_dataset(workspace, "mine").hash] and left_over(workspace) == []


def test_a_version_that_waits_is_shown_to_a_page_that_is_loaded_anew(open_app, workspace):
    offer(offer(open_app(workspace, "data"), "mine"), "mine", EVENTS + b"c,9,z,\n", replace=True)
    assert "A new version of **mine** waits" in words_of(open_app(workspace, "data"))


def test_what_is_wrong_with_an_upload_is_said_in_the_words_of_the_page(open_app, workspace):
    at = offer(open_app(workspace, "data"), "mine", EVENTS.replace(b"person", b"who"), "Mein Log.csv")
    words = words_of(at)
    assert "Mein Log.csv has no column 'person'" in words and "“Columns by other names” person=NAME" in words
    assert "--" not in words and str(workspace.root) not in words and left_over(workspace) == []
    at.text_input(key="upload_columns").set_value("person=who")
    at = offer(at, "mine", EVENTS.replace(b"person", b"who"))
    assert "mine is imported: 3 events" in words_of(at) and open_dataset(workspace, "mine").person_ids == ["a", "b"]


def test_a_limit_is_refused_with_its_number_and_the_variable_that_changes_it(open_app, workspace, monkeypatch):
    monkeypatch.setenv("SEMINAR_UPLOAD_ROWS", "2")
    words = words_of(offer(open_app(workspace, "data"), "mine"))
    assert "e.csv has 3 rows, at most 2 may be imported" in words and "SEMINAR_UPLOAD_ROWS" in words
    assert "--most" not in words
    monkeypatch.setenv("SEMINAR_SESSION_UPLOAD_MB", "1")
    at = open_app(workspace, "data")
    at.session_state[limits.UPLOADED] = 999_990
    words = words_of(offer(at, "mine"))
    assert "this session has uploaded 1.0 MB already" in words and "SEMINAR_SESSION_UPLOAD_MB" in words


def test_a_controls_nonsense_is_refused_before_anything_starts(open_app, workspace):
    at = open_app(workspace, "data")
    at.text_input(key="upload_time_format").set_value("iso")
    assert "time format 'iso' has no %" in words_of(offer(at, "mine"))
    assert not workspace.jobs.exists()


@pytest.mark.parametrize("text", [*HINTS.values(), *said_by_imports()])
def test_no_hint_on_the_page_asks_for_a_command_line_or_a_folder(text):
    words = for_page(text)
    assert "--" not in words and "pictures/" not in words and "items.parquet" not in words


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
