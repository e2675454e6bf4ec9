"""The sequence store: every life as a slice of memory-mapped columns.

Data. `columns/*.npy` of a data set in compressed-sparse-row form: the events of person row p lie at
`offsets[p]:offsets[p+1]` of every column, in time order, ties in the order of the source file. A life of 100,000 events
costs a page fault, not a parse: training, evaluation and retrieval read from here and never from Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import CorruptFileError

COLUMNS = {"time_s": np.int64, "item": np.int32, "query": np.int32, "label": np.int8, "action": np.uint8}


@dataclass(frozen=True)
class Life:
    """Views into one person's L events, oldest first.

    Fields:
        item: (L,) int32 item rows.
        query: (L,) int32 query rows, 0 = browsing event.
        time_s: (L,) int64 UTC seconds, ascending.
        label: (L,) int8 1, 0 or -1 for none.
        action: (L,) uint8 index into the data set's action names.
    """

    item: np.ndarray
    query: np.ndarray
    time_s: np.ndarray
    label: np.ndarray
    action: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"Life(L={len(self)}, searches={int((self.query > 0).sum())})"


def _column(directory: Path, name: str, dtype: type) -> np.ndarray:
    path = directory / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read: {error}", hint="import the data set again") from error
    if array.ndim != 1 or array.dtype != dtype:
        raise CorruptFileError(
            f"{path} holds {array.dtype} of shape {array.shape}, expected one column of {np.dtype(dtype)}",
            hint="import the data set again",
        )
    return array


class SequenceStore:
    """All lives of a data set, E events of P people.

    Attributes:
        offsets: (P+1,) int64, the first event of each life; the last entry is E.
        time_s, item, query, label, action: (E,) columns, see `Life`.
    """

    def __init__(self, directory: Path):
        self.offsets = _column(directory, "offsets", np.int64)
        self.time_s = _column(directory, "time_s", np.int64)
        self.item = _column(directory, "item", np.int32)
        self.query = _column(directory, "query", np.int32)
        self.label = _column(directory, "label", np.int8)
        self.action = _column(directory, "action", np.uint8)
        sizes = {name: len(getattr(self, name)) for name in COLUMNS}
        if set(sizes.values()) != {int(self.offsets[-1])}:
            raise CorruptFileError(
                f"{directory}: columns of {sizes} events do not fit offsets of {int(self.offsets[-1])}",
                hint="import the data set again",
            )

    @property
    def n_people(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        return len(self.item)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(P,) int64 events of each person."""
        return np.diff(self.offsets)

    def life(self, person_row: int) -> Life:
        """The life of one person as views, nothing copied.

        Raises:
            IndexError: `person_row` is not in 0..P-1.
        """
        if not 0 <= person_row < self.n_people:
            raise IndexError(f"person row {person_row} is outside 0..{self.n_people - 1}")
        span = slice(int(self.offsets[person_row]), int(self.offsets[person_row + 1]))
        return Life(self.item[span], self.query[span], self.time_s[span], self.label[span], self.action[span])

    def visible(self, person_row: int, time_s: int) -> int:
        """How many leading events of this life lie strictly before `time_s`."""
        return int(np.searchsorted(self.life(person_row).time_s, time_s, side="left"))

    def __repr__(self) -> str:
        return f"SequenceStore(P={self.n_people}, E={self.n_events})"
