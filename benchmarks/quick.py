"""The regression gate: a few ratios, measured in one run in under three minutes, beside those that are committed.

`make bench-quick`, by hand and before a release, not in CI. Every figure is a ratio of two things timed in turn in this
process (a search and exact search; a training step and a fixed product and gather), so that another machine or a busy
one moves it little, and higher is better. One that lost more than a quarter is measured again; one that lost it twice
fails. `--write` commits what is measured to `quick.json` beside this file: on a quiet machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported: one thread is what is measured

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.retrieval_exact import Dense  # noqa: E402
from benchmarks.retrieval_ground import Ground, ground, lives  # noqa: E402
from benchmarks.training import measure  # noqa: E402
from benchmarks.training_shapes import EVALUATION, TRAINING  # noqa: E402
from seminar_core.files import read_json, write_json  # noqa: E402
from seminar_core.retrieval.codebooks import Codebooks, train_codebooks  # noqa: E402
from seminar_core.retrieval.exact import ExactScorer  # noqa: E402
from seminar_core.retrieval.frontier import latencies  # noqa: E402
from seminar_core.retrieval.search import RefinedScorer, make_scorer  # noqa: E402
from seminar_core.retrieval.spec import DEFAULT  # noqa: E402
from seminar_core.runtime import machine_facts, set_threads  # noqa: E402

FIGURES = Path(__file__).with_suffix(".json")
LOSS = 0.25
KEEP, SHORTLIST = 100, 4
Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How much is measured: items, items that codebooks train on, blocks of timed calls by life length, targets."""

    items: int = 50_000
    training: int = 3_000
    rounds: tuple[tuple[int, int], ...] = ((10_000, 40), (100_000, 15))
    targets: int = 12


def searches(size: Size) -> Callable[[], Figures]:
    """What measures the searches: speed over pre-multiplied exact search, and recall after refining."""
    common = ground(size.items)
    books = train_codebooks(
        DEFAULT, common.vectors, common.training_targets(count=4_000), pairs=common.training_pairs()[: size.training],
        rows=common.training[: size.training] + 1,
    )  # fmt: skip
    every = np.stack([np.arange(1, size.items + 1)] * 2, 1)
    books = books.with_pairs(common.vectors, every)
    basis = common.fixed_basis()

    def figures() -> Figures:
        found: Figures = {}
        for length, rounds in size.rounds:
            found |= _search_figures(common, books, basis, length, rounds, size.targets)
        return found

    return figures


def _search_figures(
    common: Ground, books: Codebooks, basis: np.ndarray, length: int, rounds: int, targets: int
) -> Figures:
    life, owned = lives(common.topic, 1, length)
    events, asked = common.events(life[0]), common.asked(owned, targets)
    exact = ExactScorer(common.vectors, events)
    packed, shared = (make_scorer(books, common.vectors, events, layout=one) for one in ("packed", "shared"))
    refined = RefinedScorer(packed, exact, SHORTLIST)
    mine = {"exact": exact, "scan": packed, "refined": refined, "shared": shared}
    folded, dense = asked.folded(0), Dense(common, life[0], basis)
    calls = dense.calls(asked, KEEP)
    calls |= {name: (lambda one=one: one.search(folded[0], KEEP)) for name, one in mine.items()}
    timed = latencies(calls, rounds=rounds)
    fixed = Dense.best(timed, "fixed")
    found = {f"{name}, {length:,} events": fixed / timed[name] for name in mine}
    kept = [np.isin(exact.search(one, KEEP).events[0], refined.search(one, KEEP).events[0]).mean() for one in folded]
    return {**found, f"recall after refining, {length:,} events": float(np.mean(kept))}


def steps() -> Figures:
    """Training and evaluation at shape a, times the reference, corrected by the calibration that is timed between."""
    rows = [row for row in (*TRAINING, *EVALUATION) if row.shape == "a"]
    return {f"{row.phase}, shape a": float(measure(row)["ratio"]) for row in rows}


def losses(found: Mapping[str, float], committed: Mapping[str, float], most: float = LOSS) -> dict[str, float]:
    """Share that each figure lost, of those that lost more than `most`; one that is gone has lost everything."""
    lost = {name: 1 - found.get(name, 0.0) / value for name, value in committed.items()}
    return {name: share for name, share in lost.items() if share > most}


def gate(measures: list[Callable[[], Figures]], committed: Mapping[str, float]) -> tuple[Figures, dict[str, float]]:
    """Measure, measure again where something was lost, and say what was lost both times."""
    found: Figures = {}
    for measured in measures:
        first = measured()
        own = {name: value for name, value in committed.items() if name in first}
        if losses(first, own):
            again = measured()
            first = {name: max(value, again[name]) for name, value in first.items()}
        found |= first
    return found, losses(found, committed)


def main(words: list[str]) -> int:
    """Measure and compare, or write; 1 where something was lost."""
    set_threads(1)
    measures = [searches(Size()), steps]
    if words == ["--write"]:
        found = {name: value for measured in measures for name, value in measured().items()}
        write_json(FIGURES, {"machine": machine_facts(), "figures": found})
        lost: dict[str, float] = {}
        committed: dict[str, Any] = found
    else:
        committed = read_json(FIGURES)["figures"]
        found, lost = gate(measures, committed)
    for name, value in found.items():
        print(f"{name:40} {value:7.2f}  committed {committed.get(name, float('nan')):7.2f}")
    for name, share in lost.items():
        print(f"LOST {share:.0%} of {name}: at most {LOSS:.0%} is allowed", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
