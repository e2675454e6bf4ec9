"""The data report: the keys that the command line promises, right numbers, problems with rows to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seminar_core.data.report import example_row, report
from seminar_core.workspace import Workspace
from tests.data.table_text import imported, problems, write_csv
from tests.tiny import make_dataset

EVENTS = """
    person,time,item,query
    a,10,x,
    b,10,x,lamp
    a,5,y,
    a,10,x,
    b,11,z,
    b,12,q,lamp
"""
ITEMS = "item,title,price\nx,X,\ny,,\nz,Z,\n"


def test_a_worked_example(workspace: Workspace, tmp_path: Path) -> None:
    found = report(imported(workspace, write_csv(tmp_path / "in", EVENTS, ITEMS)))
    lines = found.pop("problems")
    assert found.pop("guesses")["items_delimiter"] == {"value": ",", "from": "the first line"}
    assert found == {
        "events": 6,
        "people": 2,
        "items": 4,
        "events_with_query": 2,
        "items_with_text": 2,
        "items_with_image": 0,
        "life_length": {"median": 3.0, "p90": 3.0, "max": 3},
        "items_never_met": 0,
        "first_time_s": 5,
        "last_time_s": 12,
        "read_as": {
            "delimiter": ",",
            "encoding": "utf-8",
            "header": True,
            "time_unit": "s",
            "time_format": None,
        },
        "tied_time_frac": 2 / 6,
        "example_person": "b",
    }
    assert {line["kind"]: (line["count"], line["example_rows"]) for line in lines} == {
        "unsorted": (1, [3]),
        "duplicate_event": (1, [4]),
        "tied_time": (2, [1, 4]),
        "item_without_text": (1, [2]),
        "item_without_image": (3, [1, 2, 3]),
        "unknown_item": (1, [6]),
    }
    assert all(set(line) == {"kind", "count", "example_rows", "hint"} and line["hint"] for line in lines)


def test_repeated_events_are_kept(workspace: Workspace, tmp_path: Path) -> None:
    data = imported(workspace, write_csv(tmp_path / "in", EVENTS, ITEMS))
    assert data.store.lengths.tolist() == [3, 3]
    assert "kept" in problems(data)["duplicate_event"]["hint"]


def test_events_alone_are_enough_and_the_report_says_what_is_missing(workspace: Workspace, tmp_path: Path) -> None:
    data = imported(workspace, write_csv(tmp_path / "in", EVENTS))
    assert data.item_ids == ["", "q", "x", "y", "z"]
    assert problems(data)["no_items_file"]["hint"].startswith("items come from the events alone")


def test_at_most_five_example_rows(workspace: Workspace) -> None:
    data = make_dataset(workspace)
    assert all(len(row["example_rows"]) <= 5 for row in problems(data).values())


def test_numbers_agree_with_the_tables(workspace: Workspace) -> None:
    data = make_dataset(workspace)
    found, store = report(data), data.store
    assert found["events_with_query"] == (store.query > 0).sum() == data.people_frame()["searches"].sum()
    assert found["items_with_image"] == data.has_picture.sum()
    assert found["life_length"]["max"] == store.lengths.max()
    assert data.items_frame()["events"].tolist() == np.bincount(store.item, minlength=data.n_items + 1)[1:].tolist()
    tied = 0
    for row in range(store.n_people):
        _, counts = np.unique(store.life(row).time_s, return_counts=True)
        tied += counts[counts > 1].sum()
    assert found["tied_time_frac"] == pytest.approx(tied / store.n_events)


def test_the_example_person_has_a_long_life_with_searches() -> None:
    lengths = np.array([500, 490, 10, 480, 20, 30, 40, 50, 60, 70])
    assert example_row(lengths, np.array([0, 3, 10, 400, 0, 0, 0, 0, 0, 0])) == 0  # only the longest tenth counts
    assert example_row(np.full(4, 7), np.array([1, 5, 5, 0])) == 1
