"""The ranker against a naive loop over people, targets, candidates and events; prior, scoring, empty batches."""

import math

import numpy as np
import pytest
import torch

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.errors import ShapeError
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.fusion import Fusion
from seminar_core.model.ranker import PARTS
from seminar_core.model.scoring import scoring
from seminar_core.model.search import begin
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


def naive_attention(score, values, events, target, ages, keep):
    """Interest, mass by head, and the kept weights by head of one target, head by head and event by event."""
    d = score.head_width
    heads, masses, kept = [], [], []
    for h in range(HEADS):
        part = slice(h * d, (h + 1) * d)
        slope = 0.0 if score.recency is None else float(score.recency[h])
        query = score.query[part] @ target
        scores = [
            float(query @ (score.key[part] @ e)) / math.sqrt(d) + slope * a for e, a in zip(events, ages, strict=True)
        ]
        order = sorted(range(len(events)), key=lambda l, s=scores: (s[l], l), reverse=True)[:keep]
        total = sum(math.exp(scores[l]) for l in order)
        kept.append({l: math.exp(scores[l]) / total for l in order})
        masses.append(math.log(total) if order else 0.0)
        heads.append(sum((w * (values.value[part] @ events[l]) for l, w in kept[-1].items()), torch.zeros(d)))
    return values.output @ torch.cat(heads), torch.tensor(masses), kept


@torch.no_grad()
def naive_parts(model, life: LifeBatch, targets: TargetBatch, b: int, p: int, n: int) -> dict[str, float]:
    """What one candidate's logit is made of, without a batch, a folded matrix or a table."""
    visible = int(targets.visible[b, p])
    rows = [(int(life.item[b, l]), int(life.query[b, l])) for l in range(visible)]
    events = [naive_pair(model, *row) for row in rows]
    row = int(targets.item[b, p, n]), int(targets.query[b, p, n])
    target, item = naive_pair(model, *row), naive_pair(model, row[0], 0)
    ages = [math.log1p((int(targets.time_s[b, p]) - int(life.time_s[b, l])) / 86_400) for l in range(visible)]
    interest, mass, kept = naive_attention(model.score, model.values, events, target, ages, KEEP)
    age = sum(w * ages[l] for head in kept for l, w in head.items()) / 5 / HEADS
    sharp = sum(max(head.values(), default=0.0) for head in kept) / HEADS
    context = torch.tensor([math.log1p(visible) / 5, ages[-1] / 5 if visible else 0.0, age, sharp])
    short, window = model.short, model.short.window
    recent, since = events[-window:], ages[-window:]
    short_interest, short_mass, _ = naive_attention(short.score, short.values, recent, target, since, window)
    likeness = torch.zeros(3)
    for k, t in enumerate(short.log_temperatures.exp().tolist()):
        near = [float(torch.cosine_similarity(item, event, 0)) for event in recent]
        likeness[k] = math.log(sum(math.exp((c - 1) / t) for c in near)) if near else 0.0
    inputs = torch.cat([interest, target, context, short_interest, mass / 5, short_mass / 5, likeness / 5])
    return {
        "long": float(model.match_scale * (interest @ target) + mass @ model.mass_scale),
        "short": float(model.short_match_scale * (short_interest @ target) + short_mass @ model.short_mass_scale),
        "direct": float(likeness @ model.likeness_scale),
        "prior": float(model.prior_scale * model.item_prior[row[0]]),
        "mlp": float(model.mlp(inputs)[0]),
    }


def model_of_learned_scales(window: int):
    """Every scale away from where it starts, so that a term in the wrong place shows."""
    model = make_model(
        "seminar", item_prior=torch.randn(ITEMS + 1), fusion=Fusion(alpha=0.4, learn_alpha=True), short_window=window
    )
    with torch.no_grad():
        for parameter in (model.mass_scale, model.short_mass_scale, model.likeness_scale, model.short.score.recency):
            parameter.copy_(torch.randn(len(parameter)) * 0.3)
        model.short_match_scale.fill_(0.7)
    return model.eval()


@pytest.mark.parametrize("window", [3, 50])
def test_logits_equal_the_naive_computation(window):
    """Also where the window is shorter than the life, and where the life is shorter than the window or empty."""
    model = model_of_learned_scales(window)
    life, targets = make_batch(positions=2, candidates=3)
    with scoring(model) as score:
        fast = score(life, targets)
    for b, p, n in np.ndindex(*targets.item.shape):
        expected = sum(naive_parts(model, life, targets, b, p, n).values())
        assert math.isclose(fast[b, p, n], expected, rel_tol=1e-3, abs_tol=1e-3)


@torch.no_grad()
def test_every_part_of_the_logit_equals_the_naive_one_and_they_add_up():
    model = model_of_learned_scales(3)
    life, targets = make_batch(positions=2, candidates=3)
    search = begin(*to_tensors(life, targets), model.encoder(), model.score, "pair")
    attended = model.esu(search, model.gsu(search), model.values)
    parts = model.parts(search, attended, model.recent(search))
    assert list(parts) == list(PARTS)
    assert torch.allclose(sum(parts.values()), model(*to_tensors(life, targets)).logits, atol=1e-5)
    for b, p, n in np.ndindex(*targets.item.shape):
        for name, value in naive_parts(model, life, targets, b, p, n).items():
            assert math.isclose(float(parts[name][b, p, n]), value, rel_tol=1e-3, abs_tol=1e-3), name


def test_the_short_term_branch_reads_nothing_at_or_after_the_targets_time():
    """Events that share the target's second are not visible: changing them changes no logit."""
    model = model_of_learned_scales(3)
    life, targets = make_batch(positions=2, candidates=3)
    changed = life.item.copy()
    for b in range(len(changed)):
        changed[b, int(targets.visible[b].max()) :] = 1 + (changed[b, int(targets.visible[b].max()) :] + 7) % ITEMS
    other = LifeBatch(changed, life.query, life.time_s, life.valid)
    with scoring(model) as score:
        assert (changed != life.item).any() and np.array_equal(score(life, targets), score(other, targets))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_without_the_short_term_branch_and_what_says_how_much(name):
    plain = make_model(name, short_window=0, mass=False, likeness=False)
    assert not [n for n, _ in plain.named_parameters() if "short" in n or "mass" in n or "likeness" in n]
    full = [n for n, _ in make_model(name).named_parameters()]
    assert "short_mass_scale" in full and "likeness_scale" in full
    life, targets = to_tensors(*make_batch())
    assert torch.isfinite(plain(life, targets).logits).all() if name != "seminar-pq" else True


def test_a_prior_orders_candidates_before_anything_is_learned():
    prior = torch.linspace(-3, 3, ITEMS + 1)
    model = build_model("seminar", channels=make_channels(embedding_std=1e-4), item_prior=prior, likeness=False)
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
