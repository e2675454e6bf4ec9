"""The shapes at which training and evaluation are timed, and the figures of others at the same shapes.

Training, behind `bench training` and `bench evaluation`. The reference is the paper's released code, driven on
synthetic ids on one thread; its figures are constants here and that code is no part of the project. LongCTR's figures
are of its own models at shape "a", one candidate per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.data.batches import TrainingBatches
from seminar_core.data.negatives import TrainingNegatives
from seminar_core.data.splits import Split, Targets
from seminar_core.model.channels import Channels

WIDTH, HEADS, ITEMS, FROZEN = 64, 4, 60_000, 512
QUERIES, TOKENS_PER_QUERY = 200_000, 5
CATEGORIES = 100
MEAN_LENGTH = 9.6
NOW_S = 1_700_000_000


@dataclass(frozen=True)
class Shape:
    """One ground on which a step is timed.

    Fields:
        people: lives in a batch, B.
        length: longest life, L.
        keep: K.
        frozen: whether items have text and image vectors of 512.
        tokens: rows of the query-token table.
        real_lengths: lives of a skewed length distribution (mean 9.6), batches of similar length; else all of length L.
        sparse: gradients by rows.
        items, queries, frozen_width: of the catalogue, where they are not those of the reference.
    """

    people: int
    length: int
    keep: int
    frozen: bool
    tokens: int = 50_000
    real_lengths: bool = False
    sparse: bool = False
    items: int | None = None
    queries: int | None = None
    frozen_width: int | None = None

    @property
    def ids(self) -> tuple[int, int]:
        """Items and queries that a life draws from."""
        return self.items or ITEMS, self.queries or QUERIES


SHAPES = {
    "a": Shape(256, 100, 50, frozen=True),
    "k": Shape(64, 1000, 200, frozen=False),
    "a-real-lengths": Shape(256, 100, 50, frozen=True, real_lengths=True, sparse=True),
    "a-3m": Shape(256, 100, 50, frozen=True, tokens=3_000_000, sparse=True),
    "k-3m": Shape(64, 1000, 200, frozen=False, tokens=3_000_000, sparse=True),
}
CANDIDATES = {"finetune": 2, "pretrain": 21, "evaluate": 100}


@dataclass(frozen=True)
class Row:
    """One line of a benchmark.

    Fields:
        shape: of `SHAPES`.
        phase: "finetune", "pretrain" or "evaluate".
        model: of `MODELS`, or "psu".
        unit: what `per_s` counts: "examples" (lives), "rows" (a life with one candidate) or "people".
        reference_per_s: the figure to compare with.
        reference: whose figure it is.
        goal: the ratio to reach, 0 = none.
        reference_mb: the reference's memory, 0 = not known.
    """

    shape: str
    phase: str
    model: str
    unit: str
    reference_per_s: float
    reference: str = "released code"
    goal: float = 0.0
    reference_mb: float = 0.0


TRAINING = (
    Row("a", "finetune", "seminar", "examples", 465, goal=4),
    Row("k", "finetune", "seminar", "examples", 78, goal=4),
    Row("a-real-lengths", "finetune", "seminar", "examples", 465, goal=15),
    Row("a-3m", "finetune", "seminar", "examples", 56, goal=10, reference_mb=5_500),
    Row("k-3m", "finetune", "seminar", "examples", 11, goal=5, reference_mb=7_400),
    Row("a", "pretrain", "psu", "examples", 44, goal=12),
    Row("k", "pretrain", "psu", "examples", 19, goal=6),
)
TRAINING_RIVALS = tuple(
    Row("a", "finetune", model, "rows", per_s, "LongCTR", 1)
    for model, per_s in (
        ("sim-hard", 1049), ("sim-soft", 1049), ("eta", 1293), ("twin", 895), ("din", 2540), ("muse", 2116),
    )
)  # fmt: skip
EVALUATION = (
    Row("a", "evaluate", "seminar", "people", 41, goal=35),
    Row("k", "evaluate", "seminar", "people", 5.8, goal=30),
    Row("a-real-lengths", "evaluate", "seminar", "people", 41, goal=35),
)
EVALUATION_RIVALS = tuple(
    Row("a", "evaluate", model, "people", per_s, "LongCTR", 1)
    for model, per_s in (
        ("sim-hard", 24), ("sim-soft", 24), ("eta", 33), ("twin", 23), ("din", 95), ("muse", 55), ("sdim", 37),
    )
)  # fmt: skip


def make_channels(shape: Shape, seed: int = 0) -> Channels:
    """Channels over random ids: no attribute values, random tokens, random unit-length frozen vectors."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    items, queries = shape.ids
    tokens = rng.integers(1, shape.tokens + 1, (queries + 1, TOKENS_PER_QUERY), dtype=np.int32)
    tokens[0] = 0
    tables: list[torch.Tensor | None] = [None, None]
    if shape.frozen:
        for i in range(2):
            width = shape.frozen_width or FROZEN
            table = torch.randn(items + 1, width).mul_(width**-0.5)
            table[0] = 0
            tables[i] = table
    return Channels(
        width=WIDTH,
        n_items=items,
        attributes=None,
        n_attribute_values=0,
        query_tokens=torch.from_numpy(tokens),
        n_query_tokens=shape.tokens,
        text_items=tables[0],
        image_items=tables[1],
        sparse=shape.sparse,
    )


def category_rows(seed: int = 0, items: int | None = None) -> torch.Tensor:
    """(I+1,) random category rows."""
    rows = torch.from_numpy(np.random.default_rng(seed).integers(1, CATEGORIES + 1, (items or ITEMS) + 1))
    rows[0] = 0
    return rows


def training_batches(shape: Shape, phase: str, seed: int = 0) -> TrainingBatches:
    """The project's own batches over random lives of this shape: what prepares a step's data in real training."""
    rng = np.random.default_rng((seed, 3))
    people = 16 * shape.people
    # One event more than is read: the last one is the target.
    lengths = batch_lengths(shape, 16, seed).reshape(-1) + 1
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    events = int(offsets[-1])
    columns: Any = SimpleNamespace(
        offsets=offsets,
        time_s=NOW_S + np.arange(events),
        item=rng.integers(1, ITEMS + 1, events, dtype=np.int32),
        query=rng.integers(1, QUERIES + 1, events, dtype=np.int32),
        label=np.full(events, -1, np.int8),
    )
    catalogue: Any = SimpleNamespace(store=columns, n_items=ITEMS, category=np.zeros(ITEMS + 1, np.int32))
    rows, places = np.zeros(0, np.int32), np.zeros(0, np.int64)
    nobody = Targets(rows, places, places, rows, rows, rows.astype(np.int8))
    split = Split("position", lengths, nobody, nobody, people)
    return TrainingBatches(
        columns,
        split,
        TrainingNegatives(catalogue, split),
        batch_size=shape.people,
        max_length=shape.length,
        targets_per_life=1,
        negatives_per_target=CANDIDATES[phase] - 1,
        last_only=True,
        seed=seed,
    )


def batch_lengths(shape: Shape, batches: int, seed: int = 0) -> np.ndarray:
    """(batches, B) life lengths; the skewed ones sorted into batches of similar length, the batches shuffled."""
    if not shape.real_lengths:
        return np.full((batches, shape.people), shape.length)
    rng = np.random.default_rng((seed, 1))
    drawn = np.minimum(rng.geometric(1 / MEAN_LENGTH, batches * shape.people), shape.length)
    return rng.permutation(np.sort(drawn).reshape(batches, shape.people))


def make_batch(shape: Shape, lengths: np.ndarray, candidates: int, seed: int) -> tuple[LifeBatch, TargetBatch]:
    """Random lives of `lengths` (B,), every event with a query of its own, one target each."""
    rng = np.random.default_rng((seed, 2))
    items, queries = shape.ids
    people, width = len(lengths), int(lengths.max())
    valid = np.arange(width) < lengths[:, None]
    item = rng.integers(1, items + 1, (people, width), dtype=np.int32) * valid
    query = rng.integers(1, queries + 1, (people, width), dtype=np.int32) * valid
    time_s = NOW_S - np.sort(rng.integers(1, 10**8, (people, width)))[:, ::-1]
    wanted = (people, 1, candidates)
    one = np.ones((people, 1), bool)
    return LifeBatch(item, query, np.where(valid, time_s, 0), valid), TargetBatch(
        rng.integers(1, items + 1, wanted, dtype=np.int32),
        rng.integers(1, queries + 1, wanted, dtype=np.int32),
        np.full((people, 1), NOW_S),
        lengths[:, None].astype(np.int32),
        one,
        one.astype(np.int8),
    )
