"""The ranker against a naive loop over people, targets, candidates and events; prior, scoring, empty batches."""

import math

import numpy as np
import pytest
import torch

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.errors import ShapeError
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.fusion import Fusion
from seminar_core.model.scoring import scoring
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import HEADS, ITEMS, KEEP, make_batch, make_channels, make_model


def naive_pair(model, item: int, query: int) -> torch.Tensor:
    """f of one event, channel by channel, G applied."""
    vectors, _ = model.channels.items(torch.tensor([item]))
    asked, there = model.channels.queries(torch.tensor([query]))
    weights = model.fusion.item_weights()
    fused = sum(weights[m] * (model.projections.item[m] @ vectors[0, m]) for m in range(3))
    if not bool(there[0]):
        return fused
    return model.fusion.alpha * (model.projections.query @ asked[0]) + (1 - model.fusion.alpha) * fused


@torch.no_grad()
def naive_logit(model, life: LifeBatch, targets: TargetBatch, b: int, p: int, n: int) -> float:
    """One candidate's logit without a batch, a folded matrix or a table."""
    visible, d = int(targets.visible[b, p]), 16 // HEADS
    events = [naive_pair(model, int(life.item[b, l]), int(life.query[b, l])) for l in range(visible)]
    target = naive_pair(model, int(targets.item[b, p, n]), int(targets.query[b, p, n]))
    days = [(int(targets.time_s[b, p]) - int(life.time_s[b, l])) / 86_400 for l in range(visible)]
    heads, age, sharp = [], 0.0, 0.0
    for h in range(HEADS):
        part = slice(h * d, (h + 1) * d)
        query = model.score.query[part] @ target
        scores = [float(query @ (model.score.key[part] @ event)) / math.sqrt(d) for event in events]
        order = sorted(range(visible), key=lambda l, s=scores: (s[l], l), reverse=True)[:KEEP]
        total = sum(math.exp(scores[l]) for l in order)
        head = torch.zeros(d)
        for l in order:
            weight = math.exp(scores[l]) / total
            head += weight * (model.values.value[part] @ events[l])
            age += weight * math.log1p(days[l]) / 5 / HEADS
            sharp += (math.exp(scores[l]) / total if l == order[0] else 0.0) / HEADS
        heads.append(head)
    interest = model.values.output @ torch.cat(heads)
    gap = math.log1p(days[-1]) / 5 if visible else 0.0
    context = torch.tensor([math.log1p(visible) / 5, gap, age, sharp])
    logit = float(model.mlp(torch.cat([interest, target, context]))[0])
    logit += float(model.match_scale) * float(interest @ target)
    return logit + float(model.prior_scale) * float(model.item_prior[targets.item[b, p, n]])


def test_logits_equal_the_naive_computation():
    prior = torch.randn(ITEMS + 1)
    model = make_model("seminar", item_prior=prior, fusion=Fusion(alpha=0.4, learn_alpha=True)).eval()
    life, targets = make_batch(positions=2, candidates=3)
    with scoring(model) as score:
        fast = score(life, targets)
    for b, p, n in np.ndindex(*targets.item.shape):
        assert math.isclose(fast[b, p, n], naive_logit(model, life, targets, b, p, n), rel_tol=1e-3, abs_tol=1e-3)


def test_a_prior_orders_candidates_before_anything_is_learned():
    prior = torch.linspace(-3, 3, ITEMS + 1)
    model = build_model("seminar", channels=make_channels(embedding_std=1e-4), item_prior=prior)
    with torch.no_grad():
        for weight in model.channels.projection_parameters():
            weight.mul_(1e-4)
    life, targets = to_tensors(*make_batch())
    logits = model(life, targets).logits
    assert (prior[targets.item].gather(-1, logits.argsort(-1)).diff(dim=-1) >= 0).all()
    with pytest.raises(ShapeError, match="item_prior has 3 rows, expected 41"):
        make_model("seminar", item_prior=torch.zeros(3))


def test_the_whole_catalogue_can_be_the_candidates():
    model = make_model("seminar").eval()
    life, few = make_batch()
    everything = np.broadcast_to(np.arange(1, ITEMS + 1, dtype=np.int32), (len(life.item), 3, ITEMS))
    targets = TargetBatch(everything, np.zeros_like(everything), few.time_s, few.visible, few.valid, few.label)
    with scoring(model, cells=500) as score, torch.no_grad():
        assert np.allclose(score(life, targets), model(*to_tensors(life, targets)).logits.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_in_which_no_life_has_an_event_is_scored(name):
    _, targets = make_batch(lengths=(0, 0))
    nothing = np.zeros((2, 0), np.int32)
    life = LifeBatch(nothing, nothing, nothing.astype(np.int64), nothing.astype(bool))
    model = make_model(name).eval()
    logits = model(*to_tensors(life, targets)).logits
    assert logits.shape == targets.item.shape and torch.isfinite(logits).all()


def test_scoring_puts_training_mode_and_tables_back_even_after_an_error():
    model = make_model("seminar").train()
    with pytest.raises(ZeroDivisionError), scoring(model, cells=7):
        raise ZeroDivisionError
    assert model.training and model.cells is None and model.encoder().tables is None


def test_prepared_tables_follow_the_weights_of_each_evaluation():
    model = make_model("seminar")
    batch = make_batch()
    with scoring(model) as score:
        before = score(*batch)
    with torch.no_grad():
        model.channels.id_embedding[1:].add_(1.0)
    with scoring(model) as score:
        assert not np.allclose(score(*batch), before)
