"""What fuzzing found, each as the smallest input that showed it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.parameters import PARAMETERS, read_query
from seminar_core.data.hints import make_hints
from seminar_core.data.importers.table import import_table
from seminar_core.errors import CorruptFileError, InvalidDataError, SeminarError
from seminar_core.training.recipe import FinetuneConfig
from seminar_core.training.settings import load_config
from tests.fuzz.inputs import File
from tests.fuzz.properties import hint_files, tables, vectors


@pytest.mark.parametrize("name", ["e_time_s", "e_reason", "e_person"])
def test_a_column_with_a_name_of_ours_is_only_ignored(workspace, tmp_path, name):
    (tmp_path / "events.csv").write_text(f"person,time,item,{name}\np,1,a,x\n")
    assert import_table(workspace, tmp_path, "data")["events"] == 1


@pytest.mark.parametrize("name", ["__row", "__problem", "__extra", "__item"])
def test_a_column_name_that_the_import_needs_is_refused(workspace, tmp_path, name):
    for ending in ("csv", "parquet"):
        folder = tmp_path / ending
        folder.mkdir()
        (folder / "events.csv").write_text("person,time,item\np,1,a\n")
        if ending == "csv":
            (folder / "items.csv").write_text(f"item,{name}\na,x\n")
        else:
            pq.write_table(pa.table({"item": ["a"], name: ["x"]}), folder / "items.parquet")
        with pytest.raises(InvalidDataError, match=f"the column name '{name}' is kept"):
            import_table(workspace, folder, "data")


def test_a_damaged_arrow_schema_and_text_that_is_not_utf8_are_named(workspace, tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"person": ["p"] * 9, "time": range(9), "item": ["a"] * 9, "vector": [[1.0]] * 9}), path)
    whole = path.read_bytes()
    at = whole.index(b"ARROW:schema")
    for place in range(at, len(whole) - 8, 89):  # each a file of its own, of events, of items, of vectors
        data = bytearray(whole)
        data[place] ^= 0xFF
        tables((File("events.parquet", bytes(data)), None))
        tables((File("events.csv", b"person,time,item\np,1,a\n"), File("items.parquet", bytes(data))))
        vectors(bytes(data))
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    pq.write_table(pa.table({"person": bad, "time": [1], "item": ["a"]}), path)
    with pytest.raises(CorruptFileError, match=r"events\.parquet cannot be read as parquet"):
        import_table(workspace, path, "data")


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, ".".join(["a"] * 5000) + " = 1"])
def test_toml_nested_out_of_reason_is_named(tmp_path, text):
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=r"deep\.toml is not TOML"):
        load_config(FinetuneConfig, path)
    with pytest.raises(SeminarError):
        make_hints(path)
    hint_files(Path(path).read_bytes().replace(b"a", b"columns"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("of", "PQ16x8"), ("lanes", "x"), ("figure", "x"), ("correction", "x"), ("view", "x"), ("drawing", "x"),
     ("part", "x"), ("clock", "x"), ("picture", "x")],
)  # fmt: skip
def test_a_link_with_a_choice_that_is_not_offered_says_so(name, value):
    choices, (notice,) = read_query({name: value})
    assert choices[name] == PARAMETERS[name].default and f"“{name}={value}” is not" in notice
