"""From checked events to the files that hold them: sorted out of core, written once, counted on the way.

Data, import. duckdb joins the events to their rows in the vocabularies and sorts them by (person, time, file order),
spilling to disk where memory ends; the sorted stream is written block by block as Parquet for pages and as CSR columns
for training (docs/data-format.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .event_source import EventSource
from .life_checks import LifeChecks
from .scratch import reading
from .sequence_store import COLUMNS

ROW_GROUP = 100_000
BLOCK = 1_000_000


@dataclass(frozen=True)
class Rows:
    """The vocabularies of one import, each string at its row (people from 0, the others from 1 behind a "")."""

    people: list[str]
    items: list[str]
    queries: list[str]
    actions: list[str]


def sorted_blocks(source: EventSource, rows: Rows) -> Iterator[dict[str, np.ndarray]]:
    """Events as rows of the vocabularies, sorted by (person, time, file order), in blocks of `BLOCK`."""
    connection = source.connection
    for table, names, first in (
        ("people_rows", rows.people, 0),
        ("item_rows", rows.items[1:], 1),
        ("query_rows", rows.queries[1:], 1),
        ("action_rows", rows.actions, 0),
    ):
        connection.register(
            table,
            pa.table(
                {"name": pa.array(names, pa.string()), "n": pa.array(range(first, first + len(names)), pa.int32())}
            ),
        )
    with reading(source.path):
        reader = connection.sql(
            """SELECT p.n AS person_row, e.time_s, e.row, i.n AS item, coalesce(q.n, 0) AS query, e.label,
                CAST(a.n AS UTINYINT) AS action
            FROM clean e JOIN people_rows p ON p.name = e.person JOIN item_rows i ON i.name = e.item
                JOIN action_rows a ON a.name = e.action LEFT JOIN query_rows q ON q.name = e.query
            ORDER BY person_row, e.time_s, e.row"""
        ).to_arrow_reader(ROW_GROUP)
        waiting: list[pa.RecordBatch] = []
        count = 0
        for batch in reader:
            waiting.append(batch)
            count += batch.num_rows
            while count >= BLOCK:
                table = pa.Table.from_batches(waiting)
                yield _arrays(table.slice(0, BLOCK))
                waiting = table.slice(BLOCK).to_batches()
                count -= BLOCK
        if count:
            yield _arrays(pa.Table.from_batches(waiting))


def _arrays(table: pa.Table) -> dict[str, np.ndarray]:
    return {name: table.column(name).to_numpy() for name in table.column_names}


@dataclass(frozen=True)
class Tallies:
    """Counts made while events were written.

    Fields:
        offsets: (P+1,) int64.
        searches, first_s, last_s: (P,) int64 per person.
        events_per_item: (I+1,) int64; events_per_query: (Q+1,) int64, entry 0 counting events without a query.
        labelled: events with a label.
        digest: sha256 over the columns.
    """

    offsets: np.ndarray
    searches: np.ndarray
    first_s: np.ndarray
    last_s: np.ndarray
    events_per_item: np.ndarray
    events_per_query: np.ndarray
    labelled: int
    digest: str


def _npy(path: Path, dtype: type, length: int) -> BinaryIO:
    """Open a .npy file of `length` values for appending them: unlike a map, what is written leaves memory."""
    file = path.open("wb")
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file


class EventWriter:
    """Writes sorted events as Parquet and as memory-mapped columns, block by block."""

    schema = pa.schema(
        [
            ("person", pa.string()),
            ("time_s", pa.int64()),
            ("item", pa.string()),
            ("query", pa.string()),
            ("action", pa.string()),
            ("label", pa.int8()),
            ("person_row", pa.int32()),
            ("item_row", pa.int32()),
            ("event", pa.int64()),
        ]
    )

    def __init__(self, version: Path, rows: Rows, n_events: int):
        columns = version / "columns"
        columns.mkdir()
        self.columns = {name: _npy(columns / f"{name}.npy", dtype, n_events) for name, dtype in COLUMNS.items()}
        self.path = columns
        self.parquet = pq.ParquetWriter(
            version / "events.parquet",
            self.schema,
            compression="zstd",
            compression_level=1,
            sorting_columns=[pq.SortingColumn(6), pq.SortingColumn(8)],
        )
        self.names = {
            "person": pa.array(rows.people, pa.string()),
            "item": pa.array(rows.items, pa.string()),
            "query": pa.array([None, *rows.queries[1:]], pa.string()),
            "action": pa.array(rows.actions, pa.string()),
        }
        self.lengths = np.zeros(len(rows.people), dtype=np.int64)
        self.searches = np.zeros(len(rows.people), dtype=np.int64)
        self.first_s = np.full(len(rows.people), np.iinfo(np.int64).max)
        self.last_s = np.zeros(len(rows.people), dtype=np.int64)
        self.events_per_item = np.zeros(len(rows.items), dtype=np.int64)
        self.events_per_query = np.zeros(len(rows.queries), dtype=np.int64)
        self.digests = {name: hashlib.sha256() for name in ("person_row", *COLUMNS)}
        self.checks = LifeChecks()
        self.labelled = 0
        self.written = 0

    def add(self, block: dict[str, np.ndarray]) -> None:
        """Write the next block, see `sorted_blocks`."""
        person = block["person_row"]
        size = len(person)
        for name, dtype in COLUMNS.items():
            self.columns[name].write(np.ascontiguousarray(block[name], dtype=dtype).data)
        for name, digest in self.digests.items():
            digest.update(np.ascontiguousarray(block[name]).data)
        event = self._positions(person)
        table = pa.table(
            [
                self.names["person"].take(pa.array(person)),
                block["time_s"],
                self.names["item"].take(pa.array(block["item"])),
                self.names["query"].take(pa.array(block["query"])),
                self.names["action"].take(pa.array(block["action"])),
                block["label"],
                person,
                block["item"],
                event,
            ],
            schema=self.schema,
        )
        self.parquet.write_table(table, row_group_size=ROW_GROUP)
        self._count(block)
        self.checks.add(block)
        self.written += size

    def _positions(self, person: np.ndarray) -> np.ndarray:
        """(n,) position of each event in its life; counts the events of each person on the way."""
        starts = np.flatnonzero(np.r_[True, person[1:] != person[:-1]])
        sizes = np.diff(np.r_[starts, len(person)])
        before = self.lengths[person[starts]]
        position = np.arange(len(person)) - np.repeat(starts - before, sizes)
        self.lengths[person[starts]] += sizes
        return position

    def _count(self, block: dict[str, np.ndarray]) -> None:
        person, time_s, searched = block["person_row"], block["time_s"], block["query"] > 0
        self.searches += np.bincount(person[searched], minlength=len(self.searches))
        starts = np.flatnonzero(np.r_[True, person[1:] != person[:-1]])
        ends = np.r_[starts[1:] - 1, len(person) - 1]
        self.first_s[person[starts]] = np.minimum(self.first_s[person[starts]], time_s[starts])
        self.last_s[person[ends]] = time_s[ends]
        self.events_per_item += np.bincount(block["item"], minlength=len(self.events_per_item))
        self.events_per_query += np.bincount(block["query"], minlength=len(self.events_per_query))
        self.labelled += int((block["label"] >= 0).sum())

    def close(self) -> Tallies:
        """Finish the files and return the counts."""
        self.parquet.close()
        for file in self.columns.values():
            file.close()
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        np.save(self.path / "offsets.npy", offsets, allow_pickle=False)
        self.checks.finish()
        return Tallies(
            offsets,
            self.searches,
            self.first_s,
            self.last_s,
            self.events_per_item,
            self.events_per_query,
            self.labelled,
            "".join(digest.hexdigest() for digest in self.digests.values()),
        )
