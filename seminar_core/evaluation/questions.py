"""What is asked of every model: held-out targets with their candidates, chosen once and the same for all.

Evaluation, between the data's candidates and the protocol. `Questions` are fixed by (data set, split, part, mode,
negatives, sampler, pool, seed) and by nothing else. Query modes: `recommendation` hides the query from every
candidate; `search` gives all candidates the positive's query; in `pair` a rival is a whole training event that has a
query. With "full" every item of the pool that the person never met is a rival. The pool is what anybody met, or the
catalogue.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import PAD, check_shape
from ..data.candidates import MODES, POOLS, SAMPLERS, evaluation_candidates, pool_items
from ..data.dataset import Dataset
from ..data.splits import Split, Targets
from ..errors import ConfigError, EmptyDataError, UnknownNameError

PARTS = ("test", "validation")
FULL = "full"


@dataclass(frozen=True)
class Questions:
    """n targets and their candidates.

    Fields:
        targets: the held-out events.
        item: (n, N) int32, candidate 0 the positive, 0 where a person has fewer rivals; None when all items are asked.
        query: (n, N) int32 query rows; (n, 1) with the whole catalogue.
        protocol: mode, negatives, sampler, pool, unmet_share (of the catalogue), seed, part, split, n, left_out,
            fewer_rivals (targets with fewer than asked for), same_category.
    """

    targets: Targets
    item: np.ndarray | None
    query: np.ndarray
    protocol: dict[str, Any]

    def __post_init__(self) -> None:
        check_shape("Questions.query", self.query, (len(self), 1 if self.item is None else self.item.shape[1]))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def allowed(self) -> np.ndarray | None:
        """(n, N) bool, where there is a candidate; None when all items are asked."""
        return None if self.item is None else self.item > PAD

    @property
    def identity(self) -> str:
        """Equal where the same targets were given the same rivals: only then are differences paired."""
        digest = hashlib.sha256(json.dumps(self.protocol, sort_keys=True).encode())
        for column in (self.targets.person, self.targets.event, self.targets.item, self.item, self.query):
            digest.update(b"all" if column is None else np.asarray(column).tobytes())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return "Questions(" + ", ".join(f"{name}={value}" for name, value in self.protocol.items()) + ")"


def ask(
    dataset: Dataset,
    split: Split,
    *,
    part: str = "test",
    mode: str = "recommendation",
    negatives: int | str = 99,
    sampler: str = "uniform",
    pool: str = "met",
    seed: int = 0,
    people: np.ndarray | None = None,
) -> Questions:
    """Choose targets and rivals.

    Args:
        negatives: how many rivals, or "full" for every item of the pool that the person never met.
        pool: "met" (by anybody, in the whole data set) or "catalogue".
        people: person rows to keep; None = all.

    Raises:
        UnknownNameError: part, mode, sampler or pool is not known.
        ConfigError: the number of negatives does not fit the mode.
        EmptyDataError: no target has what the mode needs.
    """
    for what, value, known in (
        ("mode", mode, MODES),
        ("part", part, PARTS),
        ("sampler", sampler, SAMPLERS),
        ("pool", pool, POOLS),
    ):
        if value not in known:
            raise UnknownNameError(what, value, known)
    targets = split.test if part == "test" else split.validation
    if people is not None:
        targets = targets.take(np.isin(targets.person, people))
    protocol: dict[str, Any] = {
        "mode": mode,
        "negatives": negatives,
        "sampler": sampler,
        "pool": pool,
        "unmet_share": 1 - len(pool_items(dataset, "met")) / max(dataset.n_items, 1),
        "seed": seed,
        "part": part,
        "split": split.kind,
    }
    if negatives == FULL:
        return _ask_catalogue(targets, mode, protocol)
    if not isinstance(negatives, int) or isinstance(negatives, bool):
        raise ConfigError(f"negatives = {negatives!r} is neither a whole number nor 'full'", hint="use --negatives 99")
    count = min(negatives, dataset.n_items)  # rivals are distinct items: nobody has more, whatever is asked for
    chosen = evaluation_candidates(
        dataset, split, targets, mode=mode, sampler=sampler, count=count, seed=seed, pool=pool
    )
    protocol |= {
        "n": len(chosen.targets),
        "left_out": chosen.left_out,
        "fewer_rivals": chosen.fewer,
        "same_category": chosen.same_category,
    }
    return Questions(chosen.targets, chosen.item, chosen.query, protocol)


def _ask_catalogue(targets: Targets, mode: str, protocol: dict[str, Any]) -> Questions:
    if mode == "pair":
        raise ConfigError(
            "mode 'pair' has no full catalogue: its rivals are training events", hint="use --negatives 99"
        )
    used = targets if mode == "recommendation" else targets.take(targets.query > PAD)
    if not len(used):
        raise EmptyDataError(
            f"mode {mode!r} uses none of the {len(targets)} targets", hint="use the mode 'recommendation'"
        )
    query = used.query[:, None] if mode == "search" else np.zeros((len(used), 1), np.int32)
    left_out = len(targets) - len(used)
    return Questions(
        used, None, query, protocol | {"n": len(used), "left_out": left_out, "fewer_rivals": 0, "same_category": None}
    )


def rival_mask(dataset: Dataset, targets: Targets, pool: str = "met", *, items: np.ndarray | None = None) -> np.ndarray:
    """(n, I) bool over item rows 1..I: what of the pool the person never met, the target's own item left out.

    Args:
        items: `pool_items` of the pool, where many batches of targets are asked about.
    """
    store = dataset.store
    offsets = np.asarray(store.offsets)
    length = (offsets[targets.person + 1] - offsets[targets.person]).astype(np.int64)
    row = np.repeat(np.arange(len(targets)), length)
    step = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    drawn = np.zeros(dataset.n_items + 1, bool)
    drawn[pool_items(dataset, pool) if items is None else items] = True
    mask = np.tile(drawn, (len(targets), 1))
    mask[row, np.asarray(store.item)[offsets[targets.person][row] + step]] = False
    mask[np.arange(len(targets)), targets.item] = False
    return mask[:, 1:]
