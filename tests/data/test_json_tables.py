"""JSON lines: what a key holds on one line decides nothing about another; every value is read as it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seminar_core.data.dataset import Dataset
from seminar_core.data.hints import Hints
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.errors import CorruptFileError, EmptyDataError, InvalidDataError, SeminarError
from seminar_core.workspace import Workspace
from tests.data.table_text import problems

MANY = 21_000  # more lines than duckdb looks at to guess a type


def lines(path: Path, *records: dict[str, Any], stem: str = "events") -> Path:
    path.mkdir(exist_ok=True)
    (path / f"{stem}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read(workspace: Workspace, path: Path, **hints: Any) -> Dataset:
    import_table(workspace, path, "data", hints=Hints(**hints))
    return open_dataset(workspace, "data")


def event(item: object = "a", time: object = 1, person: object = "u", **more: object) -> dict[str, object]:
    return {"person": person, "time": time, "item": item, **more}


@pytest.mark.parametrize("first", [2**63, 12345678901234567890, 10**30, -5])
def test_ids_of_any_size_stay_apart(workspace, tmp_path, first):
    ids = [first + n for n in range(50)]
    data = read(workspace, lines(tmp_path / "in", *(event(i, n) for n, i in enumerate(ids))))
    assert sorted(data.item_ids[1:]) == sorted(map(str, ids))


def test_a_late_line_is_judged_by_itself(workspace, tmp_path):
    """After more lines than a guess would read: a fraction, a new key, a text where numbers stood."""
    late = [
        event(5, 1_700_000_000.7, 1),
        event(5, 1_700_000_001, 1, label=0.5),
        event(5, 1_700_000_002, 1, query="shoes"),
        event("b", 1_700_000_003, "u"),
    ]
    path = lines(tmp_path / "in", *(event(5, n, 1, label=1) for n in range(MANY)), *late)
    data = read(workspace, path)
    assert data.n_events == MANY + 3
    assert problems(data)["bad_label"]["example_rows"] == [MANY + 2]
    assert (data.person_ids, data.item_ids[1:], data.query_texts[1:]) == (["1", "u"], ["5", "b"], ["shoes"])
    assert data.store.life(0).time_s.tolist()[-2:] == [1_700_000_000, 1_700_000_002]


def test_one_bad_value_costs_its_own_line_alone(workspace, tmp_path):
    path = lines(tmp_path / "in", event(1, 1), event("x", "bad"), event("y", True), event(2.0, "1970-01-01T00:00:03Z"))
    data = read(workspace, path)
    assert data.item_ids[1:] == ["1", "2"] and data.store.life(0).time_s.tolist() == [1, 3]
    assert problems(data)["unreadable_time"]["example_rows"] == [2, 3]


def test_dates_are_texts_as_in_csv(workspace, tmp_path):
    path = lines(tmp_path / "in", event("2024-05-01", "2024-05-01T10:00:00", query="2024-05-02"))
    for hints in ({}, {"time_format": "%Y-%m-%dT%H:%M:%S"}):
        data = read(workspace, path, **hints)
        assert (data.item_ids[1:], data.query_texts[1:]) == (["2024-05-01"], ["2024-05-02"])
        assert data.store.life(0).time_s.tolist() == [1_714_557_600]


def test_null_and_nan_are_empty(workspace, tmp_path):
    nan = float("nan")
    data = read(workspace, lines(tmp_path / "in", event(query=None, label=nan), event(2, nan), event(nan, 3, query="")))
    assert data.n_events == 1 and data.query_texts == [""] and data.store.label.tolist() == [-1]
    found = problems(data)
    assert found["empty_time"]["example_rows"] == [2] and found["empty_item"]["example_rows"] == [3]


def test_items_have_lists_texts_and_numbers_and_name_what_is_neither(workspace, tmp_path):
    path = lines(tmp_path / "in", event("a"), event("b"))
    first = {"item": "a", "title": 1984, "category": "x|y", "tags": [1, "two"], "price": {"eur": 5}, "k'e\"y": "v"}
    lines(path, first, {"item": "b", "title": '["A"]', "category": ["z", None], "tags": None}, stem="items")
    data = read(workspace, path)
    assert data.titles == [None, "1984", '["A"]']
    values = [{data.attribute_values[v] for v in row if v} for row in data.attributes[1:]]
    assert values == [{"category=x", "category=y", "tags=1", "tags=two", "k'e\"y=v"}, {"category=z"}]
    assert "column 'price' of the items is neither text nor a list" in problems(data)["ignored_column"]["hint"]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ('{"person": "u", "Person": "v", "time": 1, "item": "a"}', InvalidDataError, "column 'Person' occurs twice"),
        ('{"person": "u", "time": 1, "item": "a", "": 2}', InvalidDataError, "a key is empty"),
        ('{"person": {"id": 1}, "time": 1, "item": "a"}', InvalidDataError, "'person' has the type OBJECT"),
        ('{"person": "u", "time": 1, "item": ["a"]}', InvalidDataError, r"'item' has the type VARCHAR\[\]"),
        ("{}\n{}", EmptyDataError, "has no line with a key"),
        ('{"person": "u"}\n[1]', CorruptFileError, "line 2: Expected OBJECT"),
    ],
)
def test_what_is_no_table_is_named(workspace, tmp_path, text, kind, words):
    (tmp_path / "events.jsonl").write_text(text + "\n")
    with pytest.raises(SeminarError, match=words) as caught:
        import_table(workspace, tmp_path, "data")
    assert type(caught.value) is kind
