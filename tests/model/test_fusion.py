"""Fusion: weights, what is absent, and the errors of its settings."""

import pytest
import torch

from seminar_core.errors import ConfigError, UnknownNameError
from seminar_core.model.fusion import Fusion


def test_a_pair_by_hand():
    fusion = Fusion()
    item, query = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 0.0]])
    pair = fusion.pair(item, query, torch.tensor([True, False]))
    assert pair.tolist() == [[1.0, 2.0], [2.0, 0.0]]  # without a query the item alone
    paper = Fusion(query_absent="zero").pair(item, query, torch.tensor([True, False]))
    assert paper.tolist() == [[1.0, 2.0], [1.0, 0.0]]


def test_weights_are_shares():
    fusion = Fusion(alpha=0.3)
    with torch.no_grad():
        fusion.logits.copy_(torch.tensor([0.0, 1.0, -2.0]))
    weights = fusion.weights()
    assert weights.shape == (4,) and torch.isclose(weights.sum(), torch.tensor(1.0))
    assert torch.isclose(weights[0], torch.tensor(0.3))
    assert torch.allclose(weights[1:], 0.7 * torch.softmax(fusion.logits, 0))


def test_alpha_is_learned_only_when_asked():
    assert not any("alpha" in name for name, _ in Fusion().named_parameters())
    learned = Fusion(alpha=0.25, learn_alpha=True)
    assert torch.isclose(learned.alpha, torch.tensor(0.25))
    learned.weights()[0].backward()
    assert learned.alpha_logit.grad != 0


def test_a_channel_that_is_left_out_has_weight_zero():
    assert Fusion(enabled=("Q", "A", "I")).item_weights().tolist() == [0.5, 0.0, 0.5]
    assert Fusion(enabled=("A",)).weights().tolist() == [0.0, 1.0, 0.0, 0.0]


def test_renormalising_scales_the_present_channels_up():
    fusion = Fusion(item_absent="renormalise")
    present = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert torch.allclose(fusion.item_scale(present)[:, 0], torch.tensor([1.0, 3.0, 1.0]))
    assert Fusion().item_scale(present) is None


def test_settings_outside_their_range_are_refused():
    with pytest.raises(ConfigError, match="alpha is 1"):
        Fusion(alpha=1)
    with pytest.raises(UnknownNameError, match="query_absent 'none' is not known; known: item, zero"):
        Fusion(query_absent="none")
    with pytest.raises(UnknownNameError, match="item_absent"):
        Fusion(item_absent="none")
