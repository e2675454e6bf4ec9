"""Bootstrap intervals: equal to the naive resampler, cover the truth, pair what belongs together."""

import numpy as np
import pytest

from seminar_core.errors import EmptyDataError
from seminar_core.evaluation import intervals
from seminar_core.evaluation.intervals import bootstrap_means, interval, interval_over_seeds, paired_difference


def test_resampled_means_equal_a_loop_over_people():
    rng = np.random.default_rng(0)
    person = np.array([3, 3, 5, 9, 9, 9])
    values = rng.normal(size=(6, 2))
    fast = bootstrap_means(values, person, seed=4, resamples=50)
    draws = np.random.default_rng(4).multinomial(3, np.full(3, 1 / 3), size=50)
    for row, counts in zip(fast, draws, strict=True):
        rows = np.concatenate([np.tile(values[person == p], (c, 1)) for p, c in zip((3, 5, 9), counts, strict=True)])
        assert np.allclose(row, rows.mean(axis=0))


def test_many_people_are_resampled_in_blocks_with_the_same_answer(monkeypatch):
    values, person = np.random.default_rng(0).normal(size=(40, 1)), np.arange(40)
    whole = bootstrap_means(values, person, seed=1, resamples=30)
    monkeypatch.setattr(intervals, "BLOCK", 40 * 7)
    assert np.allclose(whole, bootstrap_means(values, person, seed=1, resamples=30))


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(100):
        low, high = interval((rng.random(150) < 0.3).astype(float), np.arange(150), seed=trial, resamples=300)
        hits += low <= 0.3 <= high
    assert 88 <= hits <= 100


def test_one_person_with_many_targets_is_one_unit():
    values = np.concatenate([np.ones(100), np.zeros(100)])
    low, high = interval(values, np.repeat([0, 1], 100), seed=0)
    assert (low, high) == (0.0, 1.0)


def test_pairing_removes_what_makes_a_person_hard_for_both():
    rng = np.random.default_rng(3)
    hard = rng.normal(size=300) * 5
    difference, low, high = paired_difference(hard + 0.1, hard, np.arange(300))
    assert difference == pytest.approx(0.1) and low == pytest.approx(0.1) and high == pytest.approx(0.1)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(50)
    assert interval(values, np.arange(50), seed=7) == interval(values, np.arange(50), seed=7)


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(5)
    base = rng.random(200)
    narrow = interval_over_seeds(np.stack([base, base, base]), np.arange(200))
    wide = interval_over_seeds(np.stack([base - 0.3, base, base + 0.3]), np.arange(200))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_no_target_is_an_error():
    with pytest.raises(EmptyDataError):
        interval(np.zeros(0), np.zeros(0, int))


def test_a_share_that_is_the_same_for_all_of_a_few_people_has_the_width_of_few_people():
    person = np.arange(48)
    values = np.stack([np.zeros(48), np.ones(48), np.arange(48) % 2], axis=1).astype(float)
    low, high = intervals.intervals(values, person, shares=True)
    z2 = 1.959964**2
    assert high[0] == pytest.approx(z2 / (48 + z2), abs=1e-5) and low[0] == 0  # Wilson's bound at zero of n
    assert low[1] == pytest.approx(48 / (48 + z2), abs=1e-5) and high[1] == 1
    plain_low, plain_high = intervals.intervals(values, person)
    assert (plain_low[2], plain_high[2]) == (low[2], high[2]) and plain_high[0] == 0
