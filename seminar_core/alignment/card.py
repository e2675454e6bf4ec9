"""The number card of alignment: how far apart query, attribute, text and image vectors are, each figure with its n.

Computed in the original space, never on a map. Every figure stands beside what a random pairing would give and inside a
bootstrap interval over items (95 %, percentiles of resampled per-item contributions; effective rank, uniformity and CKA
to first order). Definitions and sources: `gap_metrics.py` and docs/alignment.md. What cannot be measured is null with
its reason; nothing is dropped silently.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import faiss
import numpy as np
from scipy.linalg import orthogonal_procrustes
from threadpoolctl import threadpool_limits

from ..errors import EmptyDataError, ShapeError, UnknownNameError
from .channel_set import ChannelSet
from .definitions import PAIR_METRICS
from .gap_metrics import (
    NEIGHBOURS,
    classifier_hits,
    effective_rank,
    linear_cka,
    paired_ranks,
    principal_energy,
    skewness,
    uniformity_of_sphere,
    uniformity_parts,
)
from .neighbours import FEWEST_ITEMS, nearest, shared_share

WIDTH_FREE_METRICS = ("knn_overlap", "cka")
CORRECTIONS = ("none", "centred", "procrustes")
UNIFORMITY_SAMPLE = 2_000
CLASSIFIER_SAMPLE = 800
FLAT = 1e-6


def number_card(
    channels: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    heldout: np.ndarray | None = None,
    bootstrap: int = 200,
    correction: str = "none",
) -> dict[str, Any]:
    """Measure the alignment of n items.

    Args:
        channels: channel name -> (n, D) float vectors; widths may differ, then only `WIDTH_FREE_METRICS` are given.
        present: channel name -> (n,) bool.
        seed: fixes resampling, sampling and folds.
        heldout: (n,) bool, items kept out of alignment; they are then measured apart and left out of the main part.
        bootstrap: resamplings per interval.
        correction: `none`; `centred` subtracts each channel's mean direction first (what remains is no mere offset);
            `procrustes` also rotates one channel of each pair onto the other, by a rotation fitted on other items.

    Returns:
        `n_items`, `pairs` ({"A>T": {metric: {value, random, n, interval}}}), `channels`,
        `modality_classifier_accuracy`, `notes`, `heldout` (the same, or None).

    Raises:
        NonFiniteError: a present vector holds NaN.
        EmptyDataError: not `is_enough`.
    """
    if correction not in CORRECTIONS:
        raise UnknownNameError("correction", correction, CORRECTIONS)
    n = len(next(iter(channels.values()))) if channels else 0
    given = ChannelSet(np.arange(n, dtype=np.int32), dict(channels), dict(present))
    kept_out = np.zeros(n, bool) if heldout is None else heldout
    if kept_out.shape != (n,):
        raise ShapeError(f"held-out mask {kept_out.shape} for {n} items", hint="give one boolean per item")
    kept_in = n - int(kept_out.sum())
    if not is_enough(kept_out):
        which = f"{kept_in} items" if heldout is None else f"{kept_in} items in alignment and {n - kept_in} held out"
        raise EmptyDataError(
            f"{which} are too few for a number card: it needs at least {FEWEST_ITEMS} in one part",
            hint="choose a wider slice, or clear the selection",
        )
    card = _card(given.take(~kept_out), seed, bootstrap, correction)
    card["correction"] = correction
    card["seed"] = seed
    card["heldout"] = None
    if kept_in < FEWEST_ITEMS:
        card["notes"].append(f"{kept_in} items in alignment: too few to be measured")
    if kept_out.sum() >= FEWEST_ITEMS:
        card["heldout"] = _card(given.take(kept_out), seed, bootstrap, correction)
    elif heldout is not None:
        card["notes"].append(f"{int(kept_out.sum())} held-out items: too few to be measured apart")
    return card


def is_enough(kept_out: np.ndarray) -> bool:
    """Whether one part can be measured of items of which those in the mask `kept_out` (n,) are held out."""
    held = int(kept_out.sum())
    return max(held, len(kept_out) - held) >= FEWEST_ITEMS


def _card(given: ChannelSet, seed: int, bootstrap: int, correction: str) -> dict[str, Any]:
    """Of fewer than `FEWEST_ITEMS` items nothing is measured, with that reason."""
    n = len(given)
    unit = given.unit()
    notes = [
        f"channel {name}: {lost} vectors of length zero count as absent"
        for name in given.names
        if (lost := int((given.present[name] & ~unit.present[name]).sum()))
    ]
    weights = _resampling(np.random.default_rng(seed), bootstrap, n)
    unscaled = None if correction != "none" else given
    if correction != "none":
        unit = _centred(unit)
    # Threads, because products and searches release the interpreter; one generator each keeps the answer reproducible.
    # One BLAS and OpenMP thread in each: two layers of threads spin against each other on a busy machine (5 s -> 26 s).
    # OpenMP keeps its count per thread, hence the initialiser.
    pool = ThreadPoolExecutor(min(2, os.cpu_count() or 1), initializer=faiss.omp_set_num_threads, initargs=(1,))
    with threadpool_limits(1), pool:
        neighbours = dict(zip(unit.names, pool.map(lambda name: _neighbours(unit, name), unit.names), strict=True))
        classifier = pool.submit(_classifier, unit, np.random.default_rng([seed, 0]), bootstrap)
        pairs = [
            pool.submit(
                _pair, unit, *pair, neighbours, weights, np.random.default_rng([seed, 1, at]), correction, unscaled
            )
            for at, pair in enumerate(combinations(unit.names, 2))
        ]
        shapes = {
            name: pool.submit(_channel, unit, name, neighbours[name], weights, np.random.default_rng([seed, 2, at]))
            for at, name in enumerate(unit.names)
        }
    return {
        "n_items": n,
        "pairs": {name: figures for pair in pairs for name, figures in pair.result().items()},
        "channels": {name: shape.result() for name, shape in shapes.items()},
        **classifier.result(),
        "notes": notes,
    }


def _resampling(rng: np.random.Generator, bootstrap: int, n: int) -> np.ndarray:
    """(bootstrap, n) float32: how often each item is drawn in each resample."""
    draws = rng.integers(max(n, 1), size=(bootstrap, n))
    return np.stack([np.bincount(row, minlength=n) for row in draws]).astype(np.float32)


def _centred(unit: ChannelSet) -> ChannelSet:
    """Subtract each channel's mean over its present items, then scale to length one again."""
    vectors = {
        name: matrix - matrix[unit.present[name]].mean(axis=0) if unit.present[name].any() else matrix
        for name, matrix in unit.vectors.items()
    }
    return ChannelSet(unit.rows, vectors, unit.present).unit()


def _shares(weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Resampling weights (R, n) restricted to `mask` (n,), each row scaled to sum to one: (R, m)."""
    part = weights[:, mask].astype(np.float64)
    return part / np.maximum(part.sum(axis=1, keepdims=True), 1)


def _interval(values: np.ndarray) -> list[float]:
    return [float(v) for v in np.percentile(values, [2.5, 97.5])]


def _figure(value: float, random: float, n: int, resampled: np.ndarray) -> dict[str, Any]:
    return {"value": float(value), "random": float(random), "n": n, "interval": _interval(resampled)}


def _missing(reason: str, n: int, keys: tuple[str, ...] = ("value",)) -> dict[str, Any]:
    return dict.fromkeys(keys) | {"random": None, "n": n, "interval": None, "reason": reason}


def _is_flat(matrix: np.ndarray) -> bool:
    """All rows alike: there are no neighbours, only ties."""
    return bool(np.ptp(matrix, axis=0).max() < FLAT)


def _neighbours(unit: ChannelSet, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Positions of the channel's present items (m,) and their `NEIGHBOURS` nearest (m, k), or None."""
    where = np.flatnonzero(unit.present[name])
    matrix = unit.vectors[name][where]
    if len(where) < FEWEST_ITEMS or _is_flat(matrix):
        return None
    return where, where[nearest(matrix, NEIGHBOURS)[0]]


def _pair(
    unit: ChannelSet,
    first: str,
    second: str,
    neighbours: Mapping[str, tuple[np.ndarray, np.ndarray] | None],
    weights: np.ndarray,
    rng: np.random.Generator,
    correction: str,
    unscaled: ChannelSet | None,
) -> dict[str, Any]:
    """Both directions of one pair of channels; `unscaled` are the vectors before scaling, without a correction."""
    both = unit.present[first] & unit.present[second]
    n = int(both.sum())
    names = f"{first}>{second}", f"{second}>{first}"
    if n < FEWEST_ITEMS:
        reason = f"only {n} items have both modalities; at least {FEWEST_ITEMS} are needed"
        empty = {m: _missing(reason, n) for m in PAIR_METRICS if m != "paired_cosine"}
        empty["paired_cosine"] = _missing(reason, n, ("mean", "p5", "p95"))
        return {name: {metric: empty[metric] for metric in PAIR_METRICS} for name in names}
    x, y = unit.vectors[first][both], unit.vectors[second][both]
    shares = _shares(weights, both)
    shared = {
        "knn_overlap": _overlap(both, neighbours[first], neighbours[second], x, y, shares),
        "cka": _cka(x, y, shares, rng),
    }
    if x.shape[1] != y.shape[1]:
        reason = f"widths {x.shape[1]} and {y.shape[1]} differ: no cosine between the two"
        rest = {m: _missing(reason, n) for m in PAIR_METRICS if m not in WIDTH_FREE_METRICS}
        rest["paired_cosine"] = _missing(reason, n, ("mean", "p5", "p95"))
        return {name: rest | shared for name in names}
    if correction == "procrustes":
        x = rotated_onto(x, y, rng)
    shared |= {"paired_cosine": _paired_cosine(x, y, shares), "centroid_gap": _centroid_gap(x, y, shares)}
    if unscaled is not None:
        a, b = (unscaled.vectors[name][both].mean(axis=0, dtype=np.float64) for name in (first, second))
        shared["centroid_gap"]["unscaled"] = float(np.linalg.norm(a - b))
    answer = {}
    for name, ranks in zip(names, paired_ranks(x, y), strict=True):
        parts = {"recall@1": ranks.recall(1), "recall@10": ranks.recall(10), "mrr": ranks.reciprocal()}
        chance = {"recall@1": 1 / n, "recall@10": min(10, n) / n, "mrr": float((1 / np.arange(1, n + 1)).mean())}
        figures = shared | {m: _figure(p.mean(), chance[m], n, shares @ p) for m, p in parts.items()}
        answer[name] = {metric: figures[metric] for metric in PAIR_METRICS}
    return answer


def rotated_onto(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate `x` (n, D) onto `y` (n, D), each half by the orthogonal map fitted on the other half.

    A rotation fitted on the very items it is judged by would align pure noise; this one cannot.
    """
    half = rng.permutation(len(x)) % 2 == 0
    turned = np.empty_like(x)
    for part in (half, ~half):
        rotation, _ = orthogonal_procrustes(x[~part], y[~part])
        turned[part] = x[part] @ rotation
    return turned


def _paired_cosine(x: np.ndarray, y: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    n = len(x)
    cosine = np.einsum("nd,nd->n", x, y)
    all_pairs = float(x.sum(axis=0, dtype=np.float64) @ y.sum(axis=0, dtype=np.float64))
    low, high = np.percentile(cosine, [5, 95])
    return {
        "mean": float(cosine.mean()),
        "p5": float(low),
        "p95": float(high),
        "random": (all_pairs - float(cosine.sum())) / (n * (n - 1)),
        "n": n,
        "interval": _interval(shares @ cosine),
    }


def _centroid_gap(x: np.ndarray, y: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    """Distance of the two centroids; by chance (labels swapped at random within items) it is about spread / sqrt(n).

    Resampling adds that same spread to the square once more, so it is taken off before the interval is read.
    """
    n = len(x)
    difference = x - y
    centre = difference.mean(axis=0)
    noise = float((difference**2).sum(axis=1).mean() - (centre**2).sum()) / n
    resampled = np.sqrt(np.maximum(((shares @ difference) ** 2).sum(axis=1) - noise, 0))
    by_chance = float(np.sqrt((difference**2).sum())) / n
    return _figure(float(np.linalg.norm(centre)), by_chance, n, resampled)


def _overlap(
    both: np.ndarray,
    first: tuple[np.ndarray, np.ndarray] | None,
    second: tuple[np.ndarray, np.ndarray] | None,
    x: np.ndarray,
    y: np.ndarray,
    shares: np.ndarray,
) -> dict[str, Any]:
    """Mutual k-NN over the items that have both modalities."""
    n = int(both.sum())
    if first is None or second is None or _is_flat(x) or _is_flat(y):
        return _missing("all vectors of one modality are equal: every neighbour is a tie", n)
    tables = []
    for (where, table), matrix in ((first, x), (second, y)):
        complete = len(where) == n
        tables.append(table if complete else np.flatnonzero(both)[nearest(matrix, NEIGHBOURS)[0]])
    share = shared_share(*tables)
    return _figure(share.mean(), NEIGHBOURS / (n - 1), n, shares @ share)


def _cka(x: np.ndarray, y: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    n = len(x)
    found = linear_cka(x, y)
    if found is None:
        return _missing("one modality does not vary: CKA is 0 / 0", n)
    shuffled = [linear_cka(x, y[rng.permutation(n)]) for _ in range(3)]
    random = float(np.mean([part.value for part in shuffled if part is not None]))
    return _figure(found.value, random, n, found.resampled(shares))


def _channel(
    unit: ChannelSet,
    name: str,
    neighbours: tuple[np.ndarray, np.ndarray] | None,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Shape of one channel's cloud: effective rank (higher: fuller), uniformity, hubness (lower: better)."""
    mask = unit.present[name]
    matrix = unit.vectors[name][mask]
    n, width = matrix.shape
    if n < FEWEST_ITEMS:
        reason = f"only {n} items have this modality; at least {FEWEST_ITEMS} are needed"
        empty = {"effective_rank": None, "uniformity": None, "hubness": None}
        return empty | {"n": n, "random": empty, "interval": empty, "reason": reason}
    shares = _shares(weights, mask)
    energy = principal_energy(matrix)
    noise = rng.standard_normal((n, width)).astype(np.float32)
    sample = np.sort(rng.permutation(n)[:UNIFORMITY_SAMPLE])
    parts = uniformity_parts(matrix[sample])
    part_shares = _shares(weights[:, mask], np.isin(np.arange(n), sample))
    shape = {
        "effective_rank": float(effective_rank(energy.sum(axis=0))),
        "uniformity": float(np.log(parts.mean())),
        "hubness": None,
        "n": n,
        "n_uniformity": len(sample),
        "random": {
            "effective_rank": float(effective_rank(principal_energy(noise).sum(axis=0))),
            "uniformity": uniformity_of_sphere(width),
            "hubness": None,
        },
        "interval": {
            "effective_rank": _interval(effective_rank(shares @ energy)),
            "uniformity": _interval(np.log(np.maximum(2 * part_shares @ parts - parts.mean(), 1e-30))),
            "hubness": None,
        },
    }
    if neighbours is None:
        return shape | {"reason": "all vectors are equal: hubness has no neighbours to count"}
    occurrence = np.bincount(neighbours[1].ravel(), minlength=len(unit))[mask].astype(np.float64)
    p = NEIGHBOURS / (n - 1)
    shape["hubness"] = float(skewness(occurrence, np.full((1, n), 1 / n))[0])
    shape["random"]["hubness"] = float((1 - 2 * p) / np.sqrt(n * p * (1 - p)))
    shape["interval"]["hubness"] = _interval(skewness(occurrence, shares))
    return shape


def _classifier(unit: ChannelSet, rng: np.random.Generator, bootstrap: int) -> dict[str, Any]:
    """Cross-validated accuracy of telling the modalities apart; chance means that they share one space."""
    names = [name for name in unit.names if int(unit.present[name].sum()) >= FEWEST_ITEMS]
    widths = {unit.vectors[name].shape[1] for name in names}
    both = np.logical_and.reduce([unit.present[name] for name in names]) if names else np.zeros(len(unit), bool)
    n = int(both.sum())
    reason = None
    if len(names) < 2:
        reason = "fewer than two modalities are present"
    elif len(widths) > 1:
        reason = "the modalities' widths differ: no common space to classify in"
    elif n < FEWEST_ITEMS:
        reason = f"only {n} items have all of {', '.join(names)}"
    if reason:
        return {"modality_classifier_accuracy": None, "modality_classifier": _missing(reason, n)}
    sample = rng.permutation(np.flatnonzero(both))[:CLASSIFIER_SAMPLE]
    hits = classifier_hits([unit.vectors[name][sample] for name in names], np.arange(len(sample)) % 3)
    shares = _shares(_resampling(rng, bootstrap, len(sample)), np.ones(len(sample), bool))
    figure = _figure(hits.mean(), 1 / len(names), len(sample), shares @ hits)
    return {"modality_classifier_accuracy": figure["value"], "modality_classifier": figure | {"channels": names}}
