"""Codebooks that learn with the ranker: gradients reach them, codes follow them, and a saved run has them."""

import numpy as np
import pytest
import torch

from seminar_core.errors import Cancelled, ConfigError
from seminar_core.model.codec import CodedTable, TrainedCodec
from seminar_core.model.tensors import life_tensors, target_tensors
from seminar_core.training.assembly import training_batches
from seminar_core.training.assess import evaluate_run
from seminar_core.training.finetune import finetune
from seminar_core.training.quantised import TrainedCodes
from seminar_core.training.recipe import FinetuneConfig
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import with_values
from tests.training.tiny_training import RANKER, tiny_workspace

END_TO_END = {**RANKER, "spec": "QC16,RQ3x4", "codebooks": "end-to-end"}


def trained(workspace, name, **changes):
    """A run of a few steps; its settings."""
    config = with_values(FinetuneConfig(), {**END_TO_END, **changes})
    finetune(workspace, "tiny", name, model="seminar-pq", config=config)
    return config


def test_a_coded_table_is_the_sum_of_its_centroids_brought_back():
    rng = np.random.default_rng(0)
    codes, centroids = rng.integers(0, 4, (6, 3)), rng.normal(size=(3, 4, 5)).astype(np.float32)
    restore, mean = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=7).astype(np.float32)
    present, encode = np.array([False, True, True, True, False, True]), np.zeros((7, 5), np.float32)
    table = CodedTable(*(torch.from_numpy(a) for a in (codes, centroids, restore, mean, present, encode)))
    rows = torch.tensor([2, 0, 2, 5])
    for row, vector in zip(rows.tolist(), table(rows).detach().numpy(), strict=True):
        expected = sum(centroids[s, codes[row, s]] for s in range(3)) @ restore + mean
        assert np.allclose(vector, expected * present[row], atol=1e-5)


def test_centroids_learn_and_a_saved_run_selects_by_them(tmp_path):
    workspace = tiny_workspace(tmp_path)
    config = trained(workspace, "run")
    first, last = (load_run(workspace, "run", stage=stage, device="cpu") for stage in ("before", "last"))
    codec = last.model.gsu.codec
    assert isinstance(codec, TrainedCodec)
    assert not torch.equal(codec.item.centroids, first.model.gsu.codec.item.centroids)
    again = TrainedCodes(first.model, first.material, config)  # as training began
    first.model.load_state_dict(last.model.state_dict())
    again.codec.item.codes.zero_()
    again.refresh()
    assert torch.equal(again.codec.item.codes, codec.item.codes)  # the saved codes are the best ones of the saved run
    answer = evaluate_run(workspace, "run", negatives=20, device="cpu")
    assert answer["metrics"]["MRR"] > 0


def test_a_resumed_run_finds_codes_in_the_space_that_was_saved_with_the_centroids(tmp_path):
    workspace = tiny_workspace(tmp_path)
    config = trained(workspace, "run")
    other, last = (load_run(workspace, "run", stage=stage, device="cpu") for stage in ("before", "last"))
    with torch.no_grad():  # what training begins from has changed meanwhile, and so have the transforms made of it
        for weights in other.model.channels.parameters():
            weights.add_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
    again = TrainedCodes(other.model, other.material, config)
    assert not torch.allclose(again.codec.item.encode, last.model.gsu.codec.item.encode, atol=1e-3)
    other.model.load_state_dict(last.model.state_dict())
    again.codec.item.codes.zero_()
    again.refresh()
    assert torch.equal(again.codec.item.codes, last.model.gsu.codec.item.codes)


def test_gradients_pass_straight_through_to_centroids_and_to_vectors(tmp_path):
    workspace = tiny_workspace(tmp_path)
    trained(workspace, "run", steps=1)
    run = load_run(workspace, "run", device="cpu")
    model = run.model.train()
    TrainedCodes(model, run.material, run.config)
    life, targets = training_batches(run.material, run.config.batches, 0).batch(0)
    model(life_tensors(life, "cpu"), target_tensors(targets, "cpu")).logits.sum().backward()
    assert model.gsu.codec.item.centroids.grad.any() and model.gsu.codec.query.centroids.grad.any()
    assert model.channels.id_embedding.grad.any()


@pytest.mark.parametrize("codebooks", ["two-step", "end-to-end"])
def test_stopped_between_validations_and_resumed_equals_uninterrupted(tmp_path, codebooks):
    def stop(done, total, message):
        if done == 8:
            raise Cancelled("asked to stop", hint="resume")

    workspace = tiny_workspace(tmp_path)
    config = trained(workspace, "whole", codebooks=codebooks)
    with pytest.raises(Cancelled):
        finetune(workspace, "tiny", "half", model="seminar-pq", config=config, orders=Orders(progress=stop))
    finetune(workspace, "tiny", "half", model="seminar-pq", config=config, orders=Orders(resume=True))
    whole, half = (load_run(workspace, n, stage="last", device="cpu").model.state_dict() for n in ("whole", "half"))
    for name, value in whole.items():
        assert torch.allclose(value.float(), half[name].float(), atol=1e-6), name


@pytest.mark.parametrize(
    "changes",
    [{"spec": "PQ8x4"}, {"spec": "SQ8"}, {"spec": "fused,RQ4x4"}, {"codebooks": "three-step"}],
    ids=lambda changes: "-".join(changes.values()),
)
def test_codes_that_cannot_learn_are_refused(tmp_path, changes):
    with pytest.raises(ConfigError, match="codebooks = "):
        trained(tiny_workspace(tmp_path), "run", **changes)
