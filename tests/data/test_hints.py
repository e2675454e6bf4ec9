"""Hints are of the `table` format, name columns that exist, and say nothing of an items file that lacks them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seminar_core.data.hints import make_hints
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError, CorruptFileError, MissingColumnError, SeminarError


def folder_of(path: Path, **files: str) -> Path:
    path.mkdir()
    for stem, text in files.items():
        (path / f"{stem}.csv").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[columns]\npersn = "userId"\n', "column 'persn' is none that an event or an item has"),
        ("[columns]\nperson = 1\n", "column person 1 is no text"),
        ('columns = "person"\n', "columns 'person' is no table of names"),
        ('columns = ["person"]\n', "is no table of names"),
        ("delimiter = 5\n", "delimiter 5 is no text"),
        ("encoding = true\n", "encoding True is no text"),
        ('header = "no"\n', "header 'no' is neither true nor false"),
        ("time_unit = 1\n", "time_unit 1 is no text"),
        ("time_format = [1]\n", r"time_format \[1\] is no text"),
    ],
)
def test_a_hint_of_a_wrong_type_or_column_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "hints.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        make_hints(tmp_path / "hints.toml")


def test_a_misspelt_column_of_the_file_is_refused_with_those_that_it_has(workspace, tmp_path):
    path = folder_of(tmp_path / "in", events="userId,time,item\np,1,a\n", items="item,name\na,x\n")
    with pytest.raises(MissingColumnError, match=r"events\.csv has no column 'usrId'; it has 'userId', 'time', 'item'"):
        import_table(workspace, path, "data", hints=make_hints(columns=["person=usrId"]))
    told = make_hints(columns=["person=userId", "title=nmae"])
    with pytest.raises(MissingColumnError, match=r"items\.csv has no column 'nmae'; it has 'item', 'name'"):
        import_table(workspace, path, "data", hints=told)
    (path / "items.csv").unlink()
    with pytest.raises(ConfigError, match="column 'title' was told and"):
        import_table(workspace, path, "data", hints=told)


def test_an_items_file_has_a_header_and_may_lack_what_is_told_of_the_events(workspace, tmp_path):
    path = folder_of(tmp_path / "in", events="p,1,a\nq,2,b\n", items="item,title\na,lamp\nb,chair\n")
    import_table(workspace, path, "numbers", hints=make_hints(columns=["person=1", "time=2", "item=3"], header=False))
    import_table(workspace, path, "places", hints=make_hints(header=False))
    (path / "events.csv").write_text("person,time,movieId\np,1,a\nq,2,b\n")
    import_table(workspace, path, "name", hints=make_hints(columns=["item=movieId"]))
    for name in ("numbers", "places", "name"):
        data = open_dataset(workspace, name)
        assert data.item_ids[1:] == ["a", "b"] and list(data.titles)[1:] == ["lamp", "chair"], name


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("events.csv.gz", b"person,time,item\np,1,\xff\n"),
        ("events.csv.gz", b""),
        ("events.csv.gz", b"person,time,person\np,1,a\n"),
        ("events.jsonl.gz", b'{"person": "p", "time": 1, "item"\n'),
        ("events.jsonl.gz", b"7\n"),
    ],
)
def test_a_packed_file_is_named_by_its_own_path(workspace, tmp_path, name, data):
    (tmp_path / name).write_bytes(gzip.compress(data))
    with pytest.raises(SeminarError) as caught:
        import_table(workspace, tmp_path, "data")
    assert str(tmp_path / name) in caught.value.message and ".partial-" not in caught.value.message


def test_text_in_another_encoding_is_named_by_its_own_path(workspace, tmp_path):
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b"person,time,item\np,1,\xff\n"))
    with pytest.raises(CorruptFileError) as caught:
        import_table(workspace, tmp_path, "data", hints=make_hints(encoding="ascii"))
    assert caught.value.message.startswith(f"{tmp_path / 'events.csv.gz'} is not text in ascii")
