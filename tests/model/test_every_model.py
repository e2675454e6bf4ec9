"""What every model must pass: one suite, every name of `MODELS`."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.model import pieces
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.losses import bce_loss
from seminar_core.model.scoring import scoring
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import ITEMS, QUERIES, attach_codec, categories, make_batch, make_channels, make_model

pytestmark = pytest.mark.parametrize("name", MODELS)


def logits_of(model, life: LifeBatch, targets: TargetBatch) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(*to_tensors(life, targets)).logits.numpy()


def rows(batch, part: slice):
    return type(batch)(*(getattr(batch, field)[part] for field in batch.__dataclass_fields__))


def test_a_batch_of_one_equals_a_row_of_a_batch(name):
    model = make_model(name)
    life, targets = make_batch()
    together = logits_of(model, life, targets)
    for b in range(len(life.item)):
        alone = logits_of(model, rows(life, slice(b, b + 1)), rows(targets, slice(b, b + 1)))
        assert np.allclose(alone[0], together[b], atol=1e-5)


def test_each_target_and_candidate_is_scored_on_its_own(name):
    model = make_model(name)
    life, targets = make_batch()
    together = logits_of(model, life, targets)
    one = TargetBatch(
        targets.item[:, 1:2, 2:3], targets.query[:, 1:2, 2:3], targets.time_s[:, 1:2], targets.visible[:, 1:2],
        targets.valid[:, 1:2], targets.label[:, 1:2],
    )  # fmt: skip
    assert np.allclose(logits_of(model, life, one)[:, 0, 0], together[:, 1, 2], atol=1e-5)


def test_padding_changes_nothing(name):
    model = make_model(name)
    life, targets = make_batch()
    padded = LifeBatch(*(np.pad(getattr(life, f), ((0, 0), (0, 9))) for f in ("item", "query", "time_s", "valid")))
    rubbish = LifeBatch(
        np.where(padded.valid, padded.item, 3), np.where(padded.valid, padded.query, 2), padded.time_s, padded.valid
    )
    expected = logits_of(model, life, targets)
    assert np.allclose(logits_of(model, padded, targets), expected, atol=1e-5)
    assert np.allclose(logits_of(model, rubbish, targets), expected, atol=1e-5)


def test_nothing_at_or_after_the_target_is_seen(name):
    model = make_model(name)
    life, targets = make_batch()
    later = np.arange(life.item.shape[1]) >= targets.visible[:, :1]
    changed = LifeBatch(
        np.where(later & life.valid, life.item % ITEMS + 1, life.item).astype(np.int32),
        np.where(later & life.valid, life.query % QUERIES + 1, life.query).astype(np.int32),
        np.where(later, life.time_s + 99_999, life.time_s),
        life.valid,
    )
    before, after = logits_of(model, life, targets), logits_of(model, changed, targets)
    assert np.array_equal(before[:, 0], after[:, 0])
    assert not np.allclose(before[:, -1], after[:, -1])  # the last target does see what changed


def test_a_life_without_events_gives_the_zero_interest(name):
    model = make_model(name)
    life, targets = to_tensors(*make_batch(lengths=(0, 5)))
    interest = model(life, targets).interest
    assert not interest[0].any() and interest[1, -1].any() and torch.isfinite(interest).all()


def test_every_trained_tensor_gets_a_gradient(name):
    model = make_model(name).train()
    life, targets = to_tensors(*make_batch())
    output = model(life, targets)
    (bce_loss(output.logits, targets.valid) + sum(output.auxiliary.values())).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_all_state_saves_and_loads_to_equal_output(name, tmp_path):
    model, other = make_model(name, seed=0), make_model(name, seed=5)
    if name == "seminar-pq":
        other.gsu.codec = model.gsu.codec
    life, targets = make_batch()
    expected = logits_of(model, life, targets)
    assert not np.allclose(logits_of(other, life, targets), expected)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert np.array_equal(logits_of(other, life, targets), expected)


def test_all_state_moves(name):
    """On `meta` a tensor that is not registered stays behind; a changed precision shows the same on any machine."""
    model = make_model(name)
    moved = copy.deepcopy(model).to("meta")
    assert {t.device.type for t in [*moved.parameters(), *moved.buffers()]} == {"meta"}
    stray = [
        f"{where}.{key}"
        for where, module in moved.named_modules()
        for key, value in vars(module).items()
        if torch.is_tensor(value) and not key.startswith("_")
    ]
    assert stray == []


def test_the_prepared_path_in_pieces_equals_the_naive_one(name):
    model = make_model(name)
    life, targets = make_batch()
    expected = logits_of(model, life, targets)
    for cells in (None, 200, 1):
        with scoring(model, cells=cells) as score:
            assert np.allclose(score(life, targets), expected, atol=1e-5)


def test_gradients_in_pieces_equal_gradients_at_once(name, monkeypatch):
    found = []
    for cells, memory in ((10**9, 10**9), (150, 10**9), (150, 0)):
        monkeypatch.setitem(pieces.MEMORY_CELLS, "cpu", memory)
        model = make_model(name).train()
        model.cells = cells
        life, targets = to_tensors(*make_batch())
        output = model(life, targets)
        (bce_loss(output.logits, targets.valid) + sum(output.auxiliary.values())).backward()
        found.append({n: p.grad for n, p in model.named_parameters()})
    for other in found[1:]:
        assert all(torch.allclose(other[n], g, atol=1e-5) for n, g in found[0].items())


def test_inspection_shows_what_the_pass_used(name):
    model = make_model(name).eval()
    life, targets = to_tensors(*make_batch())
    seen = model.inspect(life, targets)
    shape = (*targets.item.shape, model.heads, life.item.shape[1])
    assert seen.kept.shape == shape
    allowed = torch.arange(shape[-1]) < targets.visible.view(*targets.visible.shape, 1, 1, 1)
    assert not (seen.kept & ~allowed).any()
    assert torch.allclose(seen.logits, model(life, targets).logits)
    if seen.weights is not None:
        total = seen.weights.sum(-1)
        some = seen.kept.any(-1)
        assert torch.allclose(total[some], torch.tensor(1.0), atol=1e-5) and not total[~some].any()
        assert not seen.weights[~seen.kept].any()


def test_bfloat16_products_train(name):
    model = make_model(name).train()
    life, targets = to_tensors(*make_batch())
    with torch.autocast("cpu", torch.bfloat16):
        output = model(life, targets)
        loss = bce_loss(output.logits, targets.valid) + sum(output.auxiliary.values())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    exact = model(life, targets).logits
    error = (output.logits.float() - exact).abs().max() / exact.abs().max()
    assert error < 0.35  # a kept set may differ by an event; the logits stay in the same place


def test_a_model_works_without_queries_and_without_frozen_channels(name):
    disabled = ("Q",) if name == "muse" else ("Q", "T", "I")
    model = build_model(name, channels=make_channels(disabled=disabled), keep=4, category=categories())
    if name == "seminar-pq":
        attach_codec(model)
    life, targets = to_tensors(*make_batch())
    bce_loss(model(life, targets).logits, targets.valid).backward()
    assert model.channel_vectors().query.shape == (QUERIES + 1, 16)


def test_more_tasks_add_heads(name):
    model = make_model(name, tasks=2)
    life, targets = to_tensors(*make_batch())
    output = model(life, targets)
    assert output.logits.shape == (*targets.item.shape, 2)
    assert torch.equal(model.rank(life, targets), output.logits[..., 0])


def test_the_same_seed_builds_the_same_model(name):
    one, two, other = make_model(name), make_model(name), make_model(name, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
