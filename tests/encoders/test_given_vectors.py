"""The user's own vectors: every way in which the file can be wrong has its own words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.encoders.given import Given
from seminar_core.errors import (
    CorruptFileError,
    EmptyDataError,
    InvalidDataError,
    MissingColumnError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
)
from seminar_core.progress import silent


@pytest.fixture
def dataset(make_dataset):
    return make_dataset([("a", "rug", None, None), ("b", "bike", None, None)], ["wool rug", None])


@pytest.fixture
def write(tmp_path):
    def write(**columns):
        pq.write_table(pa.table(columns), tmp_path / "vectors.parquet")
        return tmp_path / "vectors.parquet"

    return write


def read(path, dataset, *, with_queries=True):
    return Given(path, with_queries=with_queries).encode(dataset, silent)


def test_items_and_queries_land_at_their_rows(dataset, write):
    path = write(item=["b", None, "a"], query=[None, "wool rug", None], vector=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    encoded = read(path, dataset)
    assert encoded.items.tolist() == [[0, 0], [5, 6], [1, 2]]
    assert encoded.items_present.tolist() == [False, True, True]
    assert encoded.queries.tolist() == [[0, 0], [3, 4]]
    assert read(path, dataset, with_queries=False).queries is None


@pytest.mark.parametrize(
    "items", [pa.array([7.0, None, 12.0]), pa.array(["7.0", None, " 12\u00a0"]), pa.array([7, None, 12], pa.int16())]
)
def test_ids_and_queries_are_read_as_an_import_reads_them(make_dataset, write, items):
    dataset = make_dataset([("7", "rug", None, None), ("12", "bike", None, None)], ["wool rug"])
    path = write(item=items, query=[None, "\u00a0wool rug\u3000", None], vector=[[1.0], [2.0], [3.0]])
    encoded = read(path, dataset)
    assert encoded.items.tolist() == [[0], [1], [3]] and encoded.queries.tolist() == [[0], [2]]
    assert encoded.notes["unknown"] == 0
    assert dataset.query_row("\u00a0wool rug\u3000") == 1


def test_without_query_rows_queries_are_absent(dataset, write):
    encoded = read(write(item=["a"], vector=[[1, 2, 3]]), dataset)
    assert encoded.queries.shape == (2, 3) and not encoded.queries_present.any()
    assert encoded.items_present.tolist() == [False, True, False]


def test_fixed_size_lists_and_many_batches_are_read(dataset, write, monkeypatch):
    monkeypatch.setattr("seminar_core.encoders.given.ROWS_AT_ONCE", 1)
    vectors = pa.array([[1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32(), 2))
    assert read(write(item=["a", "b"], vector=vectors), dataset).items[1:].tolist() == [[1, 0], [0, 1]]


def test_unknown_ids_are_counted_and_named(dataset, write):
    notes = read(write(item=["a", "zz", "yy"], vector=[[1.0], [2.0], [3.0]]), dataset).notes
    assert notes == {"unknown": 2, "unknown_examples": ["zz", "yy"]}


def test_a_vector_of_zeros_counts_as_absent(dataset, write):
    assert read(write(item=["a", "b"], vector=[[0.0], [1.0]]), dataset).items_present.tolist() == [False, False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_name_the_row(dataset, write, value):
    with pytest.raises(NonFiniteError, match=r"vectors\.parquet, row 2: the vector holds NaN or infinity"):
        read(write(item=["a", "b"], vector=[[1.0, 1.0], [2.0, value]]), dataset)


def test_nan_is_named_by_its_row_in_the_whole_file(dataset, write, monkeypatch):
    monkeypatch.setattr("seminar_core.encoders.given.ROWS_AT_ONCE", 1)
    with pytest.raises(NonFiniteError, match="row 2: the vector holds NaN"):
        read(write(item=["a", "b"], vector=[[1.0], [np.nan]]), dataset)


def test_vectors_of_two_lengths_are_refused_with_both(dataset, write):
    with pytest.raises(ShapeError, match="row 2: a vector of 3 numbers, the first row has 2"):
        read(write(item=["a", "b"], vector=[[1.0, 2.0], [1.0, 2.0, 3.0]]), dataset)
    with pytest.raises(ShapeError, match="row 2: a vector of 0 numbers, the first row has 1"):
        read(write(item=["a", "b"], vector=[[1.0], None]), dataset)


def test_an_item_with_two_vectors_names_both_rows(dataset, write):
    with pytest.raises(InvalidDataError, match="row 3: item 'a' has a vector in row 1 already"):
        read(write(item=["a", "b", "a"], vector=[[1.0], [2.0], [3.0]]), dataset)


def test_a_row_without_item_and_query_is_refused(dataset, write):
    with pytest.raises(InvalidDataError, match="row 2: neither item nor query is set"):
        read(write(item=["a", None], vector=[[1.0], [2.0]]), dataset)


def test_a_column_that_holds_no_lists_of_numbers_is_refused(dataset, write):
    with pytest.raises(InvalidDataError, match="the column vector holds double, expected lists of numbers"):
        read(write(item=["a"], vector=[1.0]), dataset)
    with pytest.raises(InvalidDataError, match="the vectors hold string, expected numbers"):
        read(write(item=["a"], vector=[["x"]]), dataset)


def test_a_file_of_other_items_names_some(dataset, write):
    with pytest.raises(EmptyDataError, match="has no vector of an item of data set 'made'; it names 'q1'"):
        read(write(item=["q1"], vector=[[1.0]]), dataset)


def test_missing_columns_and_files_are_named(dataset, write, tmp_path):
    with pytest.raises(MissingColumnError, match="has no column 'vector'; it has item, embedding"):
        read(write(item=["a"], embedding=[[1.0]]), dataset)
    with pytest.raises(MissingFileError, match=r"gone\.parquet does not exist"):
        Given(tmp_path / "gone.parquet", with_queries=True)


def test_a_truncated_file_is_named(dataset, write):
    path = write(item=["a"], vector=[[1.0]])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFileError, match="cannot be read as Parquet"):
        read(path, dataset)
