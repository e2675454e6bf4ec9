"""Which events of a life are looked at: by text, action, category, lane and period.

Diagnostics, beside `lifeline`. Works on rows, not on strings: a text is looked for once in each distinct title and
query of the life, so 100,000 events of a few thousand items are filtered in milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..data.dataset import Dataset
from ..data.sequence_store import Life
from ..errors import ConfigError, UnknownNameError

LANES = ("both", "search", "browsing")


@dataclass(frozen=True)
class LifeFilter:
    """What is shown of a life; every default lets everything through.

    Fields:
        text: title or query contains it, case ignored.
        actions: one of these action names.
        categories: one of these category names.
        lanes: both, search (events with a query) or browsing.
        from_s: not before this time, UTC seconds.
        to_s: not after this time, UTC seconds.
    """

    text: str = ""
    actions: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    lanes: str = "both"
    from_s: int | None = None
    to_s: int | None = None

    def __post_init__(self) -> None:
        if self.lanes not in LANES:
            raise UnknownNameError("lane", self.lanes, LANES)
        if self.from_s is not None and self.to_s is not None and self.from_s > self.to_s:
            raise ConfigError(
                f"the period begins at {self.from_s} and ends before that, at {self.to_s}",
                hint="choose an end at or after the beginning",
            )


def rows_named(wanted: Collection[str], known: list[str], what: str) -> np.ndarray:
    """(len(known),) bool of the names that are wanted.

    Raises:
        UnknownNameError: a wanted name is not known.
    """
    for name in wanted:
        if name not in known:
            raise UnknownNameError(what, name, [n for n in known if n])
    return np.array([name in wanted for name in known])


def texts_with(needle: str, rows: np.ndarray, texts: list[str | None] | list[str]) -> np.ndarray:
    """(L,) bool: the text at each of (L,) rows contains `needle`, case ignored; looked up once per distinct row."""
    distinct, inverse = np.unique(rows, return_inverse=True)
    found = np.array([needle in (texts[row] or "").lower() for row in distinct], dtype=bool)
    return found[inverse]


def positions(dataset: Dataset, life: Life, chosen: LifeFilter) -> np.ndarray:
    """Positions (n,) int64, ascending, of the events that `chosen` lets through."""
    keep = np.ones(len(life), dtype=bool)
    if chosen.lanes != "both":
        keep &= (life.query > 0) == (chosen.lanes == "search")
    if chosen.from_s is not None:
        keep &= life.time_s >= chosen.from_s
    if chosen.to_s is not None:
        keep &= life.time_s <= chosen.to_s
    if chosen.actions:
        keep &= rows_named(chosen.actions, dataset.actions, "action")[life.action]
    if chosen.categories:
        keep &= rows_named(chosen.categories, dataset.category_names, "category")[dataset.category[life.item]]
    needle = chosen.text.strip().lower()
    if needle:
        keep &= texts_with(needle, life.item, dataset.titles) | texts_with(needle, life.query, dataset.query_texts)
    return np.flatnonzero(keep)
