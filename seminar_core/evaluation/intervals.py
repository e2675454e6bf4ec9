"""Bootstrap intervals over people, and paired differences between models.

Evaluation. The person is the unit: all targets of a person are resampled together (percentile bootstrap). Two models
are compared on the same people, so that what makes a person hard for both cancels. Seeds, where there are several, are
a second level that is resampled too. Seeded and vectorised: a resample is a row of multinomial counts, so all resamples
of all metrics are one matrix product.
"""

from __future__ import annotations

import numpy as np

from ..contracts import check_shape
from ..errors import EmptyDataError

RESAMPLES = 1000
LEVEL = 0.95
BLOCK = 1 << 22  # counts held at once, 32 MB


def person_sums(values: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over each person's targets: ((people, metrics) float64, (people,) targets)."""
    _, index, count = np.unique(person, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, index, values)
    return sums, count.astype(np.float64)


def bootstrap_means(values: np.ndarray, person: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Means of `values` (n, metrics) over `resamples` draws of people with replacement: (resamples, metrics).

    Raises:
        EmptyDataError: no target.
    """
    check_shape("person", person, (len(values),))
    if not len(values):
        raise EmptyDataError("no target to resample", hint="choose a mode or split that has targets")
    sums, count = person_sums(values, person)
    rng = np.random.default_rng(seed)
    people = len(count)
    rows = max(1, BLOCK // people)
    parts = []
    for start in range(0, resamples, rows):
        draws = rng.multinomial(people, np.full(people, 1 / people), size=min(rows, resamples - start))
        parts.append((draws @ sums) / (draws @ count)[:, None])
    return np.concatenate(parts)


def interval(
    values: np.ndarray, person: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile interval of the mean of `values` (n,) over people."""
    low, high = intervals(values[:, None], person, seed=seed, resamples=resamples, level=level)
    return float(low[0]), float(high[0])


def intervals(
    values: np.ndarray,
    person: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    shares: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of the column means of `values` (n, metrics): (low (metrics,), high (metrics,)).

    With `shares` the values lie between 0 and 1; where all of a column are 0, or all are 1, resampling has no width and
    says nothing of how few people there are, so the bound is Wilson's for that many people.
    """
    means = bootstrap_means(values, person, seed=seed, resamples=resamples)
    tail = (1 - level) / 2
    low, high = np.quantile(means, tail, axis=0), np.quantile(means, 1 - tail, axis=0)
    if shares:
        from scipy.stats import binomtest  # half a second, which every page and command would wait for

        people = len(np.unique(person))
        wilson = binomtest(0, people).proportion_ci(level, method="wilson").high
        high = np.where((values == 0).all(axis=0), wilson, high)
        low = np.where((values == 1).all(axis=0), 1 - wilson, low)
    return low, high


def paired_difference(
    a: np.ndarray, b: np.ndarray, person: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """Mean of `a - b` over the same targets and its interval: (difference, low, high)."""
    check_shape("b", b, a.shape)
    low, high = interval(a - b, person, seed=seed, resamples=resamples)
    return float((a - b).mean()), low, high


def interval_over_seeds(
    values: np.ndarray, person: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the mean over people and training seeds, both resampled.

    Args:
        values: (seeds, n) one row per training seed, the same targets in each.
        person: (n,) person rows.
    """
    if values.shape[0] == 1:
        return interval(values[0], person, seed=seed, resamples=resamples, level=level)
    means = bootstrap_means(values.T, person, seed=seed, resamples=resamples)  # (resamples, seeds)
    chosen = np.random.default_rng((seed, 1)).integers(0, values.shape[0], size=means.shape)
    drawn = np.take_along_axis(means, chosen, axis=1).mean(axis=1)
    tail = (1 - level) / 2
    return float(np.quantile(drawn, tail)), float(np.quantile(drawn, 1 - tail))
