"""What only the sorted events show: ties, repeated events, and lives whose file order is not their time order.

Data, import. The checks see the events once, in blocks of any size, while they are written; a block's last group of
equal (person, time) is held back until the next block completes it, so no tie is split.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

EXAMPLES = 5


@dataclass
class LifeChecks:
    """Running counts over blocks of events sorted by (person, time, file order).

    Fields:
        tied: events that share their second with another event of the same person.
        duplicates: events that repeat an earlier one exactly (person, time, item, query).
        unsorted: events that stand in the file before an event of the same life that precedes them in time.
        first_s, last_s: earliest and latest time.
    """

    tied: int = 0
    duplicates: int = 0
    unsorted: int = 0
    first_s: int = 2**62
    last_s: int = 0
    tied_rows: list[int] = field(default_factory=list)
    duplicate_rows: list[int] = field(default_factory=list)
    unsorted_rows: list[int] = field(default_factory=list)
    _held: dict[str, np.ndarray] = field(default_factory=dict)
    _last: tuple[int, int] = (-1, -1)

    def add(self, block: dict[str, np.ndarray]) -> None:
        """Take the next block: person_row, time_s, item, query and row (the number in the source file), each (n,)."""
        self._unsorted(block)
        self.first_s = min(self.first_s, int(block["time_s"].min(initial=2**62)))
        self.last_s = max(self.last_s, int(block["time_s"].max(initial=0)))
        if self._held:
            block = {name: np.concatenate([self._held[name], block[name]]) for name in self._held}
        person, time = block["person_row"], block["time_s"]
        changes = np.flatnonzero((person[1:] != person[:-1]) | (time[1:] != time[:-1]))
        cut = int(changes[-1]) + 1 if len(changes) else 0
        self._held = {name: block[name][cut:] for name in ("person_row", "time_s", "item", "query", "row")}
        self._ties({name: block[name][:cut] for name in self._held})

    def finish(self) -> LifeChecks:
        """Take the group held back last."""
        if self._held:
            self._ties(self._held)
            self._held = {}
        return self

    def _unsorted(self, block: dict[str, np.ndarray]) -> None:
        person = np.concatenate([[self._last[0]], block["person_row"]])
        row = np.concatenate([[self._last[1]], block["row"]])
        late = np.flatnonzero((person[1:] == person[:-1]) & (row[1:] < row[:-1]))
        self.unsorted += len(late)
        _extend(self.unsorted_rows, row[:-1][late])
        self._last = (int(person[-1]), int(row[-1]))

    def _ties(self, block: dict[str, np.ndarray]) -> None:
        person, time = block["person_row"], block["time_s"]
        same = (person[1:] == person[:-1]) & (time[1:] == time[:-1])
        tied = np.zeros(len(person), dtype=bool)
        tied[1:] |= same
        tied[:-1] |= same
        self.tied += int(tied.sum())
        keys = {name: block[name][tied] for name in ("person_row", "time_s", "item", "query", "row")}
        _extend(self.tied_rows, keys["row"])
        order = np.lexsort((keys["row"], keys["query"], keys["item"], keys["time_s"], keys["person_row"]))
        repeats = np.ones(max(len(order) - 1, 0), dtype=bool)
        for name in ("person_row", "time_s", "item", "query"):
            column = keys[name][order]
            repeats &= column[1:] == column[:-1]
        self.duplicates += int(repeats.sum())
        _extend(self.duplicate_rows, keys["row"][order][1:][repeats])


def _extend(examples: list[int], rows: np.ndarray) -> None:
    """Keep the first few row numbers."""
    examples.extend(int(row) for row in rows[: EXAMPLES - len(examples)])
