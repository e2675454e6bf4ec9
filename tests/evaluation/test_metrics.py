"""Ranks and metrics: worked examples, a naive oracle that shuffles ties, identities as properties."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seminar_core.errors import EmptyDataError, NonFiniteError, ShapeError
from seminar_core.evaluation.metrics import (
    CUTOFFS,
    METRICS,
    grouped_auc,
    label_auc,
    log_loss,
    mean_metrics,
    ranking_metrics,
)
from seminar_core.evaluation.ranks import Ranks, chance_ranks, join, ranks_from_scores


def ranks(better, ties, candidates):
    return Ranks(
        *(np.atleast_1d(np.array(v, np.int64)) for v in (better, ties, candidates)), np.arange(np.size(better))
    )


def naive_metrics(scores):
    """The mean over every order of the candidates that sorts the scores, tied ones in each possible order."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    totals = dict.fromkeys(METRICS, 0.0)
    for order in orders:
        rank = order.index(0) + 1
        for k in CUTOFFS:
            totals[f"HIT@{k}"] += rank <= k
            totals[f"NDCG@{k}"] += (rank <= k) / np.log2(rank + 1)
        totals["MRR"] += 1 / rank
        totals["AUC"] += (len(scores) - rank) / (len(scores) - 1)
    return {name: total / len(orders) for name, total in totals.items()}


def test_a_positive_behind_two_of_three_rivals_has_rank_three():
    values = ranking_metrics(ranks_from_scores(np.array([[0.5, 0.9, 0.7, 0.1]]), np.array([0])))
    assert values["HIT@1"][0] == 0 and values["HIT@5"][0] == 1
    assert values["NDCG@5"][0] == pytest.approx(1 / np.log2(4))
    assert values["MRR"][0] == pytest.approx(1 / 3)
    assert values["AUC"][0] == pytest.approx(1 / 3)


def test_metrics_equal_the_mean_over_all_orders_of_the_tied():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 3, size=7).astype(float)
        measured = mean_metrics(ranks_from_scores(scores[None], np.array([0])))
        for name, value in naive_metrics(scores).items():
            assert measured[name] == pytest.approx(value, abs=1e-12), name


def test_a_constant_scorer_gets_exactly_chance():
    values = mean_metrics(ranks_from_scores(np.zeros((3, 100)), np.arange(3)))
    for k in CUTOFFS:
        assert values[f"HIT@{k}"] == pytest.approx(k / 100)
    assert values["AUC"] == pytest.approx(0.5)
    assert values["MRR"] == pytest.approx(np.mean(1 / np.arange(1, 101)))


def test_a_rival_that_is_not_allowed_does_not_count():
    scores = np.array([[0.5, 0.9, 0.1]])
    measured = ranks_from_scores(scores, np.array([0]), allowed=np.array([[True, False, True]]))
    assert (measured.better[0], measured.candidates[0]) == (0, 2)


def test_a_nan_score_is_refused_with_its_row():
    with pytest.raises(NonFiniteError, match=r"1 of 2 targets.*row 1"):
        ranks_from_scores(np.array([[0.0, 1.0], [np.nan, 0.0]]), np.arange(2))


def test_no_target_at_all_is_an_error_and_not_zero():
    with pytest.raises(EmptyDataError, match="no target"):
        ranks_from_scores(np.zeros((0, 5)), np.zeros(0, int))


def test_impossible_ranks_are_refused():
    with pytest.raises(ShapeError, match="better"):
        ranks(4, 3, 6)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=60)
def test_the_identities_hold_for_every_ranking(rows):
    better, ties, worse = (np.array(column) for column in zip(*rows, strict=True))
    values = ranking_metrics(ranks(better, ties, better + ties + worse))
    assert np.allclose(values["HIT@1"], values["NDCG@1"])
    assert (values["HIT@1"] <= values["MRR"] + 1e-12).all()
    for k, larger in itertools.pairwise(CUTOFFS):
        assert (values[f"HIT@{k}"] <= values[f"HIT@{larger}"] + 1e-12).all()
        assert (values[f"NDCG@{k}"] <= values[f"NDCG@{larger}"] + 1e-12).all()
    for k in CUTOFFS:
        assert (values[f"NDCG@{k}"] <= values[f"HIT@{k}"] + 1e-12).all()
    for value in values.values():
        assert (value >= 0).all() and (value <= 1 + 1e-12).all()


@given(st.integers(0, 2**31), st.floats(0.1, 10), st.floats(-5, 5))
@settings(deadline=None, max_examples=25)
def test_ranks_do_not_change_under_an_increasing_map_of_the_scores(seed, slope, offset):
    scores = np.random.default_rng(seed).integers(0, 20, size=(4, 30)).astype(float)
    a = ranks_from_scores(scores, np.arange(4))
    b = ranks_from_scores(slope * scores + offset, np.arange(4))
    assert (a.better == b.better).all() and (a.ties == b.ties).all()


def test_chance_ranks_keep_the_number_of_candidates():
    joined = join([ranks([1], [0], [10]), ranks([0], [2], [20])])
    values = ranking_metrics(chance_ranks(joined))
    assert values["HIT@10"].tolist() == [1.0, 0.5]


def test_label_auc_equals_the_double_loop():
    rng = np.random.default_rng(1)
    score, label = rng.integers(0, 5, 60).astype(float), rng.integers(0, 2, 60)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label == 1] for b in score[label == 0]]
    assert label_auc(score, label) == pytest.approx(np.mean(pairs))


def test_label_auc_without_a_negative_says_so():
    with pytest.raises(EmptyDataError, match="0 of 0"):
        label_auc(np.ones(3), np.ones(3, int))


def test_grouped_auc_leaves_out_groups_of_one_label_and_weighs_by_rows():
    score = np.array([0.9, 0.1, 0.2, 0.8, 0.3, 0.5])
    label = np.array([1, 0, 1, 0, 0, 1])
    group = np.array([7, 7, 3, 3, 3, 9])
    assert grouped_auc(score, label, group) == pytest.approx((2 * 1.0 + 3 * 0.0) / 5)


def test_log_loss_of_an_even_guess_is_log_two():
    assert log_loss(np.zeros(4), np.array([0, 1, 1, 0])) == pytest.approx(np.log(2))
    assert log_loss(np.array([1000.0, -1000.0]), np.array([1, 0])) == pytest.approx(0)
