"""Bad input: each a named error with value, place and next step, or a line of the report with row numbers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import known_datasets
from seminar_core.errors import (
    CorruptFileError,
    EmptyDataError,
    InvalidDataError,
    MissingColumnError,
    MissingFileError,
    SeminarError,
    UnsafePathError,
)
from seminar_core.workspace import Workspace
from tests.data.table_text import imported, problems, write_csv
from tests.tiny import write_table


def failure(workspace: Workspace, path: Path, kind: type[SeminarError], rejected: Path | None = None) -> SeminarError:
    """Import `path`, expect the error, and make sure that nothing was left behind."""
    with pytest.raises(kind) as caught:
        import_table(workspace, path, "data", rejected)
    assert "data" not in known_datasets(workspace)
    assert not list(workspace.datasets.glob(".partial-*"))
    return caught.value


def test_a_path_that_does_not_exist(workspace: Workspace, tmp_path: Path) -> None:
    error = failure(workspace, tmp_path / "nowhere", MissingFileError)
    assert error.message == f"{tmp_path}/nowhere does not exist"
    assert error.hint == "give a directory with events.parquet or events.csv"


def test_a_directory_without_events(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    error = failure(workspace, tmp_path / "in", MissingFileError)
    assert error.message.endswith("in has neither events.parquet nor events.csv")
    assert "docs/data-format.md" in error.hint


def test_two_events_files(workspace: Workspace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in", "person,time,item\np,1,a\n")
    (path / "events.parquet").write_bytes(b"PAR1")
    error = failure(workspace, path, InvalidDataError)
    assert "both events.parquet and events.csv" in error.message


def test_an_ending_that_is_not_known(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "events.xlsx").write_bytes(b"x")
    error = failure(workspace, tmp_path / "events.xlsx", InvalidDataError)
    assert "ends in '.xlsx', expected one of .parquet, .csv" in error.message


@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_a_file_of_no_bytes(workspace: Workspace, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    error = failure(workspace, tmp_path / name, EmptyDataError)
    assert error.message == f"{tmp_path / name} is empty (0 bytes)"
    assert error.hint == "export it again: it needs a header and rows"


def test_a_header_without_rows(workspace: Workspace, tmp_path: Path) -> None:
    error = failure(workspace, write_csv(tmp_path / "in", "person,time,item"), EmptyDataError)
    assert error.message.endswith("events.csv has a header but no row")
    pq.write_table(pa.table({n: pa.array([], pa.string()) for n in ("person", "time", "item")}), tmp_path / "e.parquet")
    assert "no row" in failure(workspace, tmp_path / "e.parquet", EmptyDataError).message


def test_a_missing_column_names_those_that_are_there(workspace: Workspace, tmp_path: Path) -> None:
    error = failure(workspace, write_csv(tmp_path / "in", "user,time,item\np,1,a\n"), MissingColumnError)
    assert error.message.endswith("events.csv has no column 'person'; it has 'user', 'time', 'item'")
    assert "--column person=NAME" in error.hint and "--no-header" in error.hint


def test_a_column_that_occurs_twice(workspace: Workspace, tmp_path: Path) -> None:
    error = failure(workspace, write_csv(tmp_path / "in", "person,time,item,Time\np,1,a,2\n"), InvalidDataError)
    assert "column 'Time' occurs twice" in error.message


def test_a_column_of_a_type_that_cannot_hold_its_values(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"person": ["p"], "time": [True], "item": ["a"]}), path)
    assert "column 'time' has the type BOOLEAN" in failure(workspace, path, InvalidDataError).message
    pq.write_table(pa.table({"person": ["p"], "time": [1], "item": [["a", "b"]]}), path)
    assert "column 'item' has the type VARCHAR[]" in failure(workspace, path, InvalidDataError).message


def test_a_parquet_cut_short(workspace: Workspace, tmp_path: Path) -> None:
    whole = (write_table(tmp_path / "in") / "events.parquet").read_bytes()
    path = tmp_path / "events.parquet"
    for size in (len(whole) // 2, 6):
        path.write_bytes(whole[:size])
        error = failure(workspace, path, CorruptFileError)
        assert error.message.startswith(f"{path} cannot be read as parquet: ")
        assert error.hint == "the file may be truncated or of another format: write or download it again"


def test_a_parquet_damaged_inside(workspace: Workspace, tmp_path: Path) -> None:
    path = write_table(tmp_path / "in") / "events.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[200:900] = b"\xff" * 700
    path.write_bytes(damaged)
    failure(workspace, path, CorruptFileError)


def test_a_csv_that_is_not_utf8(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes("person,time,item\nJosé,1,a\n".encode("latin-1"))
    error = failure(workspace, tmp_path / "events.csv", CorruptFileError)
    assert "line 2, is not UTF-8: byte 0xe9" in error.message and "--encoding latin-1" in error.hint


def test_a_folder_for_rejected_rows_that_does_not_exist(workspace: Workspace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in", "person,time,item\np,1,a\n")
    error = failure(workspace, path, MissingFileError, tmp_path / "no" / "rejected.csv")
    assert "rejected rows cannot be written" in error.message


def test_no_row_left_names_the_reasons_and_still_writes_them(workspace: Workspace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in", "person,time,item\n,1,a\np,x,a\np,y,a\n")
    error = failure(workspace, path, EmptyDataError, tmp_path / "rejected.csv")
    assert "all 3 rows were rejected (1 empty_person, 2 unreadable_time)" in error.message
    assert "--time-format" in error.hint
    assert len((tmp_path / "rejected.csv").read_text().splitlines()) == 4


def test_more_actions_than_a_byte_can_number(workspace: Workspace, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"person": ["p"] * 300, "time": range(300), "item": ["i"] * 300, "action": map(str, range(300))}),
        tmp_path / "events.parquet",
    )
    error = failure(workspace, tmp_path / "events.parquet", InvalidDataError)
    assert "300 different values, at most 255" in error.message


def test_every_bad_row_has_one_reason_and_its_number(workspace: Workspace, tmp_path: Path) -> None:
    events = """
        person,time,item,label
        p,1,a,1
        ,1,a,1
        p,1, ,1
        p,,a,1
        p,yesterday,a,1
        p,-5,a,1
        p,1700000000000,a,1
        p,inf,a,1
        p,1,a,2
        p,1,a,yes
        p,1,a,nan
        p,1,a,1.0
        p,1,a,1,more
        p,2
    """
    data = imported(workspace, write_csv(tmp_path / "in", events))
    found = {kind: (row["count"], row["example_rows"]) for kind, row in problems(data).items()}
    assert found | {"no_items_file": None, "tied_time": None, "duplicate_event": None} == {
        "empty_person": (1, [2]),
        "empty_item": (2, [3, 14]),
        "empty_time": (1, [4]),
        "unreadable_time": (2, [5, 8]),
        "negative_time": (1, [6]),
        "time_after_2100": (1, [7]),
        "bad_label": (2, [9, 10]),
        "extra_columns": (1, [13]),
        "no_items_file": None,
        "tied_time": None,
        "duplicate_event": None,
    }
    assert data.n_events == 3
    assert data.store.label.tolist() == [1, -1, 1]
    assert "milliseconds: --time-unit ms" in problems(data)["time_after_2100"]["hint"]


def test_nan_and_infinity_in_number_columns(workspace: Workspace, tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    table = pa.table(
        {
            "person": [1.0, nan, 1.0, 1.0, 1.0, 1.5],
            "time": [1.0, 1.0, nan, inf, -inf, 6.9],
            "item": [2.0] * 6,
            "label": [1.0, 0.0, 0.0, 0.0, 0.0, nan],
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    data = imported(workspace, tmp_path / "events.parquet")
    assert data.person_ids == ["1", "1.5"]
    assert (data.store.time_s.tolist(), data.store.label.tolist()) == ([1, 6], [1, -1])
    found = problems(data)
    assert found["empty_person"]["example_rows"] == [2]
    assert found["unreadable_time"]["example_rows"] == [3, 4, 5]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("label", 1.0, None),
        ("person", 7.0, "empty_person"),
        ("item", 7.0, "empty_item"),
        ("time", 7.5, "unreadable_time"),
    ],
)
def test_nan_beside_one_single_value_is_no_value(workspace: Workspace, tmp_path: Path, name, value, reason) -> None:
    """The statistics in the file say that the column has that one value throughout: they leave NaN out."""
    events = {"person": ["u"] * 3, "time": [1, 2, 3], "item": ["a"] * 3, name: [value, float("nan"), value]}
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    data = imported(workspace, tmp_path)
    found = {kind: row["example_rows"] for kind, row in problems(data).items() if kind == reason or "label" in kind}
    assert found == ({reason: [2]} if reason else {})
    assert data.store.label.tolist() == ([-1, -1] if reason else [1, -1, 1])


def test_an_items_file_without_item_column(workspace: Workspace, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in", "person,time,item\np,1,a\n", "id,title\na,A\n")
    assert "items.csv has no column 'item'; it has id, title" in failure(workspace, path, MissingColumnError).message


def test_items_without_id_twice_or_with_too_many_columns_are_left_out(workspace: Workspace, tmp_path: Path) -> None:
    items = """
        item,title
        a,First
        ,Nameless
        a,Second
        b,Some, comma
        c,Fine
    """
    data = imported(workspace, write_csv(tmp_path / "in", "person,time,item\np,1,a\np,2,q\n", items))
    assert data.titles == [None, "First", "Fine", None]
    found = {kind: (row["count"], row["example_rows"]) for kind, row in problems(data).items()}
    assert found["item_without_id"] == (1, [2])
    assert found["duplicate_item"] == (1, [3])
    assert found["item_extra_columns"] == (1, [4])
    assert found["unknown_item"] == (1, [2])  # a row of the events file


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "pictures/../../secret.png", "link.png"])
def test_a_picture_outside_its_folder_stops_the_import(workspace: Workspace, tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path / "in", "person,time,item\np,1,a\n", f"item,image\na,{name}\n")
    (path / "pictures").mkdir()
    (path / "pictures" / "link.png").symlink_to("/etc/passwd")
    error = failure(workspace, path, UnsafePathError)
    assert f"picture {name!r} lies outside" in error.message


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 90, "a..b"])
def test_a_name_that_would_leave_the_workspace(workspace: Workspace, tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError, match="letters, digits"):
        import_table(workspace, write_csv(tmp_path / "in", "person,time,item\np,1,a\n"), name)
    assert not workspace.root.exists()
