"""What a GPU does differently, tested without one: no value is read back in a step, and both paths agree.

On `meta` tensors have shapes and no values: a step that reads a value back (which on CUDA makes the host wait) raises.
"""

import pytest
import torch
from test_psu import EVERY

from seminar_core.model import attention, lookup, pieces, psu
from seminar_core.model.baselines import MODELS
from seminar_core.model.losses import bce_loss
from seminar_core.model.tensors import LifeTensors, TargetTensors, to_tensors
from tests.model.model_worlds import make_batch, make_model, make_psu


def on_meta(batch):
    life, targets = batch
    names = LifeTensors.__dataclass_fields__, TargetTensors.__dataclass_fields__
    return (
        LifeTensors(*(getattr(life, name).to("meta") for name in names[0])),
        TargetTensors(*(getattr(targets, name).to("meta") for name in names[1])),
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_a_model_never_waits_for_the_device(name):
    model = make_model(name).train()
    if name == "seminar-pq":
        model.gsu.codec.item, model.gsu.codec.query = model.gsu.codec.item.to("meta"), model.gsu.codec.query.to("meta")
    model.to("meta")
    life, targets = on_meta(to_tensors(*make_batch()))
    output = model(life, targets)
    (bce_loss(output.logits, targets.valid) + sum(output.auxiliary.values())).backward()
    torch.optim.Adam(model.parameters(), foreach=True).step()


def test_a_step_of_pretraining_never_waits_for_the_device():
    model = make_psu(objectives=EVERY, in_batch_negatives=2, hard_negatives=3).to("meta")
    model(*on_meta(to_tensors(*make_batch()))).total.backward()


@pytest.fixture
def as_on_cuda(monkeypatch):
    for module in (attention, lookup, pieces, psu):
        monkeypatch.setattr(module, "on_cpu", lambda tensor: False)


@pytest.mark.parametrize("name", MODELS)
def test_the_path_of_a_gpu_gives_the_same_logits_and_gradients(name, request):
    found = []
    for path in ("cpu", "cuda"):
        if path == "cuda":
            request.getfixturevalue("as_on_cuda")
        model = make_model(name).train()
        life, targets = to_tensors(*make_batch())
        output = model(life, targets)
        (bce_loss(output.logits, targets.valid) + sum(output.auxiliary.values())).backward()
        found.append((output.logits.detach(), {n: p.grad for n, p in model.named_parameters()}))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert all(torch.allclose(found[1][1][n], g, atol=1e-5) for n, g in found[0][1].items())


def test_the_path_of_a_gpu_gives_the_same_pretraining_losses(request):
    found = []
    for path in ("cpu", "cuda"):
        if path == "cuda":
            request.getfixturevalue("as_on_cuda")
        model = make_psu(objectives={"next_pair": 1.0, "alignment": 1.0, "relevance": 1.0}, sample=10_000)
        output = model(*to_tensors(*make_batch()))
        output.total.backward()
        found.append((output.losses, {n: p.grad for n, p in model.named_parameters()}))
    assert all(torch.isclose(found[0][0][n], found[1][0][n], atol=1e-5) for n in found[0][0])
    assert all(torch.allclose(found[1][1][n], g, atol=1e-4) for n, g in found[0][1].items())


def test_ties_are_broken_alike_on_both_paths(monkeypatch):
    scores = torch.randint(0, 3, (2, 2, 3, 2, 15)).float()
    allowed = (torch.arange(15) < torch.tensor([[15, 3], [7, 0]]).unsqueeze(-1))[:, :, None, None, :]
    here = attention.keep_best(scores, allowed, 4) > -torch.inf
    monkeypatch.setattr(attention, "on_cpu", lambda tensor: False)
    assert torch.equal(here, attention.keep_best(scores, allowed, 4) > -torch.inf)


@pytest.mark.parametrize("seed", [0, 1])
def test_pretraining_works_in_bfloat16(seed):
    model = make_psu(seed, objectives=EVERY)
    batch = to_tensors(*make_batch(seed))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(*batch, torch.Generator().manual_seed(0))
    output.total.backward()
    exact = model(*batch, torch.Generator().manual_seed(0))
    for name, loss in output.losses.items():
        assert torch.isclose(loss.float(), exact.losses[name], rtol=0.15), name
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
