"""The user's own vectors: a Parquet file with a column `item` (or `query`) and a column `vector`.

Encoders. Rows are numbered from 1 as in the data report, ids and queries are read as an import reads them (a whole
number without decimals, no blanks at the ends). Ids that the data set does not know are counted and named,
not used; items without a row are absent. The folder name of such vectors is the hash of the file, so a changed file is
a new encoder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..data.dataset import Dataset
from ..data.event_source import as_imported, id_sql, text_sql
from ..data.scratch import reading
from ..errors import (
    CorruptFileError,
    EmptyDataError,
    InvalidDataError,
    MissingColumnError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
)
from ..progress import Progress
from .encoded import Encoded

log = logging.getLogger(__name__)

EXAMPLES = 5
ROWS_AT_ONCE = 20_000


class Given:
    """Vectors from a file.

    Args:
        path: Parquet with `item` and `vector`; for texts also rows with `query` in place of `item`.
        with_queries: whether query vectors are wanted.

    Raises:
        MissingFileError: `path` is no file.
    """

    def __init__(self, path: Path, *, with_queries: bool):
        if not path.is_file():
            raise MissingFileError(
                f"{path} does not exist", hint="give a Parquet file with the columns item and vector"
            )
        self.path, self.with_queries = path, with_queries

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Read the vectors of the items (and queries) that the data set knows.

        Raises:
            CorruptFileError: the file is no Parquet.
            MissingColumnError: `item` or `vector` is not there.
            EmptyDataError: no row is of a known item.
            InvalidDataError: an item or query has two rows, or a row has no vector.
            ShapeError: vectors of two lengths.
            NonFiniteError: NaN or infinity.
        """
        with reading(self.path):
            return self._encode(dataset, progress)

    def _encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        try:
            file = pq.ParquetFile(self.path)
            names = file.schema_arrow.names
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptFileError(
                f"{self.path} cannot be read as Parquet: {error}", hint="write it again, for example with pandas"
            ) from error
        for name in ("item", "vector"):
            if name not in names:
                raise MissingColumnError(
                    f"{self.path} has no column {name!r}; it has {', '.join(names)}",
                    hint="the columns are item and vector, for texts also query",
                )
        found = _Reading(self.path, dataset)
        columns = [n for n in ("item", "vector", "query") if n in names]
        try:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                found.add(batch)
                progress(found.rows, file.metadata.num_rows, "reading vectors")
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptFileError(
                f"{self.path} cannot be read to its end: {error}", hint="the file may be truncated: write it again"
            ) from error
        return found.encoded(with_queries=self.with_queries)


class _Reading:
    """Vectors read so far, by item and query row."""

    def __init__(self, path: Path, dataset: Dataset):
        self.path, self.dataset = path, dataset
        self.rows = 0
        self.width = 0
        self.unknown: list[str] = []
        self.n_unknown = 0
        self.item_row = {item: row for row, item in enumerate(dataset.item_ids) if row}
        self.found = {
            "item": np.zeros(dataset.n_items + 1, np.int64),  # file row of each item, 0 = none
            "query": np.zeros(dataset.n_queries + 1, np.int64),
        }
        self.tables: dict[str, np.ndarray] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in one batch of file rows."""
        vectors = self._vectors(batch.column("vector"))
        items = as_imported(batch.column("item"), id_sql)
        named = "query" in batch.schema.names
        queries = as_imported(batch.column("query"), text_sql) if named else [None] * len(items)
        for place, (item, query) in enumerate(zip(items, queries, strict=True)):
            number = self.rows + place + 1
            if item is not None:
                self._put("item", self.item_row.get(item, 0), item, number, vectors[place])
            elif query is not None:
                self._put("query", self.dataset.query_row(query), query, number, vectors[place])
            else:
                raise InvalidDataError(
                    f"{self.path}, row {number}: neither item nor query is set", hint="give each vector its item"
                )
        self.rows += len(items)

    def _vectors(self, column: pa.Array) -> np.ndarray:
        """(n, W) float32, checked."""
        if not (
            pa.types.is_list(column.type)
            or pa.types.is_fixed_size_list(column.type)
            or pa.types.is_large_list(column.type)
        ):
            raise InvalidDataError(
                f"{self.path}: the column vector holds {column.type}, expected lists of numbers",
                hint="store each vector as a list of floats",
            )
        lengths = np.array([len(v) if v is not None else 0 for v in column.to_pylist()]) if column.null_count else None
        if lengths is None:
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        self.width = self.width or int(lengths[0]) if len(lengths) else self.width
        wrong = np.flatnonzero((lengths != self.width) | (lengths == 0))
        if len(wrong):
            raise ShapeError(
                f"{self.path}, row {self.rows + wrong[0] + 1}: a vector of {lengths[wrong[0]]} numbers, "
                f"the first row has {self.width}",
                hint="all vectors must have the same length, at least 1",
            )
        flat = column.flatten()
        if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
            raise InvalidDataError(
                f"{self.path}: the vectors hold {flat.type}, expected numbers", hint="store lists of floats"
            )
        vectors = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, self.width)  # (n, W)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise NonFiniteError(
                f"{self.path}, row {self.rows + bad[0] + 1}: the vector holds NaN or infinity "
                f"({len(bad)} such rows in this part of the file)",
                hint="leave such items out of the file: an item without a row counts as absent",
            )
        return vectors

    def _put(self, kind: str, row: int, name: str, number: int, vector: np.ndarray) -> None:
        if row == 0:
            self.n_unknown += 1
            if len(self.unknown) < EXAMPLES:
                self.unknown.append(name)
            return
        if first := self.found[kind][row]:
            raise InvalidDataError(
                f"{self.path}, row {number}: {kind} {name!r} has a vector in row {first} already",
                hint="keep one row of each",
            )
        self.found[kind][row] = number
        if kind not in self.tables:
            self.tables[kind] = np.zeros((len(self.found[kind]), len(vector)), np.float32)
        self.tables[kind][row] = vector

    def encoded(self, *, with_queries: bool) -> Encoded:
        """What was read, as encoder output."""
        if "item" not in self.tables:
            named = f"; it names {', '.join(map(repr, self.unknown))}" if self.unknown else ""
            raise EmptyDataError(
                f"{self.path} has no vector of an item of data set {self.dataset.name!r}{named}",
                hint="the column item holds the ids of the source data, as `life` shows them",
            )
        if self.n_unknown:
            log.warning("%s: %d rows name unknown ids, such as %s", self.path, self.n_unknown, self.unknown[0])
        notes: dict[str, Any] = {"unknown": self.n_unknown, "unknown_examples": self.unknown}
        items = self.tables["item"]
        present = (items != 0).any(axis=1)  # a vector of zeros has no direction: it counts as absent
        if not with_queries:
            return Encoded(items, present, notes=notes)
        queries = self.tables.get("query", np.zeros((len(self.found["query"]), items.shape[1]), np.float32))
        return Encoded(items, present, queries, (queries != 0).any(axis=1), notes)
