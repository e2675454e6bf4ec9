"""Pages of a life: the events of one person as a reader wants them, with the texts.

Data. The events of a life lie together in events.parquet, from the offset that the sequence store knows, and an item's
title lies at its row of items.parquet: only the row groups that hold them are read, and a file's footer is parsed once
a process, so a page costs the same in a data set of any size.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConfigError, CorruptFileError
from .dataset import Dataset
from .scratch import reading

EVENT_COLUMNS = ("person_row", "time_s", "item", "item_row", "query", "action", "label")

REPEATED = ("item", "query", "action")


@lru_cache(maxsize=32)
def _footer(path: Path, changed_ns: int) -> tuple[pq.FileMetaData, np.ndarray]:
    """A file's footer, and the first row of each row group with the number of rows behind them."""
    footer = pq.read_metadata(path)
    sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    return footer, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def rows_at(path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> pa.Table:
    """The rows of a Parquet file at ascending positions, from 0; only their row groups are read."""
    footer, starts = _footer(path, path.stat().st_mtime_ns)
    groups, place = np.unique(np.searchsorted(starts, rows, side="right") - 1, return_inverse=True)
    before = np.concatenate([[0], np.cumsum(np.diff(starts)[groups])])[:-1]
    repeated = [name for name in REPEATED if name in columns]  # kept as numbers: few of their texts are needed
    file = pq.ParquetFile(path, metadata=footer, read_dictionary=repeated)
    found = file.read_row_groups(groups.tolist(), columns=list(columns), use_threads=False)
    return found.take(pa.array(before[place] + rows - starts[groups][place]))


def life_page(
    dataset: Dataset, person_id: str, start: int | None = None, stop: int | None = None
) -> list[dict[str, Any]]:
    """Events `start` to `stop` (exclusive) of one life, oldest first.

    Args:
        dataset: the data set.
        person_id: as in the source data.
        start: first position, default 0; negative counts from the end.
        stop: position after the last, default the life's length; negative counts from the end.

    Returns:
        Rows of event (position as a string), time_s, item, title, query, action, label (1, 0 or None).

    Raises:
        UnknownPersonError: no such person.
        ConfigError: `start` lies behind `stop`.
    """
    row = dataset.person_row(person_id)
    length = int(dataset.store.lengths[row])
    first, last, _ = slice(start, stop).indices(length)
    if start is not None and stop is not None and first > last:
        raise ConfigError(
            f"the page from {start} to {stop} is empty: from lies behind to", hint=f"positions run from 0 to {length}"
        )
    if first >= last:
        return []
    events, items = dataset.path / "events.parquet", dataset.path / "items.parquet"
    start_of_life = int(dataset.store.offsets[row])
    with reading(events):
        found = rows_at(events, np.arange(start_of_life + first, start_of_life + last), EVENT_COLUMNS)
    if (found["person_row"].to_numpy() != row).any():
        raise CorruptFileError(
            f"{events} does not hold the events of {person_id!r} where the columns say",
            hint="import the data set again",
        )
    item_rows, place = np.unique(found["item_row"].to_numpy(), return_inverse=True)
    with reading(items):
        titles = rows_at(items, item_rows.astype(np.int64) - 1, ("title",))["title"].to_pylist()
    return [
        {
            "event": str(position),
            "time_s": event["time_s"],
            "item": event["item"],
            "title": titles[at],
            "query": event["query"],
            "action": event["action"],
            "label": event["label"] if event["label"] >= 0 else None,
        }
        for position, (event, at) in enumerate(zip(found.to_pylist(), place.tolist(), strict=True), start=first)
    ]


def life(dataset: Dataset, person_id: str, start: int | None = None, stop: int | None = None) -> dict[str, Any]:
    """What the command `life` answers: the person and a page of events, newest last."""
    return {"person": person_id, "events": life_page(dataset, person_id, start, stop)}
