"""The `table` importer: what is stored, in which order, and that importing is all or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seminar_core.beside import bundled_runs
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import list_datasets, open_dataset
from seminar_core.errors import Cancelled, CorruptFileError, EmptyDataError, ExistsError
from seminar_core.files import read_json
from seminar_core.progress import silent
from seminar_core.sums import problems as problems_of
from seminar_core.workspace import Workspace
from tests.data.table_text import imported, problems, write_csv
from tests.tiny import make_dataset, write_table

EVENTS = """
    person,time,item,query,action,label
    u10,100,b,,,
    u2,50,a,red shoe,click,1
    u2,50,c,,view,0
    u2,20,b,red shoe,buy,
    u10,90,a,lamp,,1
"""
ITEMS = """
    item,title,description,category,brand
    c,Chair,A chair,seat|wood,Nord
    a,Apple,,fruit,
    z,Never met,,,Nord|Tarn
"""


def test_a_worked_example_is_stored_row_by_row(workspace: Workspace, tmp_path: Path) -> None:
    data = imported(workspace, write_csv(tmp_path / "in", EVENTS, ITEMS))
    assert data.person_ids == ["u2", "u10"]  # natural order
    assert data.item_ids == ["", "c", "a", "z", "b"]  # the items file, then what only events name
    assert data.query_texts == ["", "lamp", "red shoe"]
    assert data.actions == ["browse", "buy", "click", "search", "view"]
    store = data.store
    assert store.offsets.tolist() == [0, 3, 5]
    assert store.time_s.tolist() == [20, 50, 50, 90, 100]
    assert store.item.tolist() == [4, 2, 1, 2, 4]
    assert store.query.tolist() == [2, 2, 0, 1, 0]
    assert store.label.tolist() == [-1, 1, 0, 1, -1]
    assert [data.actions[a] for a in store.action] == ["buy", "click", "view", "search", "browse"]


def test_texts_categories_and_attribute_values_of_items(workspace: Workspace, tmp_path: Path) -> None:
    data = imported(workspace, write_csv(tmp_path / "in", EVENTS, ITEMS))
    assert data.titles == [None, "Chair", "Apple", "Never met", None]
    assert data.descriptions == [None, "A chair", None, None, None]
    assert data.category_names == ["", "fruit", "seat"]
    assert data.category.tolist() == [0, 2, 1, 0, 0]  # the first category of an item
    assert data.attribute_values == [
        "", "category=fruit", "category=seat", "category=wood", "brand=Nord", "brand=Tarn"
    ]  # fmt: skip
    assert data.attributes.tolist() == [[0, 0, 0], [2, 3, 4], [1, 0, 0], [4, 5, 0], [0, 0, 0]]
    assert data.items_frame()["categories"].tolist()[:2] == ["seat|wood", "fruit"]


def test_lookups_know_rows_and_unseen_queries_are_zero(workspace: Workspace, tmp_path: Path) -> None:
    data = imported(workspace, write_csv(tmp_path / "in", EVENTS, ITEMS))
    assert (data.person_row("u10"), data.item_row("b"), data.query_row(" lamp "), data.query_row("x")) == (1, 4, 1, 0)
    assert data.query_tokens.shape == (3, 6)
    assert (data.query_tokens[0] == 0).all()
    assert (data.query_tokens[2] > 0).sum() == 2


def test_visible_counts_events_strictly_before(workspace: Workspace, tmp_path: Path) -> None:
    store = imported(workspace, write_csv(tmp_path / "in", EVENTS)).store
    assert [store.visible(0, t) for t in (19, 20, 21, 50, 51)] == [0, 0, 1, 1, 3]
    with pytest.raises(IndexError, match=r"person row 2 is outside 0\.\.1"):
        store.life(2)


def test_csv_and_parquet_of_the_same_content_have_the_same_hash(workspace: Workspace, tmp_path: Path) -> None:
    first = imported(workspace, write_csv(tmp_path / "csv", EVENTS), "from-csv")
    frame = pd.read_csv(tmp_path / "csv" / "events.csv", dtype={"label": "Int64"})
    (tmp_path / "parquet").mkdir()
    frame.to_parquet(tmp_path / "parquet" / "events.parquet")
    assert imported(workspace, tmp_path / "parquet", "from-parquet").hash == first.hash


def test_other_names_of_actions_are_other_content_and_the_sample_keeps_its_hash(
    workspace: Workspace, tmp_path: Path
) -> None:
    def hash_of(*actions: str) -> str:
        rows = "".join(f"u1,{100 + at},i{at},{action}\n" for at, action in enumerate(actions))
        (tmp_path / "named.csv").write_text("person,time,item,action\n" + rows)
        return imported(workspace, tmp_path / "named.csv").hash

    named = [("click", "click"), ("buy", "buy"), ("browse", "browse"), ("click", "view"), ("buy", "view"), ("", "buy")]
    assert len({hash_of(*actions) for actions in named}) == len(named)
    assert hash_of("browse", "browse") == hash_of("", "")
    run = read_json(bundled_runs()["sample-seminar"] / "run.json")
    assert open_dataset(workspace, "sample").hash == run["dataset_hash"]


def test_times_are_read_as_seconds_iso_text_or_timestamps(workspace: Workspace, tmp_path: Path) -> None:
    moment = pd.Timestamp("2024-05-01T12:00:00Z")
    seconds = int(moment.timestamp())
    for number, column in enumerate(
        (
            pa.array([seconds]),
            pa.array([seconds + 0.75]),
            pa.array([str(seconds)]),
            pa.array(["2024-05-01T12:00:00Z"]),
            pa.array(["2024-05-01 14:00:00.5+02:00"]),
            pa.array(["2024-05-01T12:00:00"]),
            pa.array([moment.to_datetime64()]),
            pa.array([moment]),
        )
    ):
        path = tmp_path / f"events{number}.parquet"
        pq.write_table(pa.table({"person": ["p"], "time": column, "item": ["i"]}), path)
        assert imported(workspace, path, f"d{number}").store.time_s.tolist() == [seconds]


def test_labels_are_read_as_numbers_booleans_or_text(workspace: Workspace, tmp_path: Path) -> None:
    for number, column in enumerate(
        (
            pa.array([1, 0, None], pa.int64()),
            pa.array([1.0, 0.0, float("nan")]),
            pa.array([True, False, None]),
            pa.array(["1", "0", ""]),
            pa.array(["1.0", " 0 ", "nan"]),
        )
    ):
        path = tmp_path / f"events{number}.parquet"
        pq.write_table(pa.table({"person": ["p"] * 3, "time": [1, 2, 3], "item": ["i"] * 3, "label": column}), path)
        assert imported(workspace, path, f"d{number}").store.label.tolist() == [1, 0, -1]


def test_numeric_ids_become_the_text_a_reader_expects(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"person": [10.0, 9.0], "time": [1, 2], "item": [7, 8]}), path)
    data = imported(workspace, path)
    assert (data.person_ids, data.item_ids) == (["9", "10"], ["", "7", "8"])


def test_quoted_commas_line_breaks_windows_line_ends_and_unnamed_columns_are_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    text = '\ufeff,person,time,item,query\r\n0,p,1,a,"red, ""big""\nshoe"\r\n1,p,2,b,\r\n'
    (tmp_path / "events.csv").write_bytes(text.encode("utf-8"))
    data = imported(workspace, tmp_path / "events.csv")
    assert data.query_texts == ["", 'red, "big"\nshoe']
    assert data.store.query.tolist() == [1, 0]
    assert problems(data)["ignored_column"]["hint"].startswith("column 'column1'")


def test_a_long_csv_with_line_breaks_in_quotes_is_read_whole(workspace: Workspace, tmp_path: Path) -> None:
    rows = [f'p{i % 9},{i},i{i % 5},"two\nlines {i % 3} {"x" * 400}"' for i in range(100_000)]
    (tmp_path / "events.csv").write_text("person,time,item,query\n" + "\n".join(rows) + "\n")
    data = imported(workspace, tmp_path / "events.csv")
    assert (data.n_events, data.n_queries) == (100_000, 3)


def test_parquet_for_pages_and_columns_for_training_hold_the_same_lives(workspace: Workspace) -> None:
    data = make_dataset(workspace, people=12, items=20)
    table = pq.read_table(data.path / "events.parquet").to_pandas()
    store = data.store
    assert table["person_row"].is_monotonic_increasing
    assert table["time_s"].tolist() == store.time_s.tolist()
    assert table["item"].map(data.item_row).tolist() == store.item.tolist() == table["item_row"].tolist()
    assert table["query"].map(data.query_row, na_action="ignore").fillna(0).tolist() == store.query.tolist()
    positions = np.concatenate([np.arange(n) for n in store.lengths])
    assert table["event"].tolist() == positions.tolist()


def test_row_groups_hold_a_hundred_thousand_rows(workspace: Workspace, tmp_path: Path) -> None:
    count = 250_000
    pq.write_table(
        pa.table({"person": ["p"] * count, "time": np.arange(count), "item": ["i"] * count}),
        tmp_path / "events.parquet",
    )
    file = pq.ParquetFile(imported(workspace, tmp_path / "events.parquet").path / "events.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [100_000, 100_000, 50_000]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_importing_again_keeps_the_version_and_what_was_derived_from_it(workspace: Workspace) -> None:
    data = make_dataset(workspace, people=5, items=8)
    (data.path / "encodings").mkdir()
    again = make_dataset(workspace, people=5, items=8)
    assert again.path == data.path
    assert (again.path / "encodings").is_dir()


def test_importing_again_mends_damage_instead_of_recording_it(workspace: Workspace) -> None:
    data = make_dataset(workspace, people=5, items=8)
    whole = {path: path.read_bytes() for path in data.path.rglob("*.npy")}
    for path, content in whole.items():
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptFileError, match=r"\.npy was changed"):
        open_dataset(workspace, "tiny")
    again = make_dataset(workspace, people=5, items=8)
    assert again.path == data.path and {path: path.read_bytes() for path in whole} == whole
    assert not problems_of(again.path, full=True)


def test_a_new_import_replaces_the_old_version(workspace: Workspace) -> None:
    old = make_dataset(workspace, people=5, items=8)
    old_hash, old_path = old.hash, old.path
    del old  # whoever holds it keeps its version: test_leases
    new = make_dataset(workspace, people=6, items=8)
    assert new.hash != old_hash
    assert not old_path.exists()
    assert [p.name for p in new.path.parent.iterdir() if p.is_dir()] == [new.hash]


def leftovers(workspace: Workspace) -> list[str]:
    """Partial directories in the workspace."""
    return [p.name for p in workspace.datasets.glob(".partial-*")]


def test_a_failing_import_keeps_the_old_data_set(workspace: Workspace, tmp_path: Path) -> None:
    old = make_dataset(workspace, people=5, items=8)
    with pytest.raises(EmptyDataError):
        import_table(workspace, write_csv(tmp_path / "bad", "person,time,item\n,1,a\n"), "tiny")
    assert open_dataset(workspace, "tiny").hash == old.hash
    assert leftovers(workspace) == []


def test_a_cancelled_import_keeps_the_old_data_set(workspace: Workspace, tmp_path: Path) -> None:
    old = make_dataset(workspace, people=5, items=8)

    def stop(done: int, total: int, message: str) -> None:
        if done >= 80:
            raise Cancelled("stopped", hint="start it again")

    with pytest.raises(Cancelled):
        import_table(workspace, write_table(tmp_path / "new", people=9), "tiny", progress=stop)
    assert open_dataset(workspace, "tiny").hash == old.hash
    assert leftovers(workspace) == []


def test_the_leftovers_of_a_killed_import_go_with_the_next_one(workspace: Workspace, tmp_path: Path) -> None:
    table = write_table(tmp_path / "in", people=4, items=5)
    code = (
        "import os, sys; from pathlib import Path; from seminar_core.workspace import Workspace\n"
        "from seminar_core.data.importers.table import import_table\n"
        "import_table(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), 'tiny',"
        " progress=lambda done, total, message: os._exit(9) if done >= 80 else None)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(workspace.root), str(table)], check=False)
    assert ended.returncode == 9
    assert len(leftovers(workspace)) == 1
    assert list_datasets(workspace) == [] or all(row["dataset"] != "tiny" for row in list_datasets(workspace))
    import_table(workspace, table, "tiny", progress=silent)
    assert leftovers(workspace) == []


def test_the_name_of_the_sample_is_reserved(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ExistsError, match="kept for the bundled sample"):
        import_table(workspace, write_csv(tmp_path / "in", EVENTS), "sample")


def test_rejected_rows_are_written_with_number_and_reason(workspace: Workspace, tmp_path: Path) -> None:
    events = """
        person,time,item,label,shelf
        p,1,a,1,x
        p,soon,a,0,x
        ,3,a,0,x
        p,4,b,7,x
    """
    target = tmp_path / "rejected.csv"
    answer = import_table(workspace, write_csv(tmp_path / "in", events), "data", target)
    counts = {"dataset": "data", "events": 1, "people": 1, "items": 1, "rejected": 3}
    assert {key: answer[key] for key in counts} == counts
    rows = pd.read_csv(target, dtype=str, keep_default_na=False)
    assert rows.to_dict("records") == [
        {"row": "2", "reason": "unreadable_time", "person": "p", "time": "soon", "item": "a", "label": "0"},
        {"row": "3", "reason": "empty_person", "person": "", "time": "3", "item": "a", "label": "0"},
        {"row": "4", "reason": "bad_label", "person": "p", "time": "4", "item": "b", "label": "7"},
    ]
    manifest = json.loads((open_dataset(workspace, "data").path / "manifest.json").read_text())
    assert manifest["counts"]["rejected"] == 3


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=6).map(str.strip).filter(bool)
EVENT = st.tuples(
    st.sampled_from(["p1", "p2", "p10", "Ä"]),
    st.integers(0, 12),
    st.sampled_from(["a", "b", "c'", "<b>"]),
    st.none() | TEXT,
    st.sampled_from([0, 1, None]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(EVENT, min_size=1, max_size=30))
def test_every_event_comes_back_in_time_order_with_ties_in_file_order(rows: list, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "round-trip")
    names = ("person", "time", "item", "query", "label")
    types = (pa.string(), pa.int64(), pa.string(), pa.string(), pa.int8())
    columns = {n: pa.array([row[k] for row in rows], t) for k, (n, t) in enumerate(zip(names, types, strict=True))}
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path)
    data = imported(workspace, path)
    for person in {row[0] for row in rows}:
        expected = sorted((row for row in rows if row[0] == person), key=lambda row: row[1])  # sorted is stable
        life = data.store.life(data.person_row(person))
        found = [
            (person, int(t), data.item_ids[i], data.query_texts[q] or None, None if label < 0 else int(label))
            for t, i, q, label in zip(life.time_s, life.item, life.query, life.label, strict=True)
        ]
        assert found == expected


@pytest.mark.parametrize("name", ["query", "action", "label"])
def test_a_column_that_is_null_throughout_is_as_good_as_absent(workspace: Workspace, tmp_path: Path, name: str) -> None:
    events = {"person": ["u", "u"], "time": [1, 2], "item": ["a", "b"]}
    items = pa.table({"item": ["a", "b"], "title": ["A", "B"], "image": pa.nulls(2), "category": pa.nulls(2)})
    for more in ({}, {name: pa.nulls(2)}):
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table(events | more), tmp_path / "in" / "events.parquet")
        pq.write_table(items, tmp_path / "in" / "items.parquet")
        data = imported(workspace, tmp_path / "in", f"with{len(more)}")
        assert (data.query_texts, data.actions, data.store.label.tolist()) == ([""], ["browse"], [-1, -1])
        assert not data.has_picture.any() and data.category.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["person", "time", "item"])
def test_a_needed_column_that_is_null_throughout_rejects_every_row(workspace: Workspace, tmp_path: Path, name) -> None:
    events = {"person": ["u", "u"], "time": [1, 2], "item": ["a", "b"], name: pa.nulls(2)}
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    with pytest.raises(EmptyDataError, match=f"all 2 rows were rejected \\(2 empty_{name}\\)"):
        imported(workspace, tmp_path)


def test_a_part_without_a_value_has_the_type_of_the_others(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "events.parquet").mkdir()
    for n, query in enumerate([pa.nulls(1), pa.array(["shoe"])]):
        table = pa.table({"person": ["u"], "time": [n], "item": ["a"], "query": query})
        pq.write_table(table, tmp_path / "events.parquet" / f"part-{n}.parquet")
    assert imported(workspace, tmp_path).query_texts == ["", "shoe"]
