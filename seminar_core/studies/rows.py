"""The rows of a comparison: means, intervals over seeds and people, paired differences, slices and curves.

Studies, between the measurements of `reproduce` and its table. Everything is over the same targets in the same order,
so differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.intervals import interval_over_seeds
from ..evaluation.metrics import METRICS, mean_metrics, ranking_metrics
from ..evaluation.ranks import Ranks
from ..evaluation.result import Result
from .variants import Variant

FEWEST_IN_SLICE = 20
CURVES = 5
Measurements = list[tuple[Result, Ranks]]
"""One model measured with several seeds."""


def stacked(entries: Measurements, metric: str, rows: np.ndarray | None = None) -> np.ndarray:
    """(seeds, n) values of a metric, only of the targets `rows` where given."""
    values = [ranking_metrics(ranks)[metric] for _, ranks in entries]
    return np.stack(values if rows is None else [value[rows] for value in values])


def best_baseline(variants: Sequence[Variant], measured: dict[str, Measurements]) -> str | None:
    """The rival with the highest mean validation MRR over its seeds."""
    values = {
        variant.name: float(np.mean([result.extra["validation"]["MRR"] for result, _ in measured[variant.name]]))
        for variant in variants
        if variant.is_baseline
    }
    return max(values, key=lambda name: values[name]) if values else None


def reference_row(name: str, ranks: Ranks) -> dict[str, Any]:
    """Row of chance, popularity or the oracle."""
    values = ranking_metrics(ranks)
    return {
        "model": name,
        "seeds": 0,
        "metrics": mean_metrics(ranks),
        "interval": {metric: interval_over_seeds(values[metric][None], ranks.person) for metric in METRICS},
        "beats_best_baseline": None,
    }


def variant_row(
    variant: Variant,
    entries: Measurements,
    other: Measurements | None,
    cold: np.ndarray,
) -> dict[str, Any]:
    """Row of one variant: means over seeds and people, intervals over both."""
    person = entries[0][1].person
    metrics = {metric: float(stacked(entries, metric).mean()) for metric in METRICS}
    bounds = {metric: interval_over_seeds(stacked(entries, metric), person) for metric in METRICS}
    row: dict[str, Any] = {
        "model": variant.name,
        "seeds": len(entries),
        "metrics": metrics,
        "interval": bounds,
        "cold": None,
        "beats_best_baseline": None,
        "steps": [result.extra["steps"] for result, _ in entries],
        "commits": [result.origin["commit"] for result, _ in entries],
        "measured": [result.origin["time"] for result, _ in entries],
        "ended_by": [result.extra["ended_by"] for result, _ in entries],
        "seconds": float(np.mean([total_seconds(result) for result, _ in entries])),
    }
    if cold.any():
        values = stacked(entries, "HIT@10", cold)
        row["cold"] = {"HIT@10": float(values.mean()), "interval": interval_over_seeds(values, person[cold])}
    if other is not None:
        difference = stacked(entries, "MRR") - stacked(other, "MRR")
        row["beats_best_baseline"] = {
            "metric": "MRR",
            "difference": float(difference.mean()),
            "interval": interval_over_seeds(difference, person),
        }
    return row


def total_seconds(result: Result) -> float:
    """Training time of a measurement, its pretraining included."""
    pretraining = result.extra["pretraining"]
    return float(result.extra["seconds"]) + (float(pretraining["seconds"]) if pretraining else 0.0)


def curves(measured: dict[str, Measurements]) -> dict[str, list[dict[str, float]]]:
    """Validation over the cost of training, mean over seeds, of the variants that are best by validation.

    Seconds include pretraining. Only steps that every seed reached are told.
    """
    found: dict[str, list[dict[str, float]]] = {}
    reached = {
        name: float(np.mean([result.extra["validation"]["MRR"] for result, _ in entries]))
        for name, entries in measured.items()
        if entries and all(result.extra.get("curve") for result, _ in entries)
    }
    for name in sorted(reached, key=lambda name: -reached[name])[:CURVES]:
        seeds = [{point["step"]: point for point in result.extra["curve"]} for result, _ in measured[name]]
        before = np.mean([(result.extra["pretraining"] or {}).get("seconds", 0.0) for result, _ in measured[name]])
        found[name] = [
            {
                "step": step,
                "seconds": float(before + np.mean([seed[step]["seconds"] for seed in seeds])),
                **{metric: float(np.mean([seed[step][metric] for seed in seeds])) for metric in ("MRR", "HIT@10")},
            }
            for step in sorted(set.intersection(*(set(seed) for seed in seeds)))
        ]
    return found


def sliced(
    parts: Mapping[str, np.ndarray], mine: Measurements | None, theirs: Measurements | None, ours: str
) -> list[dict[str, Any]]:
    """Where a model wins: MRR and its paired difference to a rival in every part of the targets.

    Args:
        parts: name -> (n,) bool over the targets; those with few are left out.
        mine, theirs: measurements of both; nothing is told where one is missing.
        ours: key of the model's own value in a row.
    """
    if mine is None or theirs is None:
        return []
    rows = []
    for name, mask in parts.items():
        if mask.sum() < FEWEST_IN_SLICE:
            continue
        a, b = (stacked(entries, "MRR", mask) for entries in (mine, theirs))
        rows.append(
            {
                "slice": name,
                "n": int(mask.sum()),
                ours: float(a.mean()),
                "rival": float(b.mean()),
                "difference": float((a - b).mean()),
                "interval": interval_over_seeds(a - b, mine[0][1].person[mask]),
            }
        )
    return rows


def contrast(a: Measurements, b: Measurements, cold: np.ndarray) -> dict[str, Any]:
    """Paired difference a - b over seeds and people, for all targets and for cold ones."""
    person = a[0][1].person
    found: dict[str, Any] = {}
    for part, rows in (("all", None), ("cold", cold)):
        if rows is not None and not rows.any():
            continue
        people = person if rows is None else person[rows]
        for metric in ("HIT@10", "MRR"):
            values = stacked(a, metric, rows) - stacked(b, metric, rows)
            found[f"{metric} {part}"] = {
                "difference": float(values.mean()),
                "interval": interval_over_seeds(values, people),
            }
    return found


def add_share(rows: list[dict[str, Any]]) -> None:
    """Give each row its share of the way from popularity to the oracle in HIT@10, where there is an oracle."""
    hits = {row["model"]: row["metrics"]["HIT@10"] for row in rows}
    if "oracle" not in hits:
        return
    way = hits["oracle"] - hits["popularity"]
    for row in rows:
        row["share_of_the_way"] = (row["metrics"]["HIT@10"] - hits["popularity"]) / way if way > 0 else None
