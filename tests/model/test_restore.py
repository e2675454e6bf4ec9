"""Restore and finetune: equality right after restoring, three freezes, what does not fit is named."""

import pytest
import torch

from seminar_core.errors import ShapeError
from seminar_core.model.baselines import build_model
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import bce_loss
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import make_batch, make_channels, make_model, make_psu


@pytest.mark.parametrize("learn_alpha", [False, True])
@pytest.mark.parametrize("recency", [False, True])
def test_right_after_restoring_scores_kept_sets_and_interests_are_the_psus(learn_alpha, recency):
    psu = make_psu(seed=1, recency=recency, fusion=Fusion(alpha=0.3, learn_alpha=learn_alpha))
    ranker = make_model("seminar", seed=2, recency=recency, fusion=Fusion(alpha=0.7, learn_alpha=learn_alpha))
    with torch.no_grad():
        ranker.projections.item.copy_(torch.eye(16).expand(3, -1, -1))
        ranker.projections.query.copy_(torch.eye(16))
    batch = to_tensors(*make_batch())
    before = ranker.inspect(*batch)
    ranker.restore(psu)
    after, search = ranker.inspect(*batch), psu.search(*batch)
    selected = psu.gsu(search)
    assert not torch.allclose(before.scores, after.scores)
    assert torch.allclose(after.scores, search.scores, atol=1e-6)
    assert torch.equal(after.kept, selected.kept)
    assert torch.allclose(after.interest, psu(*batch).interest, atol=1e-6)


def test_restoring_copies_every_tensor_of_the_psu():
    psu, ranker = make_psu(seed=1), make_model("seminar", seed=2)
    copied = ranker.restore(psu)
    assert set(copied) == set(psu.state_dict())
    own = ranker.state_dict()
    assert all(torch.equal(own[name], value) for name, value in psu.state_dict().items())
    assert own["channels.id_embedding"].data_ptr() != psu.channels.id_embedding.data_ptr()


def test_a_restored_ranker_starts_from_the_psus_order():
    """The MLP is new and small, so that interest . f(pair) decides at first."""
    psu, batch = make_psu(seed=1), to_tensors(*make_batch())
    ranker = build_model("seminar", channels=make_channels(2), heads=4, keep=4, short_window=0)
    ranker.restore(psu)
    difference = ranker(*batch).logits - psu(*batch).logits
    assert float(difference.abs().max()) < 0.1 < float(psu(*batch).logits.std())


def test_the_short_term_branch_begins_as_the_long_one():
    ranker = make_model("seminar", seed=2)
    ranker.restore(make_psu(seed=1))
    for name in ("score.query", "score.key", "values.value", "values.output"):
        assert torch.equal(ranker.get_parameter(f"short.{name}"), ranker.get_parameter(name))


@pytest.mark.parametrize("name", ["avgpool", "sdim", "din", "twin"])
def test_other_models_restore_what_they_have(name):
    psu, model = make_psu(seed=1, recency=name == "twin"), make_model(name, seed=2)
    copied = model.restore(psu)
    missing = set(psu.state_dict()) - set(copied)
    assert missing == ({n for n in psu.state_dict() if n.startswith("score.")} if model.score is None else set())


def test_what_does_not_fit_is_named_with_both_shapes():
    psu = make_psu()
    narrow = make_model("seminar", channels=make_channels(width=8))
    with pytest.raises(ShapeError, match=r"id_embedding has shape \(41, 16\) in the pretrained run and \(41, 8\) here"):
        narrow.restore(psu)
    learned = make_psu(fusion=Fusion(learn_alpha=True))
    with pytest.raises(ShapeError, match=r"has fusion\.alpha_logit and this model has no place"):
        make_model("seminar").restore(learned)


@pytest.mark.parametrize(
    ("switch", "part"),
    [
        ("embeddings", {"channels.id_embedding", "channels.attribute_embedding", "channels.token_embedding"}),
        (
            "projections",
            {f"channels.{n}_projection.weight" for n in ("text", "image", "query")},
        ),
        ("g", {"projections.query", "projections.item"}),
    ],
)
def test_each_freeze_keeps_its_part_and_nothing_else(switch, part):
    model = make_model("seminar")
    model.freeze(**{switch: True})
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    life, targets = to_tensors(*make_batch())
    bce_loss(model(life, targets).logits, targets.valid).backward()
    optimiser.step()
    still = {n for n, p in model.named_parameters() if torch.equal(p, before[n])}
    assert still == part
    model.freeze()
    assert all(p.requires_grad for p in model.parameters())
