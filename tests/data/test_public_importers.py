"""JDsearch and Taobao-MM in their published schema, and what `import auto` recognises."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.data.importers import IMPORTERS
from seminar_core.data.importers.auto import recognised
from seminar_core.data.opening import open_dataset
from seminar_core.encoders.store import load_encodings
from seminar_core.errors import CorruptFileError, InvalidDataError, MissingColumnError, MissingFileError

BEHAVIOUR = (
    "query\tcandidate_wid_list\tcandidate_label_list\thistory_qry_list\thistory_wid_list\thistory_type_list\thistory_time_list\n"
    "5\x186\t70_71\t1.0_0.0\t-1_5\x187_5\t10_11_10\tCLICK_CART_ORD\t0_60_3_100\n"
    "9\t72\t1.0\t-1\t11\tCLICK\t0_7\n"
)
PRODUCTS = (
    "wid\tname\tbrand_id\tbrand_name\tcate_id_1\tcate_name_1\n10\t1\x182\t3\t4\t5\t6\x187\n70\t8\t3\t\t5\t6\x187\n"
)


def jdsearch(folder: Path, behaviour: str = BEHAVIOUR) -> Path:
    folder.mkdir()
    (folder / "user_behavior_data_sample.txt").write_text(behaviour, encoding="utf-8")
    (folder / "product_meta_data_sample.txt").write_text(PRODUCTS, encoding="utf-8")
    return folder


def test_jdsearch_is_a_history_with_its_queries_and_the_candidates_of_the_last(workspace, tmp_path):
    answer = IMPORTERS["jdsearch"](workspace, jdsearch(tmp_path / "jd"), "jd")
    assert (answer["events"], answer["people"], answer["rejected"]) == (7, 2, 0)
    data = open_dataset(workspace, "jd")
    life = data.store.life(data.person_row("1"))
    assert life.time_s.tolist() == [1, 61, 64, 164, 164]
    assert [data.query_texts[q] or None for q in life.query] == [None, "5 7", "5", "5 6", "5 6"]
    assert life.label.tolist() == [-1, -1, -1, 1, 0]
    assert [data.actions[a] for a in life.action] == ["click", "cart", "ord", "candidate", "candidate"]
    assert (
        data.titles[data.item_row("10")] == "1 2" and data.category_names[data.category[data.item_row("10")]] == "6 7"
    )


def test_jdsearch_that_is_not_as_published_is_refused_by_row_or_column(workspace, tmp_path):
    cut = BEHAVIOUR.replace("0_60_3_100", "0_60")
    with pytest.raises(CorruptFileError, match="row 1: the lists of the row differ"):
        IMPORTERS["jdsearch"](workspace, jdsearch(tmp_path / "cut", cut), "jd")
    other = BEHAVIOUR.replace("history_time_list", "times")
    with pytest.raises(MissingColumnError, match="no column 'history_time_list'"):
        IMPORTERS["jdsearch"](workspace, jdsearch(tmp_path / "other", other), "jd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="0 files that begin with 'user_behavior_data'"):
        IMPORTERS["jdsearch"](workspace, tmp_path / "empty", "jd")
    assert not (workspace.datasets / "jd").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"0_60_3_100", b"0_inf_3_100", "row 1: cannot convert float infinity"),
        (b"1.0_0.0", b"1.0_x", "row 1: could not convert string to float: 'x'"),
        (b"CLICK_CART_ORD", b"CLICK_CART_\xff", "after row 0: 'utf-8' codec can't decode"),
        (b"\t0_7\n", b"\n", "row 2: 6 fields, the header has 7"),
        (b"\t0_7\n", b"\t0_7\t9\n", "row 2: 8 fields, the header has 7"),
    ],
)
def test_jdsearch_damaged_anywhere_is_named_and_closed(workspace, tmp_path, recwarn, old, new, words):
    folder = jdsearch(tmp_path / "jd")
    file = folder / "user_behavior_data_sample.txt"
    file.write_bytes(file.read_bytes().replace(old, new))
    with pytest.raises(CorruptFileError) as caught:
        IMPORTERS["jdsearch"](workspace, folder, "jd")
    assert words in caught.value.message and str(file) in caught.value.message
    gc.collect()
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]


def test_jdsearch_products_with_short_rows_are_named(workspace, tmp_path):
    folder = jdsearch(tmp_path / "jd")
    with (folder / "product_meta_data_sample.txt").open("a") as file:
        file.write("71\t8\n")
    with pytest.raises(CorruptFileError, match="row 3: 2 fields, the header has 6"):
        IMPORTERS["jdsearch"](workspace, folder, "jd")


def taobao(folder: Path) -> Path:
    folder.mkdir()
    users = {"129_1": [7, 8], "150_2_180": [[1, 2, 1], [3]], "151_2_180": [[50, 51, 50], [52]]}
    pq.write_table(pa.table(users), folder / "train_user_features.parquet")
    pq.write_table(pa.table(users), folder / "test_user_features.parquet")
    samples = {"label_0": [[1, 0], [0, 1]], "129_1": [7, 7], "205": [3, 4]}
    pq.write_table(pa.table(samples), folder / "train_samples.parquet")
    features = {"205": [1, 4], "206": [100, 101], "213": [5, 6], "214": [7, 8]}
    pq.write_table(pa.table(features), folder / "item_features.parquet")
    vectors = pa.table({"205": [1, 2], "205_c": pa.array([[3, 4], [0, -5]], pa.list_(pa.int8()))})
    pq.write_table(vectors, folder / "scl_embedding_int8_p90.parquet")
    return folder


def test_taobao_mm_is_an_order_with_samples_behind_and_vectors_as_a_channel(workspace, tmp_path):
    answer = IMPORTERS["taobao-mm"](workspace, taobao(tmp_path / "mm"), "mm")
    assert (answer["events"], answer["people"], answer["items"]) == (6, 2, 4)
    data = open_dataset(workspace, "mm")
    life = data.store.life(data.person_row("7"))
    assert life.time_s.tolist() == [1, 2, 3, 4, 5] and life.label.tolist() == [-1, -1, -1, 0, 1]
    assert [data.item_ids[item] for item in life.item] == ["1", "2", "1", "3", "4"]
    found = load_encodings(data, image=f"given:{answer['vectors']}")
    first = found.image_items[data.item_row("1")]
    assert np.allclose(first / np.linalg.norm(first), [0.6, 0.8]) and not found.image_items_present[data.item_row("3")]


def test_taobao_mm_in_parts_is_the_same(workspace, tmp_path):
    folder = taobao(tmp_path / "mm")
    whole = IMPORTERS["taobao-mm"](workspace, folder, "whole")
    for name in ("train_user_features", "train_samples"):
        (folder / name).mkdir()
        table = pq.read_table(folder / f"{name}.parquet")
        for row in range(table.num_rows):
            pq.write_table(table.slice(row, 1), folder / name / f"part-{row}.parquet")
        (folder / f"{name}.parquet").unlink()
    parts = IMPORTERS["taobao-mm"](workspace, folder, "parts")
    assert {key: parts[key] for key in ("events", "people", "items")} == {
        key: whole[key] for key in ("events", "people", "items")
    }
    assert open_dataset(workspace, "parts").hash == open_dataset(workspace, "whole").hash


def test_taobao_mm_takes_null_as_not_there(workspace, tmp_path):
    folder = tmp_path / "mm"
    folder.mkdir()
    sequences = [(7, [1, None, 2], [50, 51, None]), (8, None, None), (None, [3], [52]), (None, [1], None)]
    samples = [(8, 3, None), (8, 4, [0, 1]), (7, None, [1, 0]), (None, 3, [None])]
    tables = {
        "user_features": pa.table(
            dict(zip(("129_1", "150_2_180", "151_2_180"), zip(*sequences, strict=True), strict=True))
        ),
        "samples": pa.table(dict(zip(("129_1", "205", "label_0"), zip(*samples, strict=True), strict=True))),
        "item_features": pa.table({"205": [1.0, 4.0, None], "206": [None, 5, 6], "213": [1, 2, 3], "214": pa.nulls(3)}),
        "embedding": pa.table({"205": [1, 2, None], "205_c": [[1.0, 2.0], None, [3.0, 4.0]]}),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    answer = IMPORTERS["taobao-mm"](workspace, folder, "mm")
    data = open_dataset(workspace, "mm")
    assert (answer["events"], answer["rejected"], data.person_ids) == (4, 5, ["7", "8"])
    assert data.store.life(1).label.tolist() == [-1, 1]
    assert {data.attribute_values[v] for v in data.attributes.flat if v} == {
        "category=50", "category=52", "feature_206=5", "feature_213=1", "feature_213=2",
    }  # fmt: skip
    assert "None" not in data.item_ids
    assert pq.read_table(answer["vectors"]).to_pylist() == [{"item": "1", "vector": [1.0, 2.0]}]


@pytest.mark.parametrize("label", [[1, 0, 1], [1.0, 0.0, None], [[0, 1], [1, 0], []]])
def test_taobao_mm_has_labels_alone_or_in_pairs(workspace, tmp_path, label):
    folder = taobao(tmp_path / "mm")
    samples = {"label_0": label, "129_1": [7, 7, 7], "205": [3, 4, 1]}
    pq.write_table(pa.table(samples), folder / "train_samples.parquet")
    IMPORTERS["taobao-mm"](workspace, folder, "mm")
    life = open_dataset(workspace, "mm").store.life(0)
    assert life.label.tolist()[-3:-1] == [1, 0]


@pytest.mark.parametrize(
    ("stem", "column", "values", "words"),
    [
        ("scl_embedding_int8_p90", "205_c", ["1,2", "3,4"], "'205_c' has the type string, expected a list of numbers"),
        ("scl_embedding_int8_p90", "205_c", [["1"], ["2"]], "expected a list of numbers"),
        ("scl_embedding_int8_p90", "205_c", [[1.0, 2.0], [None, 2.0]], "vector of item 2 .* has a null among"),
        ("train_samples", "label_0", ["yes", "no"], "'label_0' has the type string, expected a list of numbers"),
        ("train_user_features", "150_2_180", [1, 2], "'150_2_180' has the type int64, expected a list"),
        ("train_user_features", "129_1", [[7], [8]], "expected a number or a text"),
    ],
)
def test_taobao_mm_that_is_not_as_published_leaves_what_was_there(workspace, tmp_path, stem, column, values, words):
    folder = taobao(tmp_path / "mm")
    answer = IMPORTERS["taobao-mm"](workspace, folder, "mm")
    before = (open_dataset(workspace, "mm").hash, Path(answer["vectors"]).read_bytes())
    table = pq.read_table(folder / f"{stem}.parquet")
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), folder / f"{stem}.parquet")
    with pytest.raises(InvalidDataError, match=words):
        IMPORTERS["taobao-mm"](workspace, folder, "mm")
    assert (open_dataset(workspace, "mm").hash, Path(answer["vectors"]).read_bytes()) == before


def test_the_published_samples_are_read(workspace, shared_dir):
    for kind, people in (("jdsearch", 3), ("taobao-mm", 20)):
        path = shared_dir / "data" / "formats" / kind
        if not path.is_dir():
            pytest.skip(f"{path} is not there")
        assert recognised(path)[0] == kind
        answer = IMPORTERS[kind](workspace, path, kind)
        assert answer["people"] >= people and not answer["rejected"] and answer["events"] > 400


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("ratings.csv", "movielens"), ("u.data", "movielens"), ("ratings.dat", "movielens"), ("events.jsonl", "table"),
        ("events.csv.gz", "table"), ("user_behavior_data.txt", "jdsearch"),
        ("train_user_features.parquet", "taobao-mm"), ("src_inter.csv", "kuaisar"), ("meta_Books.jsonl.gz", "amazon"),
    ],
)  # fmt: skip
def test_a_folder_is_known_by_its_files(tmp_path, file, kind):
    (tmp_path / file).touch()
    assert recognised(tmp_path) == (kind, f"the file {file}")


def test_a_folder_of_nothing_that_is_known_says_what_it_has(tmp_path):
    (tmp_path / "notes.doc").touch()
    with pytest.raises(MissingFileError, match=r"in no format that is known: it has notes\.doc"):
        recognised(tmp_path)
