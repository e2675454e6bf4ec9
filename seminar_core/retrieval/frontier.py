"""What a search is worth and what it costs: quality beside the exact answer, latencies, a suggestion, a cross-over.

Retrieval, last stop. `quality` compares a kept set with the exact one, `latencies` times calls block by block in turn,
so that all meet the same machine, `suggest` picks the cheapest row that reaches a recall, and `crossover` finds the
length from which a search beats exact search. The rows of a run are measured by `search/budget.py`, on the same
questions that `retrieve` answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import Kept
from ..errors import ConfigError

BLOCK = 5  # calls of one method in a row before the next method's turn


@dataclass(frozen=True)
class Quality:
    """One approximate answer beside the exact one, means over heads.

    Fields:
        recall: share of the exact kept events that were kept.
        attention_mass: softmax mass of the kept events over that of the exact ones, scores exact over the whole life.
        interest_error: length of the difference of the attended means over the exact one's; None where that is zero.
    """

    recall: float
    attention_mass: float
    interest_error: float | None


def quality(kept: Kept, exact: Kept, scores: np.ndarray, values: Callable[[np.ndarray], np.ndarray]) -> Quality:
    """Compare kept sets.

    Args:
        kept: the approximate answer.
        exact: the exact answer.
        scores: (H, L) exact scores of the whole life.
        values: what is attended to, from positions (n,) to vectors (n, W).
    """
    shares, masses, near, true = [], [], [], []
    for mine, best, row in zip(kept.events, exact.events, scores, strict=True):
        mine, best = mine[mine >= 0], best[best >= 0]
        weight = np.exp(row - row.max(initial=-np.inf))
        shares.append(np.isin(best, mine, assume_unique=True).mean() if len(best) else 1.0)
        masses.append(weight[mine].sum() / weight[best].sum() if len(best) else 1.0)
        near.append(_attended(weight[mine], values(mine)))
        true.append(_attended(weight[best], values(best)))
    length = float(np.linalg.norm(true))
    error = float(np.linalg.norm(np.subtract(near, true))) / length if length else None
    return Quality(float(np.mean(shares)), float(np.mean(masses)), error)


def _attended(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean (W,) of values (n, W) under weights (n,); zero where there is nothing."""
    return weight @ values / weight.sum() if len(weight) else np.zeros(values.shape[1])


def latencies(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 20,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median microseconds of each call, in blocks that take turns, after one call that is not counted.

    Turns are shuffled every round: a search that always follows one that swept the caches is a fifth slower.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    turns = np.random.default_rng(0)
    for _ in range(rounds):
        for name in turns.permutation(list(calls)):
            call = calls[name]
            for _ in range(BLOCK):
                started = clock()
                call()
                taken[name].append(clock() - started)
    return {name: float(np.median(times)) * 1e6 for name, times in taken.items()}


def suggest(rows: Sequence[Mapping[str, Any]], recall: float, *, key: str = "recall") -> dict[str, Any] | None:
    """The row with the fewest bytes, then the least latency, that reaches `recall`; None when no row does."""
    if not 0 <= recall <= 1:
        raise ConfigError(f"target recall {recall} is not within 0 and 1", hint="0.95 is usual")
    good = [row for row in rows if row[key] >= recall]
    return dict(min(good, key=lambda row: (row["bytes_per_event"], row["latency_us"]))) if good else None


def in_words(row: Mapping[str, Any], recall: float, keep: int) -> str:
    """A suggestion as a sentence."""
    stage = f"shortlist {row['shortlist']:g}K" if row.get("shortlist") else "one stage"
    return (
        f"for recall {recall:g} at K={keep} on this data: {row['spec']}, {row['bytes_per_event']:g} bytes per event, "
        f"{stage}, {row['latency_us'] / 1000:.2g} ms"
    )


def crossover(lengths: Sequence[int], exact_us: Sequence[float], other_us: Sequence[float]) -> int | None:
    """The shortest measured length from which the other search is faster than exact search, there and ever after."""
    faster = [other < exact for other, exact in zip(other_us, exact_us, strict=True)]
    best = None
    for length, won in sorted(zip(lengths, faster, strict=True), reverse=True):
        if not won:
            break
        best = length
    return best
