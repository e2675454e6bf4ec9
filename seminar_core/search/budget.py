"""What bytes and microseconds buy on one run: recall and attention mass of every specification it has codebooks for.

Diagnostics; what the command `frontier` answers. Each specification is asked the same questions (the last event of
each measured person), once as a scan alone and once with a shortlist that exact scores order. Latencies are measured
here, one target at a time. On a CPU exact search wins for short lives: the cross-over length is measured too.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from ..progress import Progress, silent
from ..retrieval.events import EventSet
from ..retrieval.exact import ExactScorer
from ..retrieval.frontier import crossover, in_words, latencies, suggest
from ..retrieval.search import RefinedScorer, make_scorer
from ..retrieval.spec import DEFAULT, parse
from ..workspace import Workspace
from .answer import attention_mass, recall
from .question import SHORTLIST, Question
from .study import Study, fold, open_study, refuse_without_linear_stage
from .trace import trace

PEOPLE = 24
WITHOUT_CODEBOOKS = ("HNSW", "LSH")
LENGTHS = (1_000, 3_000, 10_000, 30_000, 100_000)


def measured_specs(study: Study) -> list[str]:
    """Specifications that can be measured on this run now."""
    return [*study.codebook_names(), *WITHOUT_CODEBOOKS]


def questions(study: Study, person: str | None, spec: str, shortlist: float) -> list[Question]:
    """The same questions for every specification: one person's last event, or those of people spread over all."""
    dataset = study.dataset
    long_enough = np.flatnonzero(dataset.store.lengths > 1)
    if person is not None:
        chosen = np.array([dataset.person_row(person)])
    else:
        chosen = long_enough[np.unique(np.linspace(0, len(long_enough) - 1, PEOPLE).round().astype(int))]
    found = []
    for row in chosen:
        life = dataset.store.life(int(row))
        if len(life) > 1:
            item = dataset.item_ids[int(life.item[-1])]
            found.append(Question(dataset.person_ids[int(row)], item, spec=spec, shortlist=shortlist))
    return found


def measure_spec(study: Study, person: str | None, spec: str, shortlist: float) -> dict[str, Any] | None:
    """One row; None when nobody has a visible event."""
    values = []
    for question in questions(study, person, spec, shortlist):
        found = trace(study, question)
        mass, kept = attention_mass(found), recall(found)
        if mass is not None and kept is not None:
            values.append((kept, mass, found.approx.latency_us, found.exact.latency_us, found.bytes_per_event))
    if not values:
        return None
    kept, mass, latency, exact, size = np.array(values, np.float64).mean(0)
    return {
        "spec": spec,
        "stage": "refine" if shortlist else "scan",
        "shortlist": shortlist,
        "layout": "packed",
        "bytes_per_event": float(size),
        "recall": float(kept),
        "attention_mass": float(mass),
        "latency_us": float(latency),
        "speedup_over_exact": float(exact / latency),
        "people": len(values),
    }


def frontier(
    workspace: Workspace,
    run: str,
    *,
    person: str | None = None,
    target_recall: float = 0.95,
    progress: Progress = silent,
    study: Study | None = None,
) -> dict[str, Any]:
    """Measure every specification of a run.

    Returns:
        rows, suggestion (the cheapest row that reaches `target_recall`: fewest bytes, then fastest; None where none
        does), says (the suggestion as a sentence), crossover_length (events from which `DEFAULT` with its shortlist is
        faster than exact search; None when it never was), target_recall.

    Raises:
        NotLinearError: the run's first stage cannot be quantised.
        ConfigError: `target_recall` lies outside 0 to 1.
    """
    suggest([], target_recall)  # refuses a wrong target before anything is measured
    study = study or open_study(workspace, run)
    refuse_without_linear_stage(study)
    rows = []
    asked = [(spec, shortlist) for spec in measured_specs(study) for shortlist in (0.0, SHORTLIST)]
    for done, (spec, shortlist) in enumerate(asked):
        progress(done, len(asked), f"measuring {spec}")
        row = measure_spec(study, person, spec, shortlist)
        if row is not None:
            rows.append(row)
    progress(len(asked), len(asked), "measured")
    best = suggest(rows, target_recall)
    keep = int(study.run.config.model.keep)
    return {
        "run": run,
        "rows": rows,
        "suggestion": best,
        "says": in_words(best, target_recall, keep) if best else None,
        "crossover_length": measured_crossover(study),
        "target_recall": target_recall,
    }


def measured_crossover(study: Study, spec: str = DEFAULT, keep: int = 50) -> int | None:
    """The shortest measured length from which `spec` with its shortlist is faster than exact search, always after."""
    if str(parse(spec)) not in study.codebook_names():
        return None
    store = study.dataset.store
    rng = np.random.default_rng(0)
    item, query = np.asarray(store.item), np.asarray(store.query)
    target = fold(study, int(item[-1]), 0, None)
    taken = []
    for length in LENGTHS:
        drawn = np.sort(rng.integers(0, len(item), length))
        events = EventSet(np.ascontiguousarray(item[drawn]), np.ascontiguousarray(query[drawn]))
        exact = ExactScorer(study.vectors, events)
        refined = RefinedScorer(make_scorer(study.codebooks(spec), study.vectors, events), exact, SHORTLIST)
        calls = {"exact": partial(exact.search, target, keep), "refined": partial(refined.search, target, keep)}
        taken.append(latencies(calls, rounds=1, clock=time.perf_counter))
    return crossover(LENGTHS, [row["exact"] for row in taken], [row["refined"] for row in taken])
