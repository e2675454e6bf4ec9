"""Which events are targets, which may be trained on, and which are kept for validation and test.

Data, between the sequence store and the batches. A target is an event with label 1 or without a label; an event with
label 0 stays in the history and is never a positive. Two protocols: by position (test = a life's last target,
validation = the one before it) and by global time. Ties in time are never evidence: whatever stands at or after the
validation target's second is out of training for that person. Departure from the paper's released code, which trains
on the last position of each life alone: everything before `train_end` may be a training target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..contracts import check_shape
from ..errors import ConfigError, EmptyDataError

MIN_TARGETS = 3
PEOPLE_PER_BLOCK = 50_000


class EventColumns(Protocol):
    """What this part reads of a sequence store: life r is the half-open range offsets[r] .. offsets[r + 1]."""

    offsets: np.ndarray
    time_s: np.ndarray
    item: np.ndarray
    query: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Targets:
    """Events that a model is asked to rank first, one row each.

    Fields:
        person: (n,) int32 person rows.
        event: (n,) int64 position in that person's life, 0 = oldest.
        time_s: (n,) int64 UTC seconds.
        item: (n,) int32 item rows.
        query: (n,) int32 query rows, 0 = none.
        label: (n,) int8 1, or -1 for none.
    """

    person: np.ndarray
    event: np.ndarray
    time_s: np.ndarray
    item: np.ndarray
    query: np.ndarray
    label: np.ndarray

    def __post_init__(self) -> None:
        for name in ("event", "time_s", "item", "query", "label"):
            check_shape(f"Targets.{name}", getattr(self, name), self.person.shape)

    def __len__(self) -> int:
        return len(self.person)

    def __repr__(self) -> str:
        return f"Targets(n={len(self)}, with_query={int((self.query > 0).sum())})"

    def take(self, rows: np.ndarray) -> Targets:
        """The targets at `rows` (indices or a mask)."""
        names = ("person", "event", "time_s", "item", "query", "label")
        return Targets(**{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True)
class Split:
    """What may be trained on, and the targets kept back.

    Fields:
        kind: "position" or "time".
        train_end: (P,) int64; events of person r at positions before train_end[r] may be trained on.
        validation: one target a person at most; selection uses these only.
        test: one target a person at most.
        left_out: people without a test target.
    """

    kind: str
    train_end: np.ndarray
    validation: Targets
    test: Targets
    left_out: int

    def __repr__(self) -> str:
        return (
            f"Split({self.kind}, train_events={int(self.train_end.sum())}, validation={len(self.validation)}, "
            f"test={len(self.test)}, left_out={self.left_out})"
        )


def count_before(store: EventColumns, person: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """How many events of each person lie strictly before a time: one binary search over all rows at once.

    Args:
        person: (n,) person rows.
        time_s: (n,) UTC seconds.

    Returns:
        (n,) int64 prefix lengths.
    """
    times = np.asarray(store.time_s)
    start = np.asarray(store.offsets)[person].astype(np.int64)
    low, high = start.copy(), np.asarray(store.offsets)[np.asarray(person) + 1].astype(np.int64)
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = open_ & (times[np.where(open_, middle, 0)] < time_s)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low - start


def targets_at(store: EventColumns, person: np.ndarray, event: np.ndarray) -> Targets:
    """The events at positions `event` (n,) of the lives `person` (n,), as targets."""
    at = np.asarray(store.offsets)[person] + event
    return Targets(
        person=np.asarray(person, np.int32),
        event=np.asarray(event, np.int64),
        time_s=np.asarray(store.time_s)[at].astype(np.int64),
        item=np.asarray(store.item)[at].astype(np.int32),
        query=np.asarray(store.query)[at].astype(np.int32),
        label=np.asarray(store.label)[at].astype(np.int8),
    )


def usable_counts(store: EventColumns, end: np.ndarray) -> np.ndarray:
    """(P,) int64: how many events with a label other than 0 each life has before position end[r]."""
    return label_counts(store, end, (-1, 1))


def label_counts(store: EventColumns, end: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    """(P,) int64: how many events with one of these labels each life has before position end[r]."""
    offsets, label = np.asarray(store.offsets), np.asarray(store.label)
    counts = np.zeros(len(offsets) - 1, np.int64)
    for first in range(0, len(counts), PEOPLE_PER_BLOCK):
        block = slice(first, min(first + PEOPLE_PER_BLOCK, len(counts)))
        base = offsets[block.start]
        running = np.concatenate(([0], np.cumsum(np.isin(label[base : offsets[block.stop]], labels))))
        starts = offsets[:-1][block] - base
        stop = np.clip(end[block], 0, np.diff(offsets)[block])
        counts[block] = running[starts + stop] - running[starts]
    return counts


def last_usable(store: EventColumns, end: np.ndarray) -> np.ndarray:
    """(P,) int64: position of the newest event before end[r] whose label is not 0; -1 where there is none."""
    offsets, label = np.asarray(store.offsets), np.asarray(store.label)
    found = np.full(len(offsets) - 1, -1, np.int64)
    for first in range(0, len(found), PEOPLE_PER_BLOCK):
        block = slice(first, min(first + PEOPLE_PER_BLOCK, len(found)))
        base = offsets[block.start]
        usable = np.flatnonzero(label[base : offsets[block.stop]] != 0)
        starts = offsets[:-1][block] - base
        before = np.searchsorted(usable, starts + np.minimum(end, np.diff(offsets))[block]) - 1
        at = usable[before] if len(usable) else np.zeros(len(starts), np.int64)
        found[block] = np.where((before >= 0) & (at >= starts), at - starts, -1)
    return found


TIED = (
    "all events of each person share one second, so none of them lies before another: import times that tell them "
    "apart, or write 1, 2, 3 ... where only the order is known"
)


def all_tied(store: EventColumns) -> bool:
    """Whether every life begins and ends in the same second."""
    offsets, time_s = np.asarray(store.offsets), np.asarray(store.time_s)
    some = offsets[1:] > offsets[:-1]
    return bool((time_s[offsets[:-1][some]] == time_s[offsets[1:][some] - 1]).all())


def position_split(store: EventColumns) -> Split:
    """Test = each life's last target, validation = the one before; people with fewer than three targets are left out.

    Raises:
        EmptyDataError: nobody has three targets.
    """
    lengths = np.diff(np.asarray(store.offsets)).astype(np.int64)
    kept = np.flatnonzero(usable_counts(store, lengths) >= MIN_TARGETS)
    if not len(kept):
        raise EmptyDataError(
            f"none of the {len(lengths)} people has {MIN_TARGETS} targets (events with label 1 or no label)",
            hint=TIED if all_tied(store) else "import more events, or check how labels were set",
        )
    last = last_usable(store, lengths)
    before = last_usable(store, np.maximum(last, 0))
    validation, test = targets_at(store, kept, before[kept]), targets_at(store, kept, last[kept])
    train_end = lengths.copy()
    train_end[kept] = count_before(store, kept, validation.time_s)
    return Split("position", train_end, validation, test, left_out=len(lengths) - len(kept))


def _first_usable_between(store: EventColumns, begin: np.ndarray, end: np.ndarray) -> Targets:
    """The oldest target of each life at positions begin .. end - 1 that has at least one earlier event; lives without
    one are absent."""
    offsets, label = np.asarray(store.offsets), np.asarray(store.label)
    usable = np.flatnonzero(label != 0)
    starts = offsets[:-1]
    nearest = np.searchsorted(usable, starts + begin)
    at = np.append(usable, np.iinfo(np.int64).max)[nearest]
    person = np.flatnonzero(at < starts + end)
    targets = targets_at(store, person, at[person] - starts[person])
    return targets.take(count_before(store, targets.person, targets.time_s) > 0)


def time_split(store: EventColumns, validation_fraction: float = 0.1, test_fraction: float = 0.1) -> Split:
    """Two global cuts in time; each person's first target after a cut is that person's validation or test target.

    The cuts are the times before which all but the last `validation_fraction + test_fraction`, and all but the last
    `test_fraction`, of the events lie. Nothing at or after the first cut is trained on.

    Raises:
        ConfigError: fractions that leave nothing.
        EmptyDataError: no target lies in the last period.
    """
    if not (validation_fraction > 0 and test_fraction > 0 and validation_fraction + test_fraction < 1):
        raise ConfigError(
            f"validation_fraction {validation_fraction} and test_fraction {test_fraction} must be positive "
            "and sum to less than 1",
            hint="use 0.1 and 0.1",
        )
    times = np.asarray(store.time_s)
    ranks = [int(len(times) * share) for share in (1 - validation_fraction - test_fraction, 1 - test_fraction)]
    first_cut, second_cut = np.partition(times, ranks)[ranks]
    people = np.arange(len(store.offsets) - 1)
    lengths = np.diff(np.asarray(store.offsets)).astype(np.int64)
    before_first = count_before(store, people, np.full(len(people), first_cut))
    before_second = count_before(store, people, np.full(len(people), second_cut))
    validation = _first_usable_between(store, before_first, before_second)
    test = _first_usable_between(store, before_second, lengths)
    if not len(test):
        raise EmptyDataError(
            f"no target with a history lies in the last {test_fraction:.0%} of the events",
            hint="use a larger test_fraction or the split by position",
        )
    return Split("time", before_first, validation, test, left_out=len(people) - len(test))
