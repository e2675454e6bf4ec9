"""Every loss: worked example, naive loop, direction (falls when its goal is met, rises with the pairing reversed)."""

import math

import pytest
import torch

from seminar_core.errors import UnknownNameError
from seminar_core.model.losses import (
    bce_loss,
    first_occurrence,
    hardest,
    heldout_items,
    info_nce,
    label_loss,
    masked_mean,
    neighbour_loss,
    ranking_loss,
    softmax_loss,
)


def naive_info_nce(first, second, valid, group, temperature):
    """Double loop over rows in both directions."""
    m, losses = len(first), []

    def cosine(a, b):
        return float(a @ b) / (float(a.norm()) * float(b.norm()))

    for i in range(m):
        if not valid[i]:
            continue
        own = cosine(first[i], second[i]) / temperature
        forward, back = math.exp(own), math.exp(own)
        for j in range(m):
            if j != i and valid[j] and group[j] != group[i]:
                forward += math.exp(cosine(first[i], second[j]) / temperature)
                back += math.exp(cosine(first[j], second[i]) / temperature)
        losses.append((math.log(forward) - own + math.log(back) - own) / 2)
    return sum(losses) / len(losses) if losses else 0.0


def test_softmax_loss_by_hand():
    logits = torch.tensor([[[math.log(3.0), 0.0], [0.0, 0.0]]])
    valid = torch.tensor([[True, True]])
    assert torch.isclose(softmax_loss(logits, valid), torch.tensor((math.log(4 / 3) + math.log(2)) / 2))
    assert torch.isclose(softmax_loss(logits, torch.tensor([[False, True]])), torch.tensor(math.log(2)))


def test_ranking_losses_equal_loops_over_targets_and_candidates():
    torch.manual_seed(0)
    logits, valid = torch.randn(3, 2, 5), torch.rand(3, 2) < 0.7
    allowed = torch.rand(3, 2, 5) < 0.7
    allowed[..., 0] = True
    softmax, bce = [], []
    for b in range(3):
        for p in range(2):
            if not valid[b, p]:
                continue
            positive = float(logits[b, p, 0])
            others = [float(logits[b, p, n]) for n in range(1, 5) if allowed[b, p, n]]
            softmax.append(math.log(sum(math.exp(x) for x in [positive, *others])) - positive)
            negative = [math.log(1 + math.exp(x)) for x in others]
            bce.append(math.log(1 + math.exp(-positive)) + sum(negative) / max(len(negative), 1))
    assert math.isclose(float(softmax_loss(logits, valid, allowed)), sum(softmax) / len(softmax), rel_tol=1e-5)
    assert math.isclose(float(bce_loss(logits, valid, allowed)), sum(bce) / len(bce), rel_tol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "bce"])
def test_ranking_losses_fall_with_the_positive_up_and_rise_with_it_down(kind):
    valid = torch.ones(1, 1, dtype=torch.bool)
    losses = [float(ranking_loss(kind, torch.tensor([[[x, 0.0, 0.5]]]), valid)) for x in (-2.0, 0.0, 2.0)]
    assert losses[0] > losses[1] > losses[2]


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="loss 'hinge' is not known; known: bce, softmax"):
        ranking_loss("hinge", torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))


def test_info_nce_equals_a_double_loop():
    torch.manual_seed(0)
    first, second = torch.randn(8, 4), torch.randn(8, 4)
    valid = torch.tensor([1, 1, 0, 1, 1, 1, 0, 1]).bool()
    group = torch.tensor([1, 2, 2, 3, 3, 4, 5, 6])
    got = info_nce(first, second, valid, group, 0.3)
    assert math.isclose(float(got), naive_info_nce(first, second, valid, group, 0.3), rel_tol=1e-5)


def test_info_nce_falls_when_pairs_agree_and_rises_when_the_pairing_is_reversed():
    torch.manual_seed(0)
    vectors = torch.randn(10, 6)
    everything, group = torch.ones(10, dtype=torch.bool), torch.arange(10)
    agree = info_nce(vectors, vectors, everything, group, 0.05)
    apart = info_nce(vectors, torch.randn(10, 6), everything, group, 0.05)
    reversed_ = info_nce(vectors, vectors.flip(0), everything, group, 0.05)
    assert float(agree) < 0.1 < float(apart) < float(reversed_)


def test_a_step_down_info_nce_raises_the_cosine_of_true_pairs():
    """The released soft target lowered it from .68 to .06 in 200 steps."""
    torch.manual_seed(0)
    base = torch.randn(40, 16)
    first, second = base.clone().requires_grad_(), (base + 0.8 * torch.randn(40, 16)).requires_grad_()
    everything, group = torch.ones(40, dtype=torch.bool), torch.arange(40)
    before = float(torch.cosine_similarity(first, second).mean().detach())
    optimiser = torch.optim.Adam([first, second], lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        info_nce(first, second, everything, group, 0.05).backward()
        optimiser.step()
    assert float(torch.cosine_similarity(first, second).mean().detach()) > before


def test_a_repeated_item_is_not_its_own_negative():
    first, second = torch.eye(3), torch.eye(3)
    first[1], second[1] = first[0], second[0]
    everything = torch.ones(3, dtype=torch.bool)
    together = info_nce(first, second, everything, torch.tensor([7, 7, 8]), 0.05)
    apart = info_nce(first, second, everything, torch.tensor([6, 7, 8]), 0.05)
    assert float(together) < 1e-6 < 0.3 < float(apart)


def test_nothing_valid_gives_zero_and_no_gradient():
    first = torch.randn(3, 2, requires_grad=True)
    loss = info_nce(first, torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool), torch.arange(3), 0.05)
    loss.backward()
    assert loss.item() == 0 and not first.grad.any()
    assert float(masked_mean(torch.ones(2), torch.zeros(2, dtype=torch.bool))) == 0


def test_hardest_keeps_the_positive_and_the_best_allowed_negatives():
    logits = torch.tensor([[[0.0, 5.0, 1.0, 3.0]]])
    allowed = torch.tensor([[[True, False, True, True]]])
    kept, may = hardest(logits, 2, allowed)
    assert kept[0, 0].tolist() == [0.0, 3.0, 1.0] and may.all()
    kept, may = hardest(logits, 3, allowed)
    assert may[0, 0].tolist() == [True, True, True, False]
    assert torch.isclose(
        softmax_loss(kept, torch.ones(1, 1).bool(), may), softmax_loss(logits, torch.ones(1, 1).bool(), allowed)
    )


def test_label_loss_reads_labelled_targets_alone():
    logits = torch.tensor([[0.0, 3.0, -1.0]])
    label = torch.tensor([[1, 0, -1]], dtype=torch.int8)
    expected = (math.log(2) + math.log(1 + math.exp(3))) / 2
    assert math.isclose(float(label_loss(logits, label, torch.ones(1, 3).bool())), expected, rel_tol=1e-6)
    better = label_loss(torch.tensor([[2.0, -2.0, 0.0]]), label, torch.ones(1, 3).bool())
    worse = label_loss(torch.tensor([[-2.0, 2.0, 0.0]]), label, torch.ones(1, 3).bool())
    assert float(better) < float(worse)


def test_held_out_items_are_a_seeded_tenth_without_row_zero():
    held = heldout_items(1000, 3)
    assert held.shape == (1001,) and held.sum() == 100 and not held[0]
    assert (held == heldout_items(1000, 3)).all() and (held != heldout_items(1000, 4)).any()


def test_first_occurrence_marks_each_value_once():
    assert first_occurrence(torch.tensor([4, 2, 4, 4, 2, 9])).tolist() == [True, True, False, False, False, True]


def test_the_neighbour_loss_equals_a_double_loop():
    torch.manual_seed(3)
    pair, item, log_q = torch.randn(9, 4), torch.randn(9, 4), torch.randn(9)
    person, rows = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4]), torch.tensor([5, 6, 7, 5, 8, 9, 9, 3, 2])
    valid = torch.tensor([True] * 7 + [False, True])
    losses = []

    def logit(a: int, b: int) -> float:
        return float(torch.cosine_similarity(pair[a], item[b], 0)) / 0.1 - float(log_q[b])

    for i in range(9):
        if not valid[i]:
            continue
        others = [j for j in range(9) if valid[j] and person[j] != person[i] and rows[j] != rows[i]]
        ahead = math.log(sum(math.exp(logit(i, j)) for j in [i, *others])) - logit(i, i)
        back = math.log(sum(math.exp(logit(j, i)) for j in [i, *others])) - logit(i, i)
        losses.append((ahead + back) / 2)
    found = neighbour_loss(pair, item, valid, person, rows, log_q, 0.1)
    assert math.isclose(float(found), sum(losses) / len(losses), rel_tol=1e-4)
    shifted = neighbour_loss(pair, item, valid, person, rows, log_q + 3, 0.1)
    assert torch.isclose(found, shifted, rtol=1e-4)
