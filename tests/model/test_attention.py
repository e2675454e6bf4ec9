"""Target attention and top-K against naive loops: padding, ties, few events, none, gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seminar_core.model.attention import (
    HeadValues,
    TargetScore,
    aggregate,
    bias_of,
    hide,
    keep_best,
    kept_softmax,
    log_age,
    visible_mask,
)


def naive_kept(scores: list[float], allowed: list[bool], keep: int) -> set[int]:
    """Places of the `keep` best allowed events, ties to the later place."""
    places = sorted((i for i in range(len(scores)) if allowed[i]), key=lambda i: (scores[i], i), reverse=True)
    return set(places[:keep])


def kept_places(best: torch.Tensor) -> list[set[int]]:
    flat = best.reshape(-1, best.shape[-1])
    return [set(torch.nonzero(row > -math.inf)[:, 0].tolist()) for row in flat]


def test_two_best_of_four_by_hand_and_the_newer_of_a_tie():
    scores = torch.tensor([1.0, 3.0, 3.0, 2.0]).view(1, 1, 1, 4)
    everything = torch.ones(1, 1, 1, 4, dtype=torch.bool)
    assert kept_places(keep_best(scores, everything, 2)) == [{1, 2}]
    assert kept_places(keep_best(scores, everything, 1)) == [{2}]


@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 30),
    keep=st.integers(1, 12),
    levels=st.sampled_from([1, 2, 5, 1000]),
    heads=st.integers(1, 2),
)
@settings(max_examples=150, deadline=None)
def test_exactly_the_best_allowed_events_are_kept_with_ties_to_the_newer(seed, length, keep, levels, heads):
    rng = np.random.default_rng(seed)
    people, positions, candidates = 3, 2, 2
    scores = rng.integers(0, levels, (people, positions, candidates, heads, length)).astype(np.float32) - levels // 2
    valid = np.arange(length) < rng.integers(0, length + 1, (people, positions))[..., None]
    best = keep_best(torch.from_numpy(scores), torch.from_numpy(valid)[:, :, None, None, :], keep)
    flat = scores.reshape(-1, length)
    allowed = np.broadcast_to(valid[:, :, None, None, :], scores.shape).reshape(-1, length)
    expected = [naive_kept(list(row), list(may), keep) for row, may in zip(flat, allowed, strict=True)]
    assert kept_places(best) == expected


def test_what_is_left_is_the_score_row_up_to_a_constant():
    scores = torch.randn(2, 1, 3, 2, 9)
    allowed = torch.ones(2, 1, 1, 1, 9, dtype=torch.bool)
    allowed[1, ..., 2:] = False
    best = keep_best(scores, allowed, 4)
    kept = best > -math.inf
    shift = torch.where(kept, best - scores, torch.nan)
    spread = torch.nan_to_num(shift, nan=-9.0).amax(-1) - torch.nan_to_num(shift, nan=9.0).amin(-1)
    assert float(spread.max()) < 1e-5


def test_a_life_of_one_repeated_item_keeps_exactly_the_newest():
    scores = torch.full((1, 1, 2, 3, 20), 0.7)
    allowed = visible_mask(torch.ones(1, 20, dtype=torch.bool), torch.tensor([[15]]))[:, :, None, None, :]
    assert kept_places(keep_best(scores, allowed, 6)) == [{9, 10, 11, 12, 13, 14}] * 6


def test_very_small_and_very_large_scores_keep_their_order():
    scores = torch.tensor([1e-44, 0.0, -1e-44, 1e30, -1e30]).view(1, 1, 1, 5)
    everything = torch.ones(1, 1, 1, 5, dtype=torch.bool)
    assert [kept_places(keep_best(scores, everything, k))[0] for k in (1, 2, 3, 4)] == [
        {3}, {0, 3}, {0, 1, 3}, {0, 1, 2, 3},
    ]  # fmt: skip


def test_padding_is_out_before_the_top_k():
    """Eleven real events and K = 50: eleven are kept, none of them padding."""
    scores = torch.randn(1, 1, 1, 4, 100) - 5  # all below the padding's zero
    valid = (torch.arange(100) < 11).view(1, 100)
    scores[..., 11:] = 0
    best = keep_best(scores, visible_mask(valid, torch.tensor([[100]]))[:, :, None, None, :], 50)
    assert kept_places(best) == [set(range(11))] * 4


def test_scores_equal_a_double_loop():
    torch.manual_seed(0)
    score = TargetScore(width=6, heads=3, recency=True)
    with torch.no_grad():
        for parameter in score.parameters():
            parameter.add_(torch.randn(parameter.shape))
    targets, events, age = torch.randn(2, 2, 3, 6), torch.randn(2, 5, 6), torch.rand(2, 2, 5)
    got = score(targets, events, age)
    for b, p, n, h, l in np.ndindex(*got.shape):
        query = score.query.view(3, 2, 6)[h] @ targets[b, p, n]
        key = score.key.view(3, 2, 6)[h] @ events[b, l]
        expected = query @ key / math.sqrt(2) + score.recency[h] * age[b, p, l]
        assert torch.isclose(got[b, p, n, h, l], expected, atol=1e-4)


def test_values_equal_projecting_every_event_first():
    torch.manual_seed(0)
    values = HeadValues(width=6, heads=2)
    with torch.no_grad():
        values.value.add_(torch.randn(6, 6))
        values.output.add_(torch.randn(6, 6))
    events, weights = torch.randn(1, 4, 6), torch.softmax(torch.randn(1, 1, 1, 2, 4), -1)
    heads = [weights[0, 0, 0, h] @ (events[0] @ values.value.view(2, 3, 6)[h].t()) for h in range(2)]
    expected = values.output @ torch.cat(heads)
    assert torch.allclose(values(aggregate(weights, events))[0, 0, 0], expected, atol=1e-5)


def test_the_interest_begins_in_the_space_of_the_pair_vectors():
    values = HeadValues(width=8, heads=4)
    vector = torch.randn(8)
    assert torch.allclose(values(vector.expand(4, 8)), vector, atol=1e-5)


def test_weights_sum_to_one_over_what_is_kept_and_are_zero_elsewhere():
    scores = torch.randn(3, 2, 2, 2, 9)
    visible = torch.tensor([[9, 4], [2, 0], [1, 9]])
    allowed = visible_mask(torch.ones(3, 9, dtype=torch.bool), visible)[:, :, None, None, :]
    best = keep_best(scores, allowed, 3)
    weights, mass = kept_softmax(scores, best)
    total = weights.sum(-1)
    kept = torch.where(best > -math.inf, scores, -math.inf)
    assert torch.allclose(mass[visible > 0], torch.logsumexp(kept, -1)[visible > 0], atol=1e-6)
    assert not mass[visible == 0].any()
    assert torch.allclose(total[visible > 0], torch.tensor(1.0)) and not total[visible == 0].any()
    assert not weights[best == -math.inf].any() and torch.isfinite(weights).all()
    loop = torch.softmax(torch.where(best > -math.inf, scores, -math.inf), -1)
    assert torch.allclose(weights[visible > 0], loop[visible > 0], atol=1e-6)


def test_gradients_of_the_kept_softmax_equal_torchs_own():
    scores = torch.randn(2, 1, 2, 2, 8, requires_grad=True)
    best = keep_best(scores, torch.ones(2, 1, 1, 1, 8, dtype=torch.bool), 3)
    outer, of_mass = torch.randn(2, 1, 2, 2, 8), torch.randn(2, 1, 2, 2)
    kept = scores.masked_fill(best == -math.inf, -math.inf)
    for with_weights, with_mass in ((1, 0), (0, 1), (1, 1)):
        weights, mass = kept_softmax(scores, best)
        terms = [(weights * outer).sum()] * with_weights + [(mass * of_mass).sum()] * with_mass
        ours = torch.autograd.grad(sum(terms), scores)[0]
        terms = [(torch.softmax(kept, -1) * outer).sum()] * with_weights
        terms += [(torch.logsumexp(kept, -1) * of_mass).sum()] * with_mass
        assert torch.allclose(ours, torch.autograd.grad(sum(terms), scores, retain_graph=True)[0], atol=1e-6)


def test_a_row_of_nan_is_not_hidden():
    scores = torch.full((1, 1, 1, 1, 6), math.nan)
    best = keep_best(scores, torch.ones(1, 1, 1, 1, 6, dtype=torch.bool), 2)
    assert kept_softmax(scores, best)[0].isnan().all()


def test_hiding_copies_nothing_when_everything_is_allowed():
    scores = torch.randn(1, 1, 2, 4)
    assert hide(scores, torch.ones(1, 1, 1, 4, dtype=torch.bool)).data_ptr() == scores.data_ptr()
    assert bias_of(torch.tensor([True, False])).tolist() == [0.0, -math.inf]


def test_age_is_log_days_and_never_negative():
    age = log_age(torch.tensor([[0, 86_400, 300_000]]), torch.tensor([[86_400]]))
    assert torch.allclose(age, torch.tensor([[[math.log(2), 0.0, 0.0]]]))


@pytest.mark.parametrize("visible", [0, 3, 5])
def test_a_target_sees_its_prefix_of_the_valid_events(visible):
    valid = torch.tensor([[True, True, True, True, False]])
    mask = visible_mask(valid, torch.tensor([[visible]]))
    assert mask[0, 0].tolist() == [i < min(visible, 4) for i in range(5)]
