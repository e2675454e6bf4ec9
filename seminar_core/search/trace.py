"""One target against one life: what exact search keeps, what the approximation keeps, and what that changes.

Diagnostics, the heart of the Retrieval station. `search/question.py` says what is asked, `trace`
answers with arrays, and `search/answer.py` puts them into the command's words. Only events strictly before the asked
time are searched, and the whole visible life is: the length that a model was trained with is no limit here. Ties go to
the newer event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..contracts import CHANNELS, Folded, Kept
from ..errors import ConfigError
from ..retrieval.events import EventSet
from ..retrieval.exact import ExactScorer, Scorer, top_k
from ..retrieval.search import FastScanScorer, LookupScorer, RefinedScorer
from ..retrieval.spec import parse
from .question import RIVALS, Moment, Question, moment
from .rival_stages import rival_kept
from .second_stage import Outcome, Weighting, outcome
from .study import Study, fold, refuse_without_linear_stage
from .symmetric import coded_target
from .typed_query import query_row

TIMED_RUNS = 5
TIMED_S = 0.03


@dataclass(frozen=True)
class Side:
    """One search's answer.

    Fields:
        events: (n,) int64 positions in the life of the union over heads, most attended first.
        score: (n,) its own largest per-head score.
        score_exact: (n,) the largest exact per-head score.
        weight: (n,) mean over heads of the attention weight.
        heads: for each event the heads that kept it.
        kept: (H, K) positions in the searched events, with exact scores.
        outcome: attention, interest and logit.
        latency_us: of the search alone, the fastest of a few runs on this machine; None where it was not timed.
    """

    events: np.ndarray
    score: np.ndarray
    score_exact: np.ndarray
    weight: np.ndarray
    heads: list[list[int]]
    kept: Kept
    outcome: Outcome
    latency_us: float | None


@dataclass(frozen=True)
class Trace:
    """Exact beside approximate, for one question.

    Fields:
        question: what was asked.
        moment: from where.
        item_row, query_row: the target.
        folded: the target folded for the first stage (one head of it where one was asked for).
        asked: the same as the approximate search asked with it: coded in the symmetric scheme, else `folded`.
        weighting: channel weights that were used.
        exact, approx: the two answers.
        scanned: for each head the positions in the life that the scan kept before exact scores ordered them, None
            where there is no such stage.
        scores: (H, L) exact scores of all searched events.
        bytes_per_event: what the scan reads per event, None where that has no meaning.
        near_scores: largest approximate per-head score of every event that either side kept, by event; empty where
            the other search has no scores of its own.
    """

    question: Question
    moment: Moment
    item_row: int
    query_row: int
    folded: Folded
    asked: Folded
    weighting: Weighting
    exact: Side
    approx: Side
    scanned: list[np.ndarray] | None
    scores: np.ndarray
    bytes_per_event: float | None
    near_scores: dict[int, float]


def used_weights(study: Study, question: Question) -> list[float] | None:
    """Explicit weights of a question with masked channels at zero; None when the run's own are to be used."""
    if question.weights is None and not question.mask:
        return None
    base = study.own_weights() if question.weights is None else np.array(question.weights, np.float64)
    if base.shape == (len(CHANNELS),):
        base = np.where([c in question.mask for c in CHANNELS], 0.0, base)
    return [float(w) for w in base]


def weighting(study: Study, folded: Folded, weights: Sequence[float] | None) -> Weighting:
    """The weights that `folded` was made with, normalised."""
    used = study.own_weights() if weights is None else np.array(weights, np.float64) / np.sum(weights)
    return Weighting(used, folded.item_scale_without_query)


def trace(study: Study, question: Question, *, timed: bool = True) -> Trace:
    """Answer a question.

    Raises:
        UnknownPersonError, UnknownItemError: ids that the data set does not hold.
        NotLinearError: the run's first stage cannot be folded.
        ChannelWeightsError: weights that leave nothing to compare.
        NotReadyError, StaleError: codebooks that are missing or of other vectors.
    """
    refuse_without_linear_stage(study)
    at = moment(study.dataset, question)
    item, query = study.dataset.item_row(question.item), query_row(study, question.query or "")
    weights = used_weights(study, question)
    folded = fold(study, item, query, weights)
    used = weighting(study, folded, weights)
    if question.head is not None:
        if not 0 <= question.head < study.heads:
            raise ConfigError(
                f"head {question.head} is asked for; run {study.run.name!r} has heads 0 to {study.heads - 1}",
                hint="leave --head out for all heads",
            )
        folded = _one_head(folded, question.head)
    asked = _asked(study, question, folded, (item, query), used)
    events = study.events(at.person_row, at.positions)
    keep = min(question.k or int(study.run.config.model.keep), max(len(events), 1))  # no slots for what is not there
    key = (at.person_row, at.time_s, question.hide_from_s, question.hide_to_s)

    def side(kept: Kept, own: np.ndarray | None, latency: float | None) -> Side:
        return _side(study, question, at, kept, scores, own, (item, query), used, latency)

    if not len(events):
        scores = np.zeros((len(folded.u), 0), np.float32)
        first = side(top_k(scores, keep), None, None)
        return Trace(question, at, item, query, folded, asked, used, first, first, None, scores, None, {})
    exact = study.exact(key, events)
    scores = exact.scores(folded)
    kept = top_k(scores, keep)
    first = side(kept, None, _latency(lambda: exact.search(folded, keep)) if timed else None)
    found, scorer, scanned, search, size = _approximate(
        study, question, key, events, exact, (folded, asked), keep, (item, query, at)
    )
    own = _own_scores(study, scorer, events, asked, (kept, found))
    second = side(found, own, _latency(search) if timed and search else None)
    where = None if scanned is None else [at.positions[row] for row in scanned]
    near = {} if own is None else _by_event(at.positions, own)
    return Trace(question, at, item, query, folded, asked, used, first, second, where, scores, size, near)


def _one_head(folded: Folded, head: int) -> Folded:
    return Folded(folded.u[head : head + 1], folded.item_scale_without_query)


def _asked(study: Study, question: Question, folded: Folded, target: tuple[int, int], used: Weighting) -> Folded:
    """The target as the approximate search asks with it."""
    if (question.method or "pq") != "pq" or parse(question.spec).kind != "SymPQ":
        return folded
    coded = coded_target(study, study.codebooks(question.spec), *target, used)
    return coded if question.head is None else _one_head(coded, question.head)


Found = tuple[Kept, Scorer | None, list[np.ndarray] | None, Callable[[], object] | None, float | None]


def _approximate(
    study: Study,
    question: Question,
    key: tuple[Any, ...],
    events: EventSet,
    exact: ExactScorer,
    targets: tuple[Folded, Folded],
    keep: int,
    target: tuple[int, int, Moment],
) -> Found:
    """The other search: kept events, its scan (None for a rival rule), what the scan kept, the call to time, bytes."""
    method, (folded, asked) = question.method or "pq", targets
    if method in RIVALS:
        own_head = None if question.head is None else question.head
        mask = rival_kept(study, method, events, target[0], target[1], target[2].time_s, keep, own_head)
        return _kept_of_mask(mask, keep), None, None, None, None
    spec = question.spec if method == "pq" else method
    scorer = study.approximate(key, events, spec)
    scan = None
    if question.shortlist and scorer is not exact and not isinstance(scorer, ExactScorer):
        refined = RefinedScorer(scorer, exact, question.shortlist)
        scan, found = refined.stages([folded], keep, [asked])[0]

        def search() -> object:
            return refined.search_batch([folded], keep, [asked])
    else:
        found = scorer.search(asked, keep)

        def search() -> object:
            return scorer.search(asked, keep)

    return found, scorer, scan, search, float(scorer.bytes_per_event)


def _own_scores(
    study: Study, scorer: Scorer | None, events: EventSet, asked: Folded, sides: tuple[Kept, Kept]
) -> np.ndarray | None:
    """Approximate scores (H, L) of every event that either side kept, NaN elsewhere; None without codes."""
    if not isinstance(scorer, FastScanScorer | LookupScorer):
        return None
    books = scorer.life.codebooks
    union = np.unique(np.concatenate([side.events[side.events >= 0] for side in sides]))
    part = EventSet(events.item[union], events.query[union])
    out = np.full((len(asked.u), len(events)), np.nan, np.float32)
    out[:, union] = LookupScorer(books, study.vectors, part).scores(asked)
    return out


def _by_event(positions: np.ndarray, own: np.ndarray) -> dict[int, float]:
    """The largest per-head score by event, where there is one."""
    known = np.flatnonzero(np.isfinite(own[0]))
    return dict(zip(positions[known].tolist(), own[:, known].max(0).tolist(), strict=True))


def _kept_of_mask(mask: np.ndarray, keep: int) -> Kept:
    """(H, L) bool -> `Kept`, scores to be filled in."""
    width = max(keep, int(mask.sum(1).max(initial=0)))
    events = np.full((len(mask), width), -1, np.int64)
    for head, row in enumerate(mask):
        chosen = np.flatnonzero(row)[::-1]
        events[head, : len(chosen)] = chosen
    return Kept(events, np.zeros(events.shape, np.float32))


def _side(
    study: Study,
    question: Question,
    at: Moment,
    kept: Kept,
    scores: np.ndarray,
    own: np.ndarray | None,
    target: tuple[int, int],
    used: Weighting,
    latency: float | None,
) -> Side:
    real = kept.events >= 0
    places = np.maximum(kept.events, 0)
    read = np.take_along_axis(scores, places, 1) if scores.shape[1] else np.zeros(kept.events.shape)
    exact_kept = Kept(kept.events, np.where(real, read, -np.inf).astype(np.float32))
    life = study.dataset.store.life(at.person_row)
    result = _outcome(study, question, exact_kept, at, life, target, used)
    union, where = np.unique(kept.events[real], return_inverse=True)
    weight = np.bincount(where, result.weights[real], len(union)) / len(kept.events)
    largest = scores[:, union].max(0) if len(union) else np.zeros(0)
    mine = largest if own is None else own[:, union].max(0)
    order = np.lexsort((-union, -largest, -weight))
    heads = [np.flatnonzero((kept.events == event).any(1)) for event in union]
    if question.head is not None:
        heads = [np.array([question.head]) for _ in union]
    return Side(
        events=at.positions[union][order],
        score=mine[order].astype(np.float64),
        score_exact=largest[order].astype(np.float64),
        weight=weight[order],
        heads=[heads[i].tolist() for i in order],
        kept=exact_kept,
        outcome=result,
        latency_us=latency,
    )


def _outcome(
    study: Study, question: Question, kept: Kept, at: Moment, life: Any, target: tuple[int, int], used: Weighting
) -> Outcome:
    """The second stage; with one head asked for, the other heads attend to nothing."""
    if question.head is not None:
        events = np.full((study.heads, kept.events.shape[1]), -1, np.int64)
        values = np.full(events.shape, -np.inf, np.float32)
        events[question.head], values[question.head] = kept.events[0], kept.scores[0]
        whole = Kept(events, values)
    else:
        whole = kept
    found = outcome(
        study.model,
        whole,
        item=life.item[at.positions],
        query=life.query[at.positions],
        time_s=life.time_s[at.positions],
        target=(*target, at.time_s),
        weighting=used,
        max_length=study.run.max_length,
    )
    if question.head is None:
        return found
    return replace(found, weights=found.weights[question.head : question.head + 1])


def _latency(search: Callable[[], object]) -> float:
    """Microseconds of the fastest of a few runs, since what else the machine does only adds.

    Three at least, and no more once `TIMED_S` seconds are over.
    """
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < TIMED_RUNS and sum(taken) < TIMED_S):
        started = time.perf_counter()
        search()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1e6
