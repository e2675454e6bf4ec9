"""The retrieval figures that the README claims: recall, mass, bytes and speed on the common ground, in one run.

Retrieval, behind `bench retrieval` and `benchmarks/retrieval_frontier.py`. One thread, process CPU time, medians,
methods in turn. Every row is measured against exact search of the same lives; `speedup_over_exact` against the fastest
of three ways to do pre-multiplied exact search over one vector per event, `speedup_over_distinct_exact` against one
over one vector per distinct pair: the ground's lives repeat items, and a search of ours scores each pair once. Lives
without repeats are measured beside them. Without `full` the catalogue is smaller and fewer people are asked: every key
and every length in under two minutes, recall a few points lower.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.retrieval_exact import Dense, bandwidth
from benchmarks.retrieval_ground import Asked, Ground, ground, lives
from benchmarks.retrieval_protocol import paper_protocol
from seminar_core.contracts import Folded, Kept
from seminar_core.progress import Progress, silent
from seminar_core.retrieval.codebooks import Codebooks, train_codebooks
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.exact import ExactScorer, PremultipliedScorer, Scorer
from seminar_core.retrieval.frontier import Quality, latencies, quality
from seminar_core.retrieval.packed import pack
from seminar_core.retrieval.rivals import TwoStageScorer, quantise_target
from seminar_core.retrieval.search import FastScanScorer, LookupScorer, RefinedScorer
from seminar_core.retrieval.spec import DEFAULT, parse
from seminar_core.runtime import machine_facts, set_threads

KEEP = 100
SHORTLIST = 4
BATCH = 32
LENGTHS = (1_000, 8_192, 10_000, 100_000, 1_000_000)
RIVAL_LIMIT = 10_000  # events up to which graphs and hashes are built: they take minutes beyond
RIVAL_PEOPLE = 10
MAIN = DEFAULT
QUICK_SPECS = (MAIN, "QC64,RQ16x4fs", "PQ16x8", "SymPQ16x8", "fused,SQ8")
FULL_SPECS = (
    MAIN, "QC128,RQ32x4fs", "QC64,RQ16x4fs", "QC128,RQ16x8", "QC128,RQ8x8", "QC96,OPQ,PQ16x8", "OPQ,PQ16x8", "PQ16x8",
    "SymPQ16x8", "SymPQ64x8", "SQ8", "fused,SQ8", "fused,QC64,RQ16x8", "fused,QC64,RQ32x4fs",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Fields:
        items: of the catalogue.
        training: items that codebooks are trained on.
        specs: specifications with codebooks.
        people: by length.
        each: targets of each person, by length.
        rounds: blocks of timed calls, by length.
    """

    items: int
    training: int
    specs: tuple[str, ...]
    people: dict[int, int]
    each: dict[int, int]
    rounds: dict[int, int]


QUICK = Size(
    12_000,
    6_000,
    QUICK_SPECS,
    dict(zip(LENGTHS, (4, 6, 2, 1, 1), strict=True)),
    dict(zip(LENGTHS, (4, 4, 4, 4, 4), strict=True)),
    dict(zip(LENGTHS, (10, 8, 8, 4, 1), strict=True)),
)
FULL = Size(
    50_000,
    20_000,
    FULL_SPECS,
    dict(zip(LENGTHS, (50, 100, 20, 4, 1), strict=True)),
    dict(zip(LENGTHS, (20, 20, 20, 20, 20), strict=True)),
    dict(zip(LENGTHS, (60, 60, 60, 30, 6), strict=True)),
)


@dataclass
class Searches:
    """One life's searches.

    Fields:
        oracle: exact scores.
        fused: exact search with fixed weights over the distinct pairs.
        scans: by method name: the search and the kind of weights its targets carry (`free`, `fixed`, `symmetric`).
        refined: the same with a shortlist.
    """

    oracle: ExactScorer
    fused: PremultipliedScorer
    scans: dict[str, tuple[Scorer, str]]
    refined: dict[str, tuple[Scorer, str]]


class Bench:
    """The ground, its codebooks, and one measurement per length."""

    def __init__(self, size: Size, progress: Progress):
        self.size, self.progress = size, progress
        self.ground: Ground = ground(size.items)
        self.books: dict[str, Codebooks] = {}
        every = np.stack([np.arange(1, size.items + 1)] * 2, 1)
        for done, spec in enumerate(size.specs):
            progress(done, len(size.specs) + len(LENGTHS), f"training {spec}")
            weights = "fixed" if parse(spec).fused else "free"
            books = train_codebooks(
                spec,
                self.ground.vectors,
                self.ground.training_targets(weights),
                pairs=self.ground.training_pairs()[: size.training],
                rows=self.ground.training[: size.training] + 1,
                only=None if spec == MAIN else ("pair",),
            )
            self.books[spec] = books.with_pairs(self.ground.vectors, every)
        self.basis = self.ground.fixed_basis()

    def searches(self, events: EventSet, *, rivals: bool) -> Searches:
        """Every search over one life."""
        vectors = self.ground.vectors
        oracle = ExactScorer(vectors, events)
        scans: dict[str, tuple[Scorer, str]] = {}
        for name, books in self.books.items():
            kind = "fixed" if books.spec.fused else "symmetric" if books.spec.kind == "SymPQ" else "free"
            fast = books.spec.fastscan
            scorer = FastScanScorer(pack(books, vectors, events)) if fast else LookupScorer(books, vectors, events)
            scans[name] = (scorer, kind)
        scans[f"{MAIN} shared"] = (FastScanScorer(pack(self.books[MAIN], vectors, events, "shared")), "free")
        refined: dict[str, tuple[Scorer, str]] = {
            name: (RefinedScorer(one, oracle, SHORTLIST), kind) for name, (one, kind) in scans.items()
        }
        if rivals:
            for name in ("HNSW16", "LSH128"):
                two_stage = TwoStageScorer(parse(name), vectors, events, oracle, breadth=SHORTLIST)
                refined[name] = (two_stage, "free")
        return Searches(oracle, PremultipliedScorer(vectors, events, self.basis), scans, refined)

    def targets(self, asked: Asked, person: int, kind: str, name: str) -> list[Folded]:
        """One person's targets as a method sees them."""
        if kind != "symmetric":
            return asked.folded(person, kind)
        books = self.books[name]
        coded = Asked(self.ground.x.copy(), asked.rows, asked.weights)
        rows = asked.rows[person]
        coded.x[rows] = quantise_target(books, self.ground.x[rows], with_query=True)
        return coded.folded(person)

    def measure(self, length: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of one length, and rows of a batch of 32 targets."""
        life, owned = lives(self.ground.topic, self.size.people[length], length)
        asked = self.ground.asked(owned, max(self.size.each[length], 4))
        found: dict[tuple[str, str], list[Quality]] = {}
        first: Searches | None = None
        for person in range(len(life)):
            searches = self.searches(
                self.ground.events(life[person]), rivals=length <= RIVAL_LIMIT and person < RIVAL_PEOPLE
            )
            first = first or searches
            for key, qualities in self._qualities(searches, asked, person).items():
                found.setdefault(key, []).extend(qualities)
        assert first is not None
        dense = Dense(self.ground, life[0], self.basis)
        batch = self.ground.asked(owned[:1], BATCH, seed=9)
        timed = self._latencies(first, dense, asked, length)
        rows = self._rows(first, found, timed, length)
        return rows, self._batch(first, dense, batch, length) if length >= 10_000 else []

    def _qualities(self, searches: Searches, asked: Asked, person: int) -> dict[tuple[str, str], list[Quality]]:
        """Quality of every method on one person's targets."""
        oracle = searches.oracle
        truths: dict[str, list[tuple[Kept, np.ndarray]]] = {}
        for kind in ("free", "fixed"):
            folded = asked.folded(person, kind)
            truths[kind] = [(oracle.search(t, KEEP), oracle.scores(t)) for t in folded]
        found: dict[tuple[str, str], list[Quality]] = {}
        for stage, methods in (("scan", searches.scans), ("refine", searches.refined)):
            for name, (scorer, kind) in methods.items():
                mine = self.targets(asked, person, kind, name)
                if kind == "symmetric" and stage == "refine":
                    kept = self._symmetric_refined(scorer, mine, asked.folded(person))
                else:
                    kept = scorer.search_batch(mine, KEEP)
                truth = truths["fixed" if kind == "fixed" else "free"]
                found[name, stage] = [
                    quality(one, best, scores, oracle.vectors_of)
                    for one, (best, scores) in zip(kept, truth, strict=True)
                ]
        return found

    def _symmetric_refined(self, scorer: Scorer, coded: list[Folded], true: list[Folded]) -> list[Kept]:
        """The coded target makes the shortlist, the true one orders it."""
        assert isinstance(scorer, RefinedScorer)
        return [scorer.refine(pairs, t, KEEP) for pairs, t in zip(scorer.shortlists(coded, KEEP), true, strict=True)]

    def _latencies(self, first: Searches, dense: Dense, asked: Asked, length: int) -> dict[str, float]:
        """Microseconds by method and stage, and of the ways to search exactly."""
        calls: dict[str, Callable[[], object]] = dense.calls(asked, KEEP)
        calls["exact shared"] = _call(first.oracle, asked.folded(0)[0])
        calls["fused shared"] = _call(first.fused, asked.folded(0, "fixed")[0])
        for stage, methods in (("scan", first.scans), ("refine", first.refined)):
            for name, (scorer, kind) in methods.items():
                calls[f"{name} {stage}"] = _call(scorer, asked.folded(0, "fixed" if kind == "fixed" else "free")[0])
        return latencies(calls, rounds=self.size.rounds[length])

    def _rows(
        self, first: Searches, found: dict[tuple[str, str], list[Quality]], timed: dict[str, float], length: int
    ) -> list[dict[str, Any]]:
        fixed, free = Dense.best(timed, "fixed"), Dense.best(timed, "free")
        width = self.ground.x.shape[1] * self.ground.x.shape[2]
        exact = {"recall@100": 1.0, "attention_mass": 1.0, "interest_error": 0.0, "targets": 0}
        base = {"length": length, "stage": "scan", "refine_bytes_per_event": 0.0}
        distinct = len(first.oracle.distinct)
        rows = [
            {
                **base, **exact, "method": method, "layout": layout, "weights": weights,
                "bytes_per_event": 4.0 * numbers, "scanned": scanned, "latency_us": took,
            }
            for method, layout, weights, numbers, scanned, took in (
                ("fused,exact", "packed", "fixed", self.basis.shape[1], length, fixed),
                ("fused,exact", "shared", "fixed", self.basis.shape[1], distinct, timed["fused shared"]),
                ("exact", "packed", "free", width, length, free),
                ("exact", "shared", "free", width, distinct, timed["exact shared"]),
            )
        ]  # fmt: skip
        for stage, methods in (("scan", first.scans), ("refine", first.refined)):
            for name, (scorer, kind) in methods.items():
                mine = found[name, stage]
                errors = [q.interest_error for q in mine if q.interest_error is not None]
                rows.append(
                    {
                        **base,
                        "method": name.removesuffix(" shared"),
                        "stage": stage,
                        "layout": scorer.layout,
                        "weights": "fixed" if kind == "fixed" else "free",
                        "bytes_per_event": scorer.bytes_per_event,
                        "refine_bytes_per_event": 4.0 * width if stage == "refine" else 0.0,
                        "scanned": distinct,
                        "latency_us": timed[f"{name} {stage}"],
                        "recall@100": float(np.mean([q.recall for q in mine])),
                        "attention_mass": float(np.mean([q.attention_mass for q in mine])),
                        "interest_error": float(np.mean(errors)) if errors else None,
                        "targets": len(mine),
                    }
                )
        for row in rows:
            row["speedup_over_exact"] = fixed / row["latency_us"]
            row["speedup_over_free_exact"] = free / row["latency_us"]
            row["speedup_over_distinct_exact"] = timed["fused shared"] / row["latency_us"]
            row["gigabytes_per_s"] = row["bytes_per_event"] * row["scanned"] / row["latency_us"] / 1e3
        return rows

    def _batch(self, first: Searches, dense: Dense, asked: Asked, length: int) -> list[dict[str, Any]]:
        """A batch of 32 targets against one fp32 product over them all, per target."""
        scan, refined = first.scans[MAIN][0], first.refined[MAIN][0]
        folded = asked.folded(0)
        calls = {
            "scan": lambda: scan.search_batch(folded, KEEP),
            "refine": lambda: refined.search_batch(folded, KEEP),
            **dense.batch_calls(asked, KEEP),
        }
        timed = {
            name: took / BATCH for name, took in latencies(calls, rounds=max(1, self.size.rounds[length] // 4)).items()
        }
        fixed, free = Dense.best(timed, "fixed"), Dense.best(timed, "free")
        return [
            {
                "length": length,
                "batch": BATCH,
                "method": MAIN,
                "stage": stage,
                "layout": "packed",
                "latency_us": timed[stage],
                "product_us": fixed,
                "free_product_us": free,
                "speedup_over_product": fixed / timed[stage],
                "speedup_over_free_product": free / timed[stage],
            }
            for stage in ("scan", "refine")
        ]

    def without_repeats(self, length: int, rounds: int = 30, each: int = 20) -> list[dict[str, Any]]:
        """Rows of one life that holds `length` items once each: nothing is gained by scoring a pair once."""
        rng = np.random.default_rng(0)
        life = rng.permutation(len(self.ground.x))[:length]
        searches = self.searches(self.ground.events(life), rivals=False)
        asked = self.ground.asked([np.unique(self.ground.topic[life])], each)
        folded = asked.folded(0)
        truth = [set(searches.oracle.search(target, KEEP).events[0]) for target in folded]
        dense = Dense(self.ground, life, self.basis)
        mine = {
            (name, stage): methods[name][0]
            for name in (MAIN, f"{MAIN} shared")
            for stage, methods in (("scan", searches.scans), ("refine", searches.refined))
        }
        calls = {**dense.calls(asked, KEEP), **{str(key): _call(scorer, folded[0]) for key, scorer in mine.items()}}
        timed = latencies(calls, rounds=rounds)
        rows = []
        for (name, stage), scorer in mine.items():
            kept = [set(scorer.search(target, KEEP).events[0]) for target in folded]
            recall = float(np.mean([len(a & b) / len(b) for a, b in zip(kept, truth, strict=True)]))
            speedup = Dense.best(timed, "fixed") / timed[str((name, stage))]
            rows.append(
                {
                    "length": length, "method": MAIN, "stage": stage, "layout": scorer.layout, "recall@100": recall,
                    "latency_us": timed[str((name, stage))], "speedup_over_exact": speedup,
                }
            )  # fmt: skip
        return rows


def _call(scorer: Scorer, target: Folded) -> Callable[[], object]:
    return lambda: scorer.search(target, KEEP)


def run(full: bool = False, progress: Progress = silent) -> dict[str, Any]:
    """Measure everything.

    Returns:
        `machine`; `rows` (one per length, method, stage and layout); `batch` (32 targets at once);
        `without_repeats` (lives of distinct items); `paper_protocol`; `advice` in words.
    """
    size = FULL if full else QUICK
    load = os.getloadavg()[0]
    set_threads(1)
    with threadpool_limits(1):
        bench = Bench(size, progress)
        rows, batch = [], []
        for done, length in enumerate(LENGTHS):
            progress(len(size.specs) + done, len(size.specs) + len(LENGTHS), f"measuring lives of {length} events")
            more, together = bench.measure(length)
            rows += more
            batch += together
        once = [row for length in (10_000, size.items) for row in bench.without_repeats(length)]
        protocol = paper_protocol()
        read = bandwidth()
    progress(1, 1, "measured")
    return {
        "machine": {
            **machine_facts(),
            "threads": 1,
            "clock": "process CPU time",
            "bandwidth_gb_per_s": read,
            "load": load,
        },
        "ground": {
            "items": size.items,
            "training_items": size.training,
            "K": KEEP,
            "shortlist": SHORTLIST,
        },
        "rows": rows,
        "batch": batch,
        "without_repeats": once,
        "paper_protocol": protocol,
        "advice": advice(rows),
    }


def advice(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What to use at which length, read off the rows.

    Returns:
        `crossover_scan` and `crossover_refine`: the shortest length from which the default specification beats
        pre-multiplied exact search; `words`: why.
    """
    found: dict[str, Any] = {}
    for stage in ("scan", "refine"):
        won = {
            row["length"]: row["speedup_over_exact"] > 1
            for row in rows
            if row["method"] == MAIN and row["stage"] == stage and row["layout"] == "packed"
        }
        lost = [length for length, better in won.items() if not better]
        after = [length for length in won if length > max(lost, default=0)]
        found[f"crossover_{stage}"] = min(after) if after else None
    found["words"] = [
        "Up to about 1,000 events exact search is the default: the target's look-up tables cost more than they save.",
        "With weights that never change, pre-multiplied int8 (fused,SQ8) keeps nearly everything in one stage at a "
        "quarter of fp32's bytes; codes are for weights that change and for long lives.",
    ]
    return found
