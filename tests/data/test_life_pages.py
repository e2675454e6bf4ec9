"""A page of a life equals the store; people are found by length, by search text and by what a run says of them."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.data.dataset import Dataset
from seminar_core.data.life_pages import life, life_page, rows_at
from seminar_core.errors import ConfigError, CorruptFileError, NotReadyError, UnknownNameError, UnknownPersonError
from seminar_core.lives.people import find_people
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(Workspace(tmp_path_factory.mktemp("pages") / "workspace"), people=15)


def test_every_page_equals_the_store(data: Dataset) -> None:
    for row, person in enumerate(data.person_ids):
        stored = data.store.life(row)
        page = life_page(data, person)
        assert [e["event"] for e in page] == [str(n) for n in range(len(stored))]
        assert [e["time_s"] for e in page] == stored.time_s.tolist()
        assert [e["item"] for e in page] == [data.item_ids[i] for i in stored.item]
        assert [e["title"] for e in page] == [data.titles[i] for i in stored.item]
        assert [e["query"] for e in page] == [data.query_texts[q] or None for q in stored.query]
        assert [e["action"] for e in page] == [data.actions[a] for a in stored.action]
        assert [e["label"] for e in page] == [None if v < 0 else v for v in stored.label.tolist()]


def test_parts_of_a_life(data: Dataset) -> None:
    whole = life_page(data, "p3")
    assert life_page(data, "p3", 2, 5) == whole[2:5]
    assert life_page(data, "p3", -4) == whole[-4:]
    assert life_page(data, "p3", stop=3) == whole[:3]
    assert life_page(data, "p3", 2, 10**9) == whole[2:]
    assert life_page(data, "p3", 5, 5) == []
    assert life(data, "p3", 0, 1) == {"person": "p3", "events": whole[:1]}


def test_an_unknown_person_and_a_page_turned_round(data: Dataset) -> None:
    with pytest.raises(UnknownPersonError, match="person 'p99' is not known") as caught:
        life_page(data, "p99")
    assert caught.value.hint == "did you mean 'p9'?"
    with pytest.raises(ConfigError, match="page from 5 to 2 is empty"):
        life_page(data, "p3", 5, 2)


def test_pages_are_read_by_many_threads(data: Dataset) -> None:
    expected = {p: life_page(data, p) for p in data.person_ids}
    wrong: list[str] = []

    def read() -> None:
        wrong.extend(p for p in data.person_ids if life_page(data, p) != expected[p])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_people_come_longest_first_with_their_searches(data: Dataset) -> None:
    rows = find_people(data, limit=100)
    assert [r["events"] for r in rows] == sorted(data.store.lengths.tolist(), reverse=True)
    assert set(rows[0]) == {"person", "events", "searches", "gap", "pq_loss", "matches"}
    for r in rows:
        stored = data.store.life(data.person_row(r["person"]))
        assert (r["events"], r["searches"]) == (len(stored), (stored.query > 0).sum())
    assert find_people(data, limit=3) == rows[:3]


def test_people_are_found_by_what_they_searched(data: Dataset) -> None:
    rows = find_people(data, "LAMP", limit=100)
    counts = {p: sum("lamp" in (e["query"] or "").lower() for e in life_page(data, p)) for p in data.person_ids}
    assert {r["person"]: r["matches"] for r in rows} == {p: n for p, n in counts.items() if n}
    assert find_people(data, "no such words") == []


def test_people_are_sorted_by_what_a_run_says(data: Dataset) -> None:
    gap = {"p2": 0.5, "p1": 0.9, "p3": None}
    rows = find_people(data, sort="gap", gap=gap, limit=3)
    assert [(r["person"], r["gap"]) for r in rows[:2]] == [("p1", 0.9), ("p2", 0.5)]
    assert rows[2]["gap"] is None
    assert find_people(data, sort="pq-loss", pq_loss={"p7": 0.1}, limit=1)[0]["person"] == "p7"


def test_sorting_needs_a_known_key_a_run_and_a_limit(data: Dataset) -> None:
    with pytest.raises(NotReadyError, match="people have no pq-loss without a run"):
        find_people(data, sort="pq-loss")
    with pytest.raises(UnknownNameError, match="known: gap, length, pq-loss"):
        find_people(data, sort="age")
    with pytest.raises(ConfigError, match="limit 0 is below 1"):
        find_people(data, limit=0)


def test_only_the_row_groups_of_the_page_are_read(tmp_path):
    """Rows over several groups, in ascending order with gaps, are those of the whole table."""
    table = pa.table({"n": range(95), "item": [f"i{n}" for n in range(95)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=10)
    rows = np.array([0, 9, 10, 11, 47, 94])
    assert rows_at(tmp_path / "rows.parquet", rows, ("n",))["n"].to_pylist() == rows.tolist()
    assert rows_at(tmp_path / "rows.parquet", rows, ("item",))["item"].to_pylist() == [f"i{n}" for n in rows]


def test_events_that_lie_elsewhere_than_the_columns_say_are_refused(workspace):
    dataset = make_dataset(workspace, people=3)
    events = dataset.path / "events.parquet"
    table = pq.read_table(events)
    pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))), events)
    with pytest.raises(CorruptFileError, match="does not hold the events of 'p1' where the columns say"):
        life_page(dataset, "p1")
