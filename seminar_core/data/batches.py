"""Batches for training and evaluation, cut from the sequence store's memory maps with NumPy alone.

Data, the last step before the model. One pass over a life serves many targets: a training window holds up to
`max_length` events and P targets, each with its own time mask (only events strictly before its second are visible), so
that many positions of each life are covered. Batch `step` is a function of (seed, step) alone: resuming is exact and
the order of the data does not depend on the process. Departure from the paper's released code, which uses the last
position of each life and one example per row, prepared in Python loops.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..contracts import LifeBatch, TargetBatch, check_shape
from ..errors import ConfigError, EmptyDataError
from .negatives import TrainingNegatives
from .splits import EventColumns, Split, Targets, count_before, label_counts, last_usable, usable_counts

LENGTH_STEP = 8
BUCKET_RATIO = 1.5
LABEL_STREAM = 9


def _gather(column: np.ndarray, start: np.ndarray, length: np.ndarray, width: int) -> np.ndarray:
    """(B, width) values of `column` at start[b] .. start[b] + length[b] - 1, zero behind."""
    inside = np.arange(width) < length[:, None]
    at = np.where(inside, start[:, None] + np.arange(width), 0)
    return np.where(inside, np.asarray(column)[at], 0)


def _width(longest: int, cap: int) -> int:
    """`longest` rounded up to a few distinct values, at least 1 and at most `cap`."""
    return max(1, min(-(-longest // LENGTH_STEP) * LENGTH_STEP, cap))


def _visible(time_s: np.ndarray) -> np.ndarray:
    """(B, W) how many events of the window lie strictly before the second of each of its events."""
    new_second = np.diff(time_s, axis=1, prepend=time_s[:, :1] - 1) != 0
    return np.maximum.accumulate(np.where(new_second, np.arange(time_s.shape[1]), 0), axis=1)


def some_columns(rng: np.random.Generator, usable: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """`wanted` = P columns of each row where `usable` (B, W), ascending, and which of them exist; both (B, P)."""
    keys = np.where(usable, rng.random(usable.shape), 2.0)
    if wanted < usable.shape[1]:
        columns = np.argpartition(keys, wanted - 1, axis=1)[:, :wanted]
    else:
        columns = np.broadcast_to(np.arange(usable.shape[1]), usable.shape)
    exists = np.take_along_axis(usable, columns, axis=1)
    order = np.argsort(np.where(exists, columns, usable.shape[1]), axis=1)
    columns, exists = np.take_along_axis(columns, order, axis=1), np.take_along_axis(exists, order, axis=1)
    spare = max(wanted - columns.shape[1], 0)
    return np.pad(columns, ((0, 0), (0, spare))), np.pad(exists, ((0, 0), (0, spare)))


def life_windows(store: EventColumns, person: np.ndarray, end: np.ndarray, max_length: int) -> LifeBatch:
    """The at most `max_length` events before position `end` of each person, oldest first.

    Args:
        person: (B,) person rows.
        end: (B,) positions; the window's newest event is end - 1.
        max_length: largest L.

    Returns:
        A batch with L = the longest window, rounded up to a multiple of 8 (never above `max_length`, at least 1).
    """
    end = np.asarray(end, np.int64)
    length = np.minimum(end, max_length)
    start = np.asarray(store.offsets)[person] + end - length
    width = _width(int(length.max(initial=0)), max_length)
    return LifeBatch(
        item=_gather(store.item, start, length, width).astype(np.int32),
        query=_gather(store.query, start, length, width).astype(np.int32),
        time_s=_gather(store.time_s, start, length, width).astype(np.int64),
        valid=np.arange(width) < length[:, None],
    )


def evaluation_batches(
    store: EventColumns,
    targets: Targets,
    item: np.ndarray,
    query: np.ndarray,
    *,
    max_length: int,
    batch_size: int,
) -> Iterator[tuple[np.ndarray, LifeBatch, TargetBatch]]:
    """Batches of similar life length with one target position each (P = 1).

    Args:
        targets: n targets.
        item: (n, N) candidate item rows, candidate 0 the positive.
        query: (n, N) candidate query rows, 0 = no query; see `candidates.evaluation_candidates` for the query modes.
        max_length: events a model may read before the target's time.
        batch_size: targets in a batch.

    Yields:
        (indices (B,) into `targets`, lives, targets); shortest lives first.
    """
    check_shape("candidate item", item, (len(targets), None))
    check_shape("candidate query", query, item.shape)
    visible = count_before(store, targets.person, targets.time_s)
    order = np.argsort(np.minimum(visible, max_length), kind="stable")
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        yield (
            rows,
            life_windows(store, targets.person[rows], visible[rows], max_length),
            TargetBatch(
                item=item[rows][:, None, :].astype(np.int32),  # (B, 1, N)
                query=query[rows][:, None, :].astype(np.int32),
                time_s=targets.time_s[rows][:, None],
                visible=np.minimum(visible[rows], max_length).astype(np.int32)[:, None],
                valid=np.ones((len(rows), 1), bool),
                label=targets.label[rows][:, None],
            ),
        )


class TrainingBatches:
    """Random access to training batches: `batch(step)` depends on nothing but the data, the settings and (seed, step).

    People are drawn in proportion to their usable targets, within one bucket of similar window length per step (the
    bucket itself drawn by its share of targets, so every person's targets stay equally likely). A training part of at
    most `max_length` events is one window and P of all its targets are drawn without replacement; on a longer one the
    window's end is drawn and the targets come from its last `span` positions. A target sees all its history or at
    least `max_length + 1 - span` events of it, and never more than `max_length`.

    Args:
        store: the sequence store.
        split: what may be trained on.
        negatives: draws the negative pairs.
        batch_size: lives in a batch, B.
        max_length: events a model may read, the largest L.
        targets_per_life: P.
        negatives_per_target: N - 1.
        span: how far back from the window's end targets are drawn; default half of `max_length`.
        last_only: one target a life, the last before `train_end`; for comparison with the paper's protocol.
        labels_per_life: labelled events of each life that `with_labels` draws; 0 = none.
        seed: with `step`, the only source of randomness.

    Raises:
        ConfigError: a size that is not positive, a span above `max_length`, or `last_only` with several targets.
        EmptyDataError: no event can be a training target, or labelled events are wanted and one label does not occur.
    """

    def __init__(
        self,
        store: EventColumns,
        split: Split,
        negatives: TrainingNegatives,
        *,
        batch_size: int,
        max_length: int,
        targets_per_life: int = 8,
        negatives_per_target: int = 20,
        span: int | None = None,
        last_only: bool = False,
        labels_per_life: int = 0,
        seed: int = 0,
    ):
        span = max(1, max_length // 2) if span is None else span
        sizes = {
            "batch_size": batch_size,
            "max_length": max_length,
            "targets_per_life": targets_per_life,
            "negatives_per_target": negatives_per_target,
            "span": span,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"{name} is {value}, it must be at least 1", hint=f"set {name} to a positive number")
        if span > max_length:
            raise ConfigError(f"span {span} is above max_length {max_length}", hint="set span to at most max_length")
        if last_only and targets_per_life != 1:
            raise ConfigError(
                f"last_only uses one target a life, targets_per_life is {targets_per_life}",
                hint="set targets_per_life to 1",
            )
        self.store, self.split, self.negatives = store, split, negatives
        self.batch_size, self.max_length, self.span = batch_size, max_length, span
        self.targets_per_life, self.negatives_per_target = targets_per_life, negatives_per_target
        self.last_only, self.labels_per_life, self.seed = last_only, labels_per_life, seed
        self._weigh_people()
        if labels_per_life:
            self._require_both_labels()

    def _weigh_people(self) -> None:
        """Sort people into buckets of similar window length and give each its number of usable targets as weight."""
        end = self.split.train_end
        # A target needs an event before it: people whose training part is one event or one second have none.
        first_time = np.asarray(self.store.time_s)[np.minimum(self.store.offsets[:-1], len(self.store.time_s) - 1)]
        first_later = count_before(self.store, np.arange(len(end)), first_time + 1)
        weight = usable_counts(self.store, end)
        self._last = last_usable(self.store, end)
        weight[self._last < first_later] = 0
        if self.last_only:
            weight = np.minimum(weight, 1)
        if not weight.any():
            raise EmptyDataError(
                "no event before the validation targets can be a training target (label 1 or none, with a history)",
                hint="import people with more events",
            )
        reach = np.minimum(end, self.max_length)
        people = np.flatnonzero(weight)
        self._people = people[np.argsort(reach[people], kind="stable")]
        lengths = reach[self._people]
        bucket = np.floor(np.log(np.maximum(lengths, 1)) / np.log(BUCKET_RATIO) + 1e-9)
        starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
        self._cumulative = np.concatenate(([0], np.cumsum(weight[self._people])))
        self._bucket_edges = self._cumulative[np.append(starts, len(self._people))]
        self.n_targets = int(self._cumulative[-1])

    def _require_both_labels(self) -> None:
        """Refuse labels of which the people that are drawn have one kind alone, events with a history counted."""
        store, people, end = self.store, self._people, self.split.train_end
        starts = np.asarray(store.offsets)[people]
        first = np.zeros(len(end), np.int64)
        first[people] = np.minimum(count_before(store, people, np.asarray(store.time_s)[starts] + 1), end[people])
        zeros, ones = (
            int((label_counts(store, end, (label,)) - label_counts(store, first, (label,)))[people].sum())
            for label in (0, 1)
        )
        if not (zeros and ones):
            raise EmptyDataError(
                f"the task 'label' needs training events with label 1 and with label 0, there are {ones} and {zeros}",
                hint="train with tasks=next, or import events whose column 'label' holds both 1 and 0",
            )

    def __repr__(self) -> str:
        return (
            f"TrainingBatches(people={len(self._people)}, targets={self.n_targets}, B={self.batch_size}, "
            f"L<={self.max_length}, P={self.targets_per_life}, N={1 + self.negatives_per_target}, seed={self.seed})"
        )

    def _draw_people(self, rng: np.random.Generator) -> np.ndarray:
        """(B,) person rows of one bucket, in proportion to their usable targets."""
        point = rng.integers(self.n_targets)
        bucket = np.searchsorted(self._bucket_edges, point, side="right") - 1
        low, high = self._bucket_edges[bucket], self._bucket_edges[bucket + 1]
        points = rng.integers(low, high, self.batch_size)
        return self._people[np.searchsorted(self._cumulative, points, side="right") - 1]

    def _window_ends(self, rng: np.random.Generator, person: np.ndarray) -> np.ndarray:
        """(B,) the position behind each window's last possible target."""
        end = self.split.train_end[person]
        if self.last_only:
            return self._last[person] + 1
        # Ends reach half a span past either side and are clipped, so that a long life's edges are covered as well.
        drawn = rng.integers(self.span // 2, np.maximum(end + self.span // 2, 1) + 1)
        return np.where(end <= self.max_length, end, np.clip(drawn, self.span, np.maximum(end, self.span)))

    def _draw_positions(
        self, rng: np.random.Generator, usable: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """P columns of each row where `usable` (B, W), ascending, and which of them exist; both (B, P)."""
        if self.last_only:
            newest = last[:, None] - 1
            return newest, np.take_along_axis(usable, newest, axis=1)
        return some_columns(rng, usable, self.targets_per_life)

    def batch(self, step: int) -> tuple[LifeBatch, TargetBatch]:
        """Batch number `step`: lives (B, L) and targets (B, P, 1 + negatives), candidate 0 the positive."""
        lives, (targets,) = self._drawn(step, labels=False)
        return lives, targets

    def with_labels(self, step: int) -> tuple[LifeBatch, TargetBatch, TargetBatch]:
        """The lives and targets of `batch`, and beside them labelled events of the same lives.

        These are drawn from a stream of their own: label 0 or 1, P = `labels_per_life`, one candidate each, the event
        itself. The lives may be wider than those of `batch`: a labelled event may lie behind the last target.
        """
        lives, (targets, labelled) = self._drawn(step, labels=True)
        return lives, targets, labelled

    def _drawn(self, step: int, *, labels: bool) -> tuple[LifeBatch, list[TargetBatch]]:
        rng = np.random.default_rng((self.seed, step))
        person = self._draw_people(rng)
        stop = self._window_ends(rng, person)
        # One event more than the model reads: the window's last event can be a target but is evidence for none.
        length = np.minimum(stop, self.max_length + 1)
        start = np.asarray(self.store.offsets)[person] + stop - length
        width = _width(int(length.max()), self.max_length + 1)
        window = {
            name: _gather(getattr(self.store, name), start, length, width)
            for name in ("item", "query", "time_s", "label")
        }
        inside = np.arange(width) < length[:, None]
        window["visible"] = _visible(window["time_s"])
        candidate = inside & (window["visible"] > 0)
        if not self.last_only:
            whole = self.split.train_end[person] <= self.max_length
            candidate &= whole[:, None] | (np.arange(width) >= (length - self.span)[:, None])
        chosen = self._draw_positions(rng, candidate & (window["label"] != 0), length)
        found = [self._targets(rng, window, *chosen, self.negatives_per_target)]
        if labels:
            own = np.random.default_rng((self.seed, step, LABEL_STREAM))
            chosen = some_columns(own, candidate & (window["label"] >= 0), self.labels_per_life)
            found.append(self._targets(own, window, *chosen, 0))
        longest = max(int(targets.visible.max()) for targets in found)
        readable = min(_width(longest, self.max_length), width)
        lives = LifeBatch(
            item=window["item"][:, :readable].astype(np.int32),
            query=window["query"][:, :readable].astype(np.int32),
            time_s=window["time_s"][:, :readable].astype(np.int64),
            valid=inside[:, :readable],
        )
        return lives, found

    def _targets(
        self,
        rng: np.random.Generator,
        window: dict[str, np.ndarray],
        chosen: np.ndarray,
        valid: np.ndarray,
        negatives: int,
    ) -> TargetBatch:
        """The events at columns `chosen` (B, P) of a window with drawn negatives; empty where not `valid` (B, P)."""
        at = {name: np.where(valid, np.take_along_axis(column, chosen, axis=1), 0) for name, column in window.items()}
        item, query = self.negatives.pairs(rng, at["item"], at["query"], negatives)
        return TargetBatch(
            item=np.where(valid[..., None], item, 0).astype(np.int32),  # (B, P, 1 + negatives)
            query=np.where(valid[..., None], query, 0).astype(np.int32),
            time_s=at["time_s"].astype(np.int64),
            visible=at["visible"].astype(np.int32),
            valid=valid,
            label=np.where(valid, at["label"], -1).astype(np.int8),
        )

    def __iter__(self) -> Iterator[tuple[LifeBatch, TargetBatch]]:
        """Batches 0, 1, 2, ... without end."""
        step = 0
        while True:
            yield self.batch(step)
            step += 1
