"""The frontier: quality by its definitions, latencies in turn, a suggestion and a cross-over."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.contracts import Kept
from seminar_core.errors import ConfigError
from seminar_core.retrieval.exact import ExactScorer
from seminar_core.retrieval.frontier import crossover, in_words, latencies, quality, suggest
from tests.retrieval.retrieval_worlds import life, target, vectors


def kept(*rows: list[int]) -> Kept:
    events = np.array(rows, np.int64)
    return Kept(events, np.zeros(events.shape, np.float32))


def test_quality_of_a_worked_example():
    """Scores log 1, log 2, log 4: keeping events 2 and 0 instead of 2 and 1 has recall 1/2 and mass 5/6."""
    scores = np.log(np.array([[1.0, 2.0, 4.0]]))
    values = np.array([[0.0], [3.0], [6.0]])
    found = quality(kept([2, 0]), kept([2, 1]), scores, lambda events: values[events])
    assert found.recall == 0.5 and found.attention_mass == pytest.approx(5 / 6)
    near, true = (4 * 6 + 1 * 0) / 5, (4 * 6 + 2 * 3) / 6
    assert found.interest_error == pytest.approx(abs(near - true) / true)


def test_the_exact_answer_has_no_loss():
    world = vectors()
    oracle, asked = ExactScorer(world, life(world)), target(world)
    same = oracle.search(asked, 9)
    found = quality(same, same, oracle.scores(asked), oracle.vectors_of)
    assert (found.recall, found.interest_error) == (1.0, 0.0) and found.attention_mass == pytest.approx(1)


def test_an_empty_life_loses_nothing():
    none = kept([-1, -1])
    found = quality(none, none, np.zeros((1, 0)), lambda events: np.zeros((len(events), 3)))
    assert (found.recall, found.attention_mass, found.interest_error) == (1.0, 1.0, None)


def test_latencies_take_turns_and_are_medians():
    order, now = [], [0.0]

    def call(name: str, cost: float):
        def run() -> None:
            order.append(name)
            now[0] += cost

        return run

    found = latencies({"a": call("a", 1e-6), "b": call("b", 3e-6)}, rounds=2, clock=lambda: now[0])
    assert found == {"a": pytest.approx(1), "b": pytest.approx(3)}
    assert "".join(order) == "ab" + ("a" * 5 + "b" * 5) * 2


def test_the_suggestion_has_the_fewest_bytes_then_the_least_latency():
    rows = [
        {"spec": "x", "recall": 0.99, "bytes_per_event": 16, "latency_us": 30, "shortlist": 4},
        {"spec": "y", "recall": 0.99, "bytes_per_event": 16, "latency_us": 20, "shortlist": 4},
        {"spec": "z", "recall": 0.80, "bytes_per_event": 8, "latency_us": 10, "shortlist": 0},
    ]
    best = suggest(rows, 0.98)
    assert best["spec"] == "y" and suggest(rows, 0.5)["spec"] == "z" and suggest(rows, 1.0) is None
    said = in_words(best, 0.98, 100)
    assert said == "for recall 0.98 at K=100 on this data: y, 16 bytes per event, shortlist 4K, 0.02 ms"
    with pytest.raises(ConfigError, match=r"1\.5 is not within"):
        suggest(rows, 1.5)


def test_the_cross_over_holds_from_there_on():
    lengths = [1000, 10, 100, 10000]
    assert crossover(lengths, [5, 5, 5, 5], [1, 1, 9, 1]) == 1000
    assert crossover(lengths, [5, 5, 5, 5], [1, 1, 1, 9]) is None
    assert crossover(lengths, [5, 5, 5, 5], [1, 1, 1, 1]) == 10
