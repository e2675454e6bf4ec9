"""Ties, repeats and disorder are counted the same whatever the blocks, and as a naive count does."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seminar_core.data.life_checks import LifeChecks

Event = tuple[int, int, int, int]


def checked(events: list[Event], sizes: list[int]) -> LifeChecks:
    """Sort events as an import does and feed them in blocks of `sizes`, repeated."""
    rows = sorted(range(len(events)), key=lambda n: (events[n][0], events[n][1], n))
    columns = {
        name: np.array([events[n][k] for n in rows]) for k, name in enumerate(("person_row", "time_s", "item", "query"))
    }
    columns["row"] = np.array(rows) + 1
    checks, start, turn = LifeChecks(), 0, 0
    while start < len(rows):
        size = sizes[turn % len(sizes)]
        checks.add({name: column[start : start + size] for name, column in columns.items()})
        start, turn = start + size, turn + 1
    return checks.finish()


def test_a_worked_example() -> None:
    events = [(0, 5, 1, 0), (0, 3, 2, 0), (0, 5, 1, 0), (1, 5, 1, 0), (0, 5, 1, 7), (0, 9, 1, 0)]
    checks = checked(events, [2])
    assert (checks.tied, checks.tied_rows) == (3, [1, 3, 5])
    assert (checks.duplicates, checks.duplicate_rows) == (1, [3])
    assert (checks.unsorted, checks.unsorted_rows) == (1, [2])


@given(
    st.lists(st.tuples(*(st.integers(0, 2) for _ in range(4))), min_size=1, max_size=40),
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
)
def test_counts_equal_a_naive_count(events: list[Event], sizes: list[int]) -> None:
    checks = checked(events, sizes)
    seconds = Counter((person, time) for person, time, _, _ in events)
    assert checks.tied == sum(n for n in seconds.values() if n > 1)
    assert checks.duplicates == sum(n - 1 for n in Counter(events).values())
    assert checks.tied_rows == checked(events, [len(events)]).tied_rows
