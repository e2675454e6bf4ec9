"""Parquet in parts: the files of the folder in the order of their names, and nothing beside or below."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.errors import CorruptFileError, EmptyDataError, InvalidDataError


def write_parts(folder: Path, *parts: dict[str, list]) -> Path:
    folder.mkdir(parents=True)
    for number, columns in enumerate(parts):
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def events(person: str, times: list[int]) -> dict[str, list]:
    return {"person": [person] * len(times), "time": times, "item": [f"i{t}" for t in times]}


@pytest.mark.parametrize("name", ["in", "in[s]", "person=zzz"])
def test_parts_are_one_table_with_rows_numbered_through(workspace, tmp_path, name):
    write_parts(tmp_path / "ins" / "events.parquet", events("foreign", [9]))
    path = tmp_path / name
    write_parts(path / "events.parquet", events("p", [1, 2, 3]), events("q", [4, -5]))
    answer = import_table(workspace, path, "data")
    data = open_dataset(workspace, "data")
    assert (answer["events"], answer["rejected"], data.person_ids) == (4, 1, ["p", "q"])
    (row,) = [p for p in report(data)["problems"] if p["kind"] == "negative_time"]
    assert row["example_rows"] == [5]
    assert import_table(workspace, path / "events.parquet", "alone")["events"] == 4


def test_items_in_parts_keep_their_pictures(workspace, tmp_path):
    pictures = []
    for colour in ("red", "blue"):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(out, "PNG")
        pictures.append(out.getvalue())
    write_parts(tmp_path / "in" / "events.parquet", events("p", [1, 2]))
    write_parts(
        tmp_path / "in" / "items.parquet",
        {"item": ["i1"], "image": pictures[:1]},
        {"item": ["i2"], "image": pictures[1:]},
    )
    import_table(workspace, tmp_path / "in", "data")
    assert open_dataset(workspace, "data").has_picture.tolist() == [False, True, True]


def test_parts_that_do_not_fit_are_refused_by_name(workspace, tmp_path):
    other = {**events("q", [2]), "time": ["2"]}
    write_parts(tmp_path / "types" / "events.parquet", events("p", [1]), other)
    with pytest.raises(
        InvalidDataError, match=r"part-1\.parquet has the columns .*'time' VARCHAR.* part-0\.parquet has"
    ):
        import_table(workspace, tmp_path / "types", "data")
    folder = write_parts(tmp_path / "nested" / "events.parquet", events("p", [1]))
    write_parts(folder / "year=2024", events("q", [2]))
    with pytest.raises(InvalidDataError, match="holds 'year=2024', which is no Parquet file"):
        import_table(workspace, tmp_path / "nested", "data")
    write_parts(tmp_path / "none" / "events.parquet")
    with pytest.raises(EmptyDataError, match="has no part"):
        import_table(workspace, tmp_path / "none", "data")
    cut = write_parts(tmp_path / "cut" / "events.parquet", events("p", [1]), events("q", [2])) / "part-1.parquet"
    cut.write_bytes(cut.read_bytes()[:50])
    with pytest.raises(CorruptFileError, match=r"part-1\.parquet cannot be read as parquet"):
        import_table(workspace, tmp_path / "cut", "data")
