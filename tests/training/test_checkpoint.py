"""Checkpoints round-trip, and refuse what was changed, cut short or made for something else."""

import errno
import json

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from seminar_core import files, sums
from seminar_core.errors import CorruptFileError, MissingFileError, NotReadyError, ShapeError, StaleError
from seminar_core.files import sha256_of
from seminar_core.training import checkpoint
from seminar_core.training.checkpoint import Fingerprint, load_weights, put_weights, resume_from, save_checkpoint
from tests.model.model_worlds import make_model

FINGERPRINT = Fingerprint("abc", 3, 2)


def layer(width=4, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(width, 2)


def stepped(model):
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(1, model.in_features)).sum().backward()
    optimiser.step()
    return optimiser


@pytest.fixture
def saved(tmp_path):
    model = layer()
    path = tmp_path / "best"
    save_checkpoint(path, model=model, optimisers=[stepped(model)], counters={"step": 3}, fingerprint=FINGERPRINT)
    return path, model


def test_weights_and_counters_read_back(saved):
    path, model = saved
    other = layer(seed=1)
    assert load_weights(path, other, FINGERPRINT)["counters"] == {"step": 3}
    assert torch.equal(other.weight, model.weight)


def test_weights_and_moments_are_summed_once_and_recorded_as_they_are(tmp_path, monkeypatch):
    read: list[str] = []

    def counted(path):
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(checkpoint, "sha256_of", counted)
    monkeypatch.setattr(sums, "sha256_of", counted)
    model = layer()
    save_checkpoint(tmp_path / "best", model=model, optimisers=[], counters={}, fingerprint=FINGERPRINT)
    assert sorted(read) == ["moments.safetensors", "state.json", "weights.safetensors"]
    assert not sums.problems(tmp_path / "best", full=True)
    assert set(sums.read_sums(tmp_path / "best")) == set(read)


def test_moments_and_generators_read_back(saved):
    path, _ = saved
    expected = torch.rand(3)
    other = layer(seed=1)
    optimiser = torch.optim.Adam(other.parameters(), lr=0.5)
    resume_from(path, other, [optimiser], FINGERPRINT)
    assert optimiser.param_groups[0]["lr"] == 0.1
    assert float(optimiser.state[other.weight]["step"]) == 1
    assert torch.equal(torch.rand(3), expected)


def test_an_older_checkpoint_is_replaced_as_a_whole(saved):
    path, model = saved
    (path / "stray").write_text("x")
    save_checkpoint(path, model=model, optimisers=[], counters={"step": 9}, fingerprint=FINGERPRINT)
    assert load_weights(path, layer(), FINGERPRINT)["counters"] == {"step": 9}
    assert not (path / "stray").exists() and [p.name for p in path.parent.iterdir()] == ["best"]


def test_a_full_disk_is_told_by_its_number_and_the_older_one_stays(saved, monkeypatch):
    path, model = saved

    def full(tensors, file):
        file.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_checkpoint(path, model=model, optimisers=[], counters={"step": 9}, fingerprint=FINGERPRINT)
    assert caught.value.errno == errno.ENOSPC and [p.name for p in path.parent.iterdir()] == ["best"]
    assert load_weights(path, layer(), FINGERPRINT)["counters"] == {"step": 3}


def test_another_width_names_both(saved):
    with pytest.raises(ShapeError, match=r"weight in checkpoint best has shape \(2, 4\), the model has \(2, 8\)"):
        load_weights(saved[0], layer(width=8), FINGERPRINT)


def test_another_model_names_what_is_missing(saved):
    with pytest.raises(ShapeError, match=r"missing \['0.bias', '0.weight'\], without a place \['bias', 'weight'\]"):
        load_weights(saved[0], nn.Sequential(layer()), FINGERPRINT)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (Fingerprint("abd", 3, 2), "dataset_hash = abc, the data set now has abd"),
        (Fingerprint("abc", 4, 2), "n_items = 3, the data set now has 4"),
    ],
)
def test_another_vocabulary_names_both(saved, changed, words):
    with pytest.raises(StaleError, match=words):
        load_weights(saved[0], layer(), changed)


@pytest.mark.parametrize("moment", ["sha256_of", "read_tensors"])
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(saved, monkeypatch, moment):
    path, _ = saved
    later, usual, times = layer(seed=7), getattr(checkpoint, moment), []

    def replaced_first(file):
        if not times:
            times.append(file)
            save_checkpoint(path, model=later, optimisers=[], counters={"step": 4}, fingerprint=FINGERPRINT)
        return usual(file)

    monkeypatch.setattr(checkpoint, moment, replaced_first)
    found = layer(seed=1)
    assert load_weights(path, found, FINGERPRINT)["counters"] == {"step": 4}
    assert times and torch.equal(found.weight, later.weight)


def test_a_checkpoint_is_there_again_after_the_moment_in_which_it_is_replaced(saved, monkeypatch):
    path, _ = saved
    away = path.rename(path.with_name("away"))
    monkeypatch.setattr(files.time, "sleep", lambda seconds: away.is_dir() and away.rename(path))
    assert load_weights(path, layer(), FINGERPRINT)["counters"] == {"step": 3}


def test_a_checkpoint_that_is_replaced_all_the_time_is_not_read_for_ever(saved, monkeypatch):
    path, model = saved
    monkeypatch.setattr(files, "_content", lambda path: object())
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    with pytest.raises(NotReadyError, match="replaced 20 times while it was read"):
        load_weights(path, model, FINGERPRINT)


def test_other_optimisers_are_refused(saved):
    model = layer()
    with pytest.raises(ShapeError, match="1 optimisers, the run has 0"):
        resume_from(saved[0], model, [], FINGERPRINT)
    with pytest.raises(ShapeError, match="moments"):
        resume_from(saved[0], model, [torch.optim.Adam([model.weight])], FINGERPRINT)


@pytest.mark.parametrize("name", ["weights.safetensors", "moments.safetensors"])
def test_a_truncated_tensor_file_is_corrupt(saved, name):
    path = saved[0] / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptFileError, match="changed or cut short"):
        load_weights(saved[0], layer(), FINGERPRINT)


def test_a_missing_part_is_corrupt(saved):
    (saved[0] / "weights.safetensors").unlink()
    with pytest.raises(CorruptFileError, match=r"weights\.safetensors is missing"):
        load_weights(saved[0], layer(), FINGERPRINT)


@pytest.mark.parametrize("edit", ["fingerprint", "sha256", "counters"])
def test_an_edited_state_is_corrupt(saved, edit):
    path = saved[0] / "state.json"
    state = json.loads(path.read_text())
    state[edit] = None if edit != "counters" else state.pop("counters") and 1
    if edit == "counters":
        state.pop("counters")
    path.write_text(json.dumps(state))
    with pytest.raises(CorruptFileError, match=r"state\.json"):
        load_weights(saved[0], layer(), FINGERPRINT)


def test_a_file_that_is_no_tensor_file_is_corrupt_even_with_the_right_sum(saved):
    import hashlib

    (saved[0] / "weights.safetensors").write_bytes(b"not tensors")
    path = saved[0] / "state.json"
    state = json.loads(path.read_text())
    state["sha256"]["weights.safetensors"] = hashlib.sha256(b"not tensors").hexdigest()
    path.write_text(json.dumps(state))
    (saved[0] / "sums.json").unlink()
    with pytest.raises(CorruptFileError, match="not a safetensors file"):
        load_weights(saved[0], layer(), FINGERPRINT)


def test_no_checkpoint_says_to_train(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        load_weights(tmp_path / "best", layer(), FINGERPRINT)


def test_moments_of_a_parameter_stored_by_columns_are_resumed_exactly(tmp_path):
    def task():
        torch.manual_seed(0)
        model = nn.Linear(3, 4, bias=False)
        model.weight = nn.Parameter(torch.randn(3, 4).t())
        return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def step(model, optimiser, number):
        optimiser.zero_grad()
        (model(torch.arange(3.0) + number) ** 2 * torch.arange(4.0)).sum().backward()
        optimiser.step()

    (whole, first), (half, second), (resumed, third) = task(), task(), task()
    for number in range(6):
        step(whole, first, number)
    for number in range(3):
        step(half, second, number)
    save_checkpoint(tmp_path / "c", model=half, optimisers=[second], counters={}, fingerprint=FINGERPRINT)
    resume_from(tmp_path / "c", resumed, [third], FINGERPRINT)
    for number in range(3, 6):
        step(resumed, third, number)
    assert torch.allclose(whole.weight, resumed.weight, atol=1e-6)


def test_a_checkpoint_of_before_the_short_term_branch_is_refused_with_the_way_out():
    now, before = make_model("seminar"), make_model("seminar", short_window=0, mass=False)
    with pytest.raises(ShapeError, match="best has no short-term branch: it was made by version") as caught:
        put_weights(before.state_dict(), now, "best")
    assert "train the run again" in caught.value.hint
    put_weights(before.state_dict(), make_model("seminar", seed=2, short_window=0, mass=False), "best")
