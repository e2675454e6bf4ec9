"""Exact search: the definition, the tie rule, and pre-multiplication under fixed weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.retrieval_ground import fold
from seminar_core.contracts import ChannelVectors, Folded
from seminar_core.errors import ConfigError, InvalidDataError, NonFiniteError, ShapeError
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.exact import ExactScorer, PremultipliedScorer, Scorer, span, top_k
from seminar_core.retrieval.search import make_scorer
from tests.retrieval.retrieval_worlds import life, naive_scores, naive_top, target, targets, vectors


def test_a_worked_example():
    """Two items, one query, D = 1: the event with a query adds it, the one without is scaled."""
    world = ChannelVectors(
        np.array([[[0], [0], [0]], [[1], [2], [3]], [[4], [0], [0]]], np.float32),
        np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], bool),
        np.array([[0], [5]], np.float32),
        np.array([False, True]),
    )
    asked = Folded(np.array([[[10], [1], [1], [1]]], np.float32), 2.0)
    scores = ExactScorer(world, EventSet(np.array([1, 2], np.int32), np.array([0, 1], np.int32))).scores(asked)
    assert scores.tolist() == [[2 * (1 + 2 + 3), 4 + 10 * 5]]


def test_scores_are_the_definition():
    world = vectors()
    events, asked = life(world), target(world)
    np.testing.assert_allclose(ExactScorer(world, events).scores(asked), naive_scores(world, events, asked), rtol=2e-5)


@settings(deadline=None)  # the first example loads compiled loops
@given(
    arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(0, 30)), elements=st.integers(-3, 3).map(float)),
    st.integers(1, 40),
)
def test_top_k_is_a_sort_with_ties_to_the_newer_event(scores, keep):
    kept = top_k(scores, keep)
    for row, events, values in zip(scores, kept.events, kept.scores, strict=True):
        expected = naive_top(row, keep)
        assert events.tolist() == expected + [-1] * (keep - len(expected))
        assert values[: len(expected)].tolist() == [row[l] for l in expected]
        assert np.isneginf(values[len(expected) :]).all()


def test_a_life_of_one_repeated_item_keeps_the_newest_k():
    world = vectors()
    events = EventSet(np.full(30, 7, np.int32), np.zeros(30, np.int32))
    kept = ExactScorer(world, events).search(target(world), 5)
    assert kept.events.tolist() == [[29, 28, 27, 26, 25]] * 2


def test_items_with_equal_vectors_tie_exactly():
    world = vectors()
    world.item[9] = world.item[7]
    world.item_present[9] = world.item_present[7]
    events = EventSet(np.tile(np.array([7, 9], np.int32), 20), np.zeros(40, np.int32))
    assert ExactScorer(world, events).search(target(world), 3).events.tolist() == [[39, 38, 37]] * 2


def test_more_than_the_life_keeps_all():
    world = vectors()
    events = life(world, 6)
    kept = ExactScorer(world, events).search(target(world), 10)
    assert (np.sort(kept.events[:, :6], 1) == np.arange(6)).all() and (kept.events[:, 6:] == -1).all()


def test_an_empty_life_keeps_nothing():
    world = vectors()
    empty = EventSet(np.empty(0, np.int32), np.empty(0, np.int32))
    assert (ExactScorer(world, empty).search(target(world), 4).events == -1).all()


def test_chosen_events_score_as_in_the_whole_life():
    world = vectors()
    events, asked = life(world), target(world)
    scorer = ExactScorer(world, events)
    chosen = np.array([3, 3, 50, 17])
    assert (scorer.scores_of(asked.u[1], 2.0, chosen) == scorer.scores(asked)[1][chosen]).all()


def test_a_batch_of_targets_is_searched_like_each_alone():
    world = vectors()
    scorer = ExactScorer(world, life(world))
    many = [target(world, seed=s) for s in range(4)]
    for one, kept in zip(many, scorer.search_batch(many, 9), strict=True):
        assert (kept.events == scorer.search(one, 9).events).all()


def fixed_targets(world: ChannelVectors, weights: np.ndarray, count: int = 50, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    width = world.query.shape[1]
    return fold(rng.standard_normal((count, 4, width)).astype(np.float32), np.tile(weights, (count, 1)))[:, None]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1))
def test_weights_folded_are_weights_applied(weights):
    """Folding weights into the target gives the similarity of the weighted sums."""
    world = vectors(absent=0)
    events = life(world, 40, searched=1)
    w = np.array(weights) / np.sum(weights)
    rng = np.random.default_rng(8)
    x = rng.standard_normal((1, 4, 8)).astype(np.float32)
    scores = ExactScorer(world, events).scores(Folded(fold(x, w[None]), 1.0))
    fused = w[0] * world.query[events.query] + np.einsum("c,lcd->ld", w[1:], world.item[events.item])
    np.testing.assert_allclose(scores[0], fused @ (w @ x[0]), atol=1e-4)


@pytest.mark.parametrize("searched", [0.0, 0.5, 1.0])
def test_premultiplied_search_keeps_what_exact_keeps(searched):
    world = vectors()
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    events, trained = life(world, searched=searched), fixed_targets(world, weights)
    asked = Folded(fixed_targets(world, weights, 1, seed=9)[0], 1 / 0.6)
    fast = make_scorer("fused,exact", world, events, targets=trained)
    exact = ExactScorer(world, events)
    assert isinstance(fast, PremultipliedScorer) and isinstance(fast, Scorer) and isinstance(exact, Scorer)
    assert fast.bytes_per_event == 4 * 8
    np.testing.assert_allclose(fast.scores(asked), exact.scores(asked), atol=1e-4)
    many = [Folded(fixed_targets(world, weights, 1, seed=s)[0], 1 / 0.6) for s in range(3)]
    for one, kept in zip(many, fast.search_batch(many, 7), strict=True):
        assert set(kept.events[0]) == set(exact.search(one, 7).events[0])


def test_premultiplied_search_refuses_other_weights():
    world, weights = vectors(), np.array([0.4, 0.3, 0.2, 0.1])
    fast = make_scorer("fused,exact", world, life(world), targets=fixed_targets(world, weights))
    own = fixed_targets(world, weights, 1, seed=9)[0]
    fast.search(Folded(own, 1 / 0.6), 5)
    other = Folded(fixed_targets(world, weights[::-1], 1, seed=9)[0], 1 / 0.9)
    for answer in (fast.scores, lambda asked: fast.search(asked, 5), lambda asked: fast.search_batch([asked], 5)):
        with pytest.raises(ConfigError, match="folded with other weights") as refused:
            answer(other)
        assert "without `fused`" in refused.value.hint


def test_targets_of_several_weightings_are_not_fixed():
    world = vectors()
    with pytest.raises(ConfigError, match="span at most 8 dimensions, these span 32"):
        span(targets(world, 200).reshape(-1, 32), 8)


def test_all_weights_zero_is_an_error():
    with pytest.raises(ConfigError, match="all weights are zero"):
        span(np.zeros((5, 32), np.float32), 8)


def test_nan_targets_are_an_error():
    with pytest.raises(NonFiniteError, match="NaN"):
        span(np.full((5, 32), np.nan, np.float32), 8)


def test_premultiplied_search_needs_targets():
    world = vectors()
    with pytest.raises(ConfigError, match="needs folded targets"):
        make_scorer("fused,exact", world, life(world))


def test_keeping_nothing_is_an_error():
    world = vectors()
    with pytest.raises(ConfigError, match="keep 0 events"):
        ExactScorer(world, life(world)).search(target(world), 0)


def test_events_check_themselves():
    with pytest.raises(ShapeError, match=r"EventSet\.query"):
        EventSet(np.zeros(3, np.int32), np.zeros(2, np.int32))
    with pytest.raises(InvalidDataError, match="negative row"):
        EventSet(np.array([1, -1], np.int32), np.zeros(2, np.int32))
    assert repr(EventSet(np.ones(3, np.int32), np.array([0, 1, 0], np.int32))) == "EventSet(L=3, with_query=1)"


def test_a_search_without_targets_is_an_error():
    world = vectors()
    weights = np.full(4, 0.25)
    fast = make_scorer("fused,exact", world, life(world), targets=fixed_targets(world, weights))
    with pytest.raises(ShapeError, match="no target"):
        fast.search_batch([], 3)
