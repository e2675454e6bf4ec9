"""One joint drawing of all channels and stages: PCA at once, then UMAP over an exact neighbour graph.

After the channel vectors, before the map on the screen. Every item is drawn once per modality and stage. Stages are
rotated onto the last one (orthogonal Procrustes) and then fitted together, so that a move on the map is a move in the
space and not a new seed. Source: UMAP, McInnes et al. 2018 (arXiv 1802.03426), with faiss neighbours, PCA start, 200
epochs and a fixed seed. Departure: above `fit_limit` points a seeded sample of whole items is fitted and the others are
placed at the inverse-distance mean of their 15 nearest fitted points. Only neighbours mean anything on such a map;
`trustworthiness` says how much.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..contracts import CHANNELS
from ..errors import EmptyDataError, UnknownNameError
from ..progress import Progress, silent
from .channel_set import ChannelSet
from .neighbours import FEWEST_ITEMS, nearest, nearest_to

NEIGHBOURS = 15
EPOCHS = 200
FIT_LIMIT = 12_000  # per stage: the interactive size, a few seconds on two cores
MOST_FITTED = 24_000  # of all stages together: some ten seconds
SHOW_LIMIT = 100_000
METHODS = ("umap", "pca")
_ONE_FIT = threading.Lock()


@dataclass(frozen=True)
class MapPoints:
    """What is to be drawn, in the original space.

    Fields:
        item: (P,) int32 catalogue rows.
        channel: (P,) uint8 position in `CHANNELS`.
        stage: (P,) uint8 position in `stages`.
        vectors: (P, D) float32 unit vectors, the stages rotated onto the last.
        stages: names of the stages, first to last.
        of: how many points there would be without a limit.
    """

    item: np.ndarray
    channel: np.ndarray
    stage: np.ndarray
    vectors: np.ndarray
    stages: tuple[str, ...]
    of: int

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"MapPoints({len(self)} of {self.of} points, stages {', '.join(self.stages)})"


@dataclass(frozen=True)
class Layout:
    """Positions of the points and how far they can be trusted.

    Fields:
        points: what is drawn.
        xy: (P, 2) float32.
        fitted: (P,) bool, false for points placed by their neighbours.
        facts: method, seed, points, of, fitted, trustworthiness, trustworthiness_n, seconds.
    """

    points: MapPoints
    xy: np.ndarray
    fitted: np.ndarray
    facts: Mapping[str, Any]


def joint_points(stages: Mapping[str, ChannelSet], *, show_limit: int = SHOW_LIMIT, seed: int = 0) -> MapPoints:
    """Gather the present channels of the same items over all stages, each stage rotated onto the last.

    Raises:
        EmptyDataError: fewer than `FEWEST_ITEMS` points.
    """
    units = {name: channels.unit() for name, channels in stages.items()}
    last = next(reversed(units.values()))
    per_item = np.sum([mask for unit in units.values() for mask in unit.present.values()], axis=0)
    of = int(per_item.sum())
    if of < FEWEST_ITEMS:
        raise EmptyDataError(f"{of} points are too few for a map", hint=f"at least {FEWEST_ITEMS} are needed")
    order = np.random.default_rng(seed).permutation(len(last))
    shown = np.zeros(len(last), bool)
    shown[order[np.cumsum(per_item[order]) <= max(show_limit, FEWEST_ITEMS * len(units) * len(CHANNELS))]] = True
    parts: list[tuple[np.ndarray, int, int, np.ndarray]] = []
    for at, unit in enumerate(units.values()):
        rotation = None if unit is last else stage_rotation(unit, last)
        for name in unit.names:
            where = np.flatnonzero(unit.present[name] & shown)
            matrix = unit.vectors[name][where]
            parts.append(
                (unit.rows[where], CHANNELS.index(name), at, matrix if rotation is None else matrix @ rotation)
            )
    sizes = [len(rows) for rows, *_ in parts]
    return MapPoints(
        item=np.concatenate([rows for rows, *_ in parts]).astype(np.int32),
        channel=np.repeat([channel for _, channel, _, _ in parts], sizes).astype(np.uint8),
        stage=np.repeat([stage for _, _, stage, _ in parts], sizes).astype(np.uint8),
        vectors=np.concatenate([matrix for *_, matrix in parts]).astype(np.float32),
        stages=tuple(units),
        of=of,
    )


def stage_rotation(stage: ChannelSet, onto: ChannelSet) -> np.ndarray:
    """The rotation (D, D) that brings one stage's vectors nearest to another's, over all items and channels."""
    width = next(iter(onto.vectors.values())).shape[1]
    product = np.zeros((width, width))
    for name in set(stage.names) & set(onto.names):
        both = stage.present[name] & onto.present[name]
        product += stage.vectors[name][both].astype(np.float64).T @ onto.vectors[name][both]
    left, _, right = np.linalg.svd(product)
    return (left @ right).astype(np.float32)


def pca_layout(vectors: np.ndarray) -> np.ndarray:
    """The two principal axes of (n, D), signs fixed so that the answer is the same everywhere: (n, 2) float32."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    best = axes[:, ::-1][:, :2]
    best = best * np.where(best[np.abs(best).argmax(axis=0), [0, 1]] < 0, -1, 1)
    return (centred @ best.astype(np.float32)).astype(np.float32)


class _OpenLock:
    """Stands in for the lock of tqdm's bars, which stays held for ever when a write to a bar's file raises.

    Cancelling raises from exactly there; with tqdm's own lock the next map of the process would wait without end. Fits
    are one at a time (`_ONE_FIT`), so no bar needs a lock.
    """

    def acquire(self, *_: object, **__: object) -> bool:
        return True

    def release(self) -> None:
        """Nothing was taken."""

    def __enter__(self) -> None:
        """Nothing is taken."""

    def __exit__(self, *_: object) -> None:
        """Nothing is given back."""


class _EpochMeter:
    """A file that UMAP's progress bar writes its epoch numbers to."""

    def __init__(self, progress: Progress):
        self.progress = progress

    def write(self, text: str) -> None:
        done = text.strip("\r\n ")
        if done.isdigit():
            self.progress(int(done), EPOCHS, "drawing the map (UMAP epochs)")

    def flush(self) -> None:
        """Nothing is buffered."""


def umap_layout(vectors: np.ndarray, *, seed: int = 0, progress: Progress = silent) -> np.ndarray:
    """UMAP of unit vectors (n, D), reproducible to the bit for one seed: (n, 2) float32.

    Raises:
        EmptyDataError: fewer than `FEWEST_ITEMS` points, or all of them equal.
    """
    from tqdm.auto import tqdm
    from umap import UMAP  # two seconds of compilation that PCA and the number card need not wait for

    n = len(vectors)
    if n < FEWEST_ITEMS:
        raise EmptyDataError(f"{n} points are too few for UMAP", hint=f"at least {FEWEST_ITEMS} are needed")
    if np.ptp(vectors, axis=0).max() < 1e-6:
        raise EmptyDataError(f"all {n} vectors are equal: there is no map to draw", hint="check the run: it collapsed")
    progress(0, EPOCHS, "finding neighbours")
    k = min(NEIGHBOURS, n - 1)
    rows, cosines = nearest(vectors, k - 1)
    rows = np.concatenate([np.arange(n)[:, None], rows], axis=1)
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    distances = np.concatenate([np.zeros((n, 1), np.float32), distances], axis=1)
    model = UMAP(
        n_neighbors=k,
        n_epochs=EPOCHS,
        init="pca",
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(rows.astype(np.int64), distances.astype(np.float32), None),
        tqdm_kwds={"file": _EpochMeter(progress), "disable": False, "bar_format": "{n}", "mininterval": 0.1},
    )
    with _ONE_FIT, warnings.catch_warnings():
        tqdm.set_lock(_OpenLock())
        warnings.simplefilter("ignore")  # the neighbours are given on purpose, and so is the single thread
        xy = model.fit_transform(vectors)
    progress(EPOCHS, EPOCHS, "drawing the map (UMAP epochs)")
    return np.ascontiguousarray(xy, np.float32)


def place(vectors: np.ndarray, fitted_vectors: np.ndarray, fitted_xy: np.ndarray) -> np.ndarray:
    """Place new points (m, D) at the inverse-distance mean of their nearest fitted points: (m, 2) float32."""
    rows, cosines = nearest_to(vectors, fitted_vectors, NEIGHBOURS)
    weight = 1 / np.maximum(np.sqrt(np.maximum(2 - 2 * cosines, 0)), 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("mk,mkc->mc", weight, fitted_xy[rows]).astype(np.float32)


def trustworthiness(
    vectors: np.ndarray, xy: np.ndarray, *, k: int = NEIGHBOURS, anchors: int = 2_000, seed: int = 0
) -> tuple[float, int]:
    """Share of drawn neighbours that are neighbours in the original space (Venna and Kaski 2001); 1 is best.

    Args:
        vectors: (n, D).
        xy: (n, 2).
        k: neighbours per point, less than half of n.
        anchors: how many seeded points to judge; all of them when there are fewer.

    Returns:
        the value and how many points it was judged on. Equal to scikit-learn's when every point is an anchor.
    """
    n = len(vectors)
    k = min(k, max(1, n // 2 - 1))
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:anchors])
    drawn = cKDTree(xy).query(xy[chosen], k + 1)[1]
    own = drawn == chosen[:, None]
    own[~own.any(axis=1), k] = True
    drawn = drawn[~own].reshape(len(chosen), k)
    norms = np.einsum("nd,nd->n", vectors, vectors)
    excess = 0
    for start in range(0, len(chosen), 256):
        block = chosen[start : start + 256]
        squared = norms[block][:, None] + norms - 2 * (vectors[block] @ vectors.T)
        squared[np.arange(len(block)), block] = np.inf
        near = drawn[start : start + 256]
        limit = np.take_along_axis(squared, near, axis=1)
        rank = np.stack([(squared < limit[:, c : c + 1]).sum(axis=1) for c in range(k)], axis=1) + 1
        excess += int(np.maximum(rank - k, 0).sum())
    return float(1 - excess * 2 / (len(chosen) * k * (2 * n - 3 * k - 1))), len(chosen)


def lay_out(
    points: MapPoints,
    *,
    method: str = "umap",
    seed: int = 0,
    fit_limit: int = FIT_LIMIT,
    progress: Progress = silent,
) -> Layout:
    """Draw the points.

    Args:
        points: what to draw.
        method: `umap`, or `pca` for a first picture at once.
        seed: fixes the sample, UMAP and the judged anchors.
        fit_limit: fitted points per stage; items beyond it are placed by their neighbours.
        progress: called with UMAP's epochs; may raise `Cancelled`.
    """
    if method not in METHODS:
        raise UnknownNameError("map method", method, METHODS)
    started = time.perf_counter()
    fitted = np.ones(len(points), bool)
    if method == "pca":
        xy = pca_layout(points.vectors)
    else:
        fitted = _fit_sample(points, fit_limit * len(points.stages), seed)
        xy = np.empty((len(points), 2), np.float32)
        xy[fitted] = umap_layout(points.vectors[fitted], seed=seed, progress=progress)
        if not fitted.all():
            xy[~fitted] = place(points.vectors[~fitted], points.vectors[fitted], xy[fitted])
    value, judged = trustworthiness(points.vectors, xy, seed=seed)
    facts = {
        "method": method,
        "seed": seed,
        "points": len(points),
        "of": points.of,
        "fitted": int(fitted.sum()),
        "stages": list(points.stages),
        "trustworthiness": value,
        "trustworthiness_n": judged,
        "trustworthiness_k": NEIGHBOURS,
        "seconds": time.perf_counter() - started,
    }
    return Layout(points, xy, fitted, facts)


def _fit_sample(points: MapPoints, limit: int, seed: int) -> np.ndarray:
    """(P,) bool: whole items, in a seeded order, until `limit` points are reached."""
    if len(points) <= limit:
        return np.ones(len(points), bool)
    items, inverse, counts = np.unique(points.item, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(items))
    chosen = np.zeros(len(items), bool)
    chosen[order[np.cumsum(counts[order]) <= max(limit, FEWEST_ITEMS * len(CHANNELS))]] = True
    return chosen[inverse]
