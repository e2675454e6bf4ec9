"""The hand-overs between parts: what a batch of lives, a set of targets and a table of channel vectors look like.

Foundation, NumPy only. Each dataclass checks itself when it is built. One shape alphabet everywhere: B batch, L life
length, K kept events, M channels, D width, H heads, P target positions per life, N candidates of a target, I catalogue
items, Q distinct queries, S sub-spaces and C centroids of a quantiser.

Row 0 of every table is reserved (`PAD`): it stands for padding and for absence and its vector is exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import NonFiniteError, ShapeError

PAD = 0
CHANNELS = ("Q", "A", "T", "I")
ITEM_CHANNELS = ("A", "T", "I")
CHANNEL_NAMES = {"Q": "query", "A": "attribute", "T": "text", "I": "image"}


def check_shape(name: str, array: np.ndarray, expected: tuple[int | None, ...]) -> None:
    """Raise `ShapeError` unless `array` has the expected shape (None = any size)."""
    fits = array.shape == expected or (
        len(array.shape) == len(expected)
        and all(want is None or got == want for got, want in zip(array.shape, expected, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{name} has shape {tuple(array.shape)}, expected {expected}", hint="see the shape alphabet in contracts.py"
        )


@dataclass(frozen=True)
class LifeBatch:
    """Histories of B people, oldest event first, left-aligned, padding behind.

    Fields:
        item: (B, L) int32 item rows, 0 where padded.
        query: (B, L) int32 query rows, 0 where the event has no query.
        time_s: (B, L) int64 UTC seconds.
        valid: (B, L) bool, false where padded.
    """

    item: np.ndarray
    query: np.ndarray
    time_s: np.ndarray
    valid: np.ndarray

    def __post_init__(self) -> None:
        for name in ("query", "time_s", "valid"):
            check_shape(f"LifeBatch.{name}", getattr(self, name), self.item.shape)

    def __repr__(self) -> str:
        return f"LifeBatch(B={self.item.shape[0]}, L={self.item.shape[1]}, events={int(self.valid.sum())})"


@dataclass(frozen=True)
class TargetBatch:
    """P target positions of each life with N candidates each; in training candidate 0 is the positive.

    Fields:
        item: (B, P, N) int32 candidate item rows.
        query: (B, P, N) int32 candidate query rows, 0 = no query.
        time_s: (B, P) int64 the target's time.
        visible: (B, P) int32 how many leading events of the life this target may see (all strictly before `time_s`).
        valid: (B, P) bool, false where there is no target.
        label: (B, P) int8 the positive's own label: 1, 0, or -1 for none.
    """

    item: np.ndarray
    query: np.ndarray
    time_s: np.ndarray
    visible: np.ndarray
    valid: np.ndarray
    label: np.ndarray

    def __post_init__(self) -> None:
        check_shape("TargetBatch.query", self.query, self.item.shape)
        for name in ("time_s", "visible", "valid", "label"):
            check_shape(f"TargetBatch.{name}", getattr(self, name), self.item.shape[:2])

    def __repr__(self) -> str:
        b, p, n = self.item.shape
        return f"TargetBatch(B={b}, P={p}, N={n}, targets={int(self.valid.sum())})"


def all_finite(array: np.ndarray, block: int = 1 << 20) -> bool:
    """Whether no value is NaN or infinite, looked at in blocks of rows: a memory map is never whole in memory."""
    return all(bool(np.isfinite(array[start : start + block]).all()) for start in range(0, len(array), block))


@dataclass(frozen=True)
class ChannelVectors:
    """Vectors of the whole catalogue and of all distinct queries, as the model sees them before its projections G.

    Fields:
        item: (I+1, 3, D) float32 in the order of `ITEM_CHANNELS`; row 0 and absent channels are exactly zero.
        item_present: (I+1, 3) bool.
        query: (Q+1, D) float32; row 0 is exactly zero.
        query_present: (Q+1,) bool.
        origin: digest of the weights, data and encoders that they were computed from, "" where nobody knows. It names
            vectors across machines, whose processors round the same sums differently in the last bit.
    """

    item: np.ndarray
    item_present: np.ndarray
    query: np.ndarray
    query_present: np.ndarray
    origin: str = ""

    def __post_init__(self) -> None:
        check_shape("ChannelVectors.item", self.item, (None, 3, self.query.shape[-1]))
        check_shape("ChannelVectors.item_present", self.item_present, self.item.shape[:2])
        check_shape("ChannelVectors.query_present", self.query_present, self.query.shape[:1])
        if not (all_finite(self.item) and all_finite(self.query)):
            raise NonFiniteError(
                "channel vectors hold NaN or infinity", hint="the run diverged: train again with a lower learning rate"
            )

    def __repr__(self) -> str:
        return f"ChannelVectors(items={len(self.item) - 1}, queries={len(self.query) - 1}, D={self.query.shape[-1]})"


@dataclass(frozen=True)
class Folded:
    """One target with heads, projections and channel weights folded in, one vector per head and channel.

    The score of event l for head h is `scale(l) * sum_{n in A,T,I} u[h,n] . e_n(l) + u[h,Q] . e_Q(l)`, where scale is 1
    for an event with a query and `item_scale_without_query` for one without.

    Fields:
        u: (H, M, D) float32 in the order of `CHANNELS`.
        item_scale_without_query: non-negative factor; 0 when the item weights sum to zero.
    """

    u: np.ndarray
    item_scale_without_query: float

    def __post_init__(self) -> None:
        check_shape("Folded.u", self.u, (None, len(CHANNELS), None))
        if not (np.isfinite(self.u).all() and np.isfinite(self.item_scale_without_query)):
            raise NonFiniteError("a folded target holds NaN or infinity", hint="check the weights and the run")


@dataclass(frozen=True)
class Kept:
    """What a search kept, per head, best first.

    Fields:
        events: (H, K) int64 positions in the event set (0 = oldest), -1 where fewer than K exist.
        scores: (H, K) float32, minus infinity where there is no event.
    """

    events: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        check_shape("Kept.scores", self.scores, self.events.shape)
