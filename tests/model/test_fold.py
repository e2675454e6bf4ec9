"""Folding: the sum over channels of the folded products is the model's own first-stage score."""

import numpy as np
import pytest
import torch

from seminar_core.errors import ChannelWeightsError, ConfigError, NotLinearError
from seminar_core.model.baselines import MODELS
from seminar_core.model.fusion import Fusion
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import HEADS, ITEMS, QUERIES, make_batch, make_channels, make_model, make_psu


def folded_scores(model, folded, item: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(H, n) by the documented formula alone, from channel vectors."""
    vectors = model.channel_vectors()
    scale = np.where(vectors.query_present[query], 1.0, folded.item_scale_without_query)
    items = np.einsum("hcd,ncd->hn", folded.u[:, 1:], vectors.item[item]) * scale
    return items + folded.u[:, 0] @ vectors.query[query].T


@pytest.mark.parametrize("query_absent", ["item", "zero"])
@pytest.mark.parametrize("item_absent", ["keep", "renormalise"])
@pytest.mark.parametrize("kind", ["seminar", "psu"])
def test_folded_scores_are_the_models_own(kind, query_absent, item_absent):
    fusion = Fusion(alpha=0.35, learn_alpha=True, query_absent=query_absent, item_absent=item_absent)
    model = make_psu(fusion=fusion) if kind == "psu" else make_model("seminar", fusion=fusion)
    life, targets = make_batch()
    tensors = to_tensors(life, targets)
    scores = (model.search(*tensors) if kind == "psu" else model.inspect(*tensors)).scores.detach().numpy()
    for b, p, n in ((0, 0, 0), (2, 1, 3), (4, 2, 4)):
        folded = model.fold(int(targets.item[b, p, n]), int(targets.query[b, p, n]))
        got = folded_scores(model, folded, life.item[b], life.query[b])
        assert np.allclose(got, scores[b, p, n], atol=1e-5)


def weighted_pair(model, item: int, query: int, weights: np.ndarray) -> torch.Tensor:
    """f of one event under explicit weights, channel by channel."""
    vectors, _ = model.channels.items(torch.tensor([item]))
    asked, there = model.channels.queries(torch.tensor([query]))
    turns = model.projections.all()
    pair = sum(weights[m + 1] * (turns[m + 1] @ vectors[0, m]) for m in range(3))
    if bool(there[0]):
        return pair + weights[0] * (turns[0] @ asked[0])
    mass = weights[1:].sum()
    return pair / mass if mass > 0 else torch.zeros(model.channels.width)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (0, 2, 0, 1), (3, 0, 1, 0), (1, 0, 0, 0)])
@pytest.mark.parametrize("query", [0, 4])
def test_explicit_weights_are_normalised_and_used_on_both_sides(weights, query):
    model = make_model("seminar")
    if query == 0 and not any(weights[1:]):
        with pytest.raises(ChannelWeightsError, match="none of the channels that carry weight"):
            model.fold(3, 0, weights)
        return
    shares = np.array(weights, float) / sum(weights)
    folded = model.fold(3, query, weights)
    again = model.fold(3, query, [10 * w for w in weights])
    assert np.allclose(folded.u, again.u)
    item, asked = np.arange(1, 13), np.array([0, 1, 2] * 4)
    got = folded_scores(model, folded, item, asked)
    with torch.no_grad():
        target = weighted_pair(model, 3, query, shares)
        events = torch.stack([weighted_pair(model, i, q, shares) for i, q in zip(item, asked, strict=True)])
        expected = model.score.fold(target) @ events.t()
    assert np.allclose(got, expected.numpy(), atol=1e-5)
    if not any(weights[1:]):
        assert folded.item_scale_without_query == 0 and not got[:, asked == 0].any()


def test_the_scale_of_events_without_a_query_is_what_the_documents_say():
    assert make_model("seminar", fusion=Fusion(alpha=0.2)).fold(1).item_scale_without_query == pytest.approx(1 / 0.8)
    assert make_model("seminar", fusion=Fusion(query_absent="zero")).fold(1).item_scale_without_query == 1
    assert make_model("seminar").fold(1, 0, (1, 1, 0, 2)).item_scale_without_query == pytest.approx(4 / 3)


def test_many_targets_fold_as_each_alone():
    model = make_model("seminar")
    item, query = np.array([1, 7, 9]), np.array([0, 2, 0])
    u, _ = model.fold_many(item, query)
    assert u.shape == (3, HEADS, 4, 16) and u.dtype == np.float32
    assert all(np.allclose(u[i], model.fold(int(item[i]), int(query[i])).u, atol=1e-6) for i in range(3))


def test_weights_that_are_none_are_refused_with_the_value():
    model = make_model("seminar")
    for bad, words in (
        ((0, 0, 0, 0), "all four weights are zero"),
        ((1, -1, 0, 0), "must be finite and not negative"),
        ((1, float("nan"), 0, 0), "must be finite"),
        ((1, 1, 1), "not four numbers"),
    ):
        with pytest.raises(ChannelWeightsError, match=words):
            model.fold(1, 0, bad)
    absent = int(torch.nonzero(~model.channels.text_present[1:])[0, 0]) + 1
    with pytest.raises(ChannelWeightsError, match=f"item row {absent} has none of the channels"):
        model.fold(absent, 0, (0, 0, 1, 0))
    with pytest.raises(ConfigError, match=rf"item rows 99\.\.99 lie outside 0\.\.{ITEMS}"):
        model.fold(99)
    with pytest.raises(ConfigError, match=rf"outside 0\.\.{QUERIES}"):
        model.fold(1, 99)


@pytest.mark.parametrize("name", MODELS)
def test_only_models_with_a_linear_first_stage_fold(name):
    model = make_model(name)
    assert model.linear_first_stage == (name in ("seminar", "seminar-pq"))
    if not model.linear_first_stage:
        with pytest.raises(NotLinearError, match="no inner product"):
            model.fold(1)


def test_channel_vectors_are_zero_where_absent_and_before_g():
    model = make_model("seminar")
    vectors = model.channel_vectors()
    assert vectors.item.shape == (ITEMS + 1, 3, 16) and vectors.query.shape == (QUERIES + 1, 16)
    assert not vectors.item[~vectors.item_present].any() and not vectors.item[0].any() and not vectors.query[0].any()
    own, _ = model.channels.items(torch.arange(ITEMS + 1))
    assert np.array_equal(vectors.item, own.detach().numpy())


def test_a_model_without_queries_folds():
    model = make_model("seminar", channels=make_channels(disabled=("Q",)))
    folded = model.fold(3, 0)
    assert not folded.u[:, 0].any() and folded.item_scale_without_query == 1
