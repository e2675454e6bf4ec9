"""`pretrain` on a tiny data set: what it leaves behind, what it refuses, and that it resumes exactly."""

import subprocess
import sys

import pytest
import torch

from seminar_core.data.opening import open_dataset
from seminar_core.errors import Cancelled, DivergedError, ExistsError, NotReadyError, StaleError, UnknownDatasetError
from seminar_core.files import read_json, read_lines, write_json
from seminar_core.processes import process_identity
from seminar_core.training.assembly import gather_material
from seminar_core.training.pretrain import pretrain, psu_task
from seminar_core.training.recipe import PretrainConfig
from seminar_core.training.run_files import list_runs, read_card, read_status
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import with_values
from tests.training.tiny_training import SMALL, tiny_workspace


def config(**changes):
    return with_values(PretrainConfig(), {**SMALL, **changes})


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    workspace = tiny_workspace(tmp_path_factory.mktemp("pretrained"))
    return workspace, pretrain(workspace, "tiny", "psu", config=config())


def test_the_answer_has_the_promised_keys(pretrained):
    _, answer = pretrained
    assert {"run", "steps", "seconds", "losses", "best_step", "examples_per_s"} <= answer.keys()
    assert set(answer["losses"]) == {"neighbour", "next_pair", "alignment", "relevance"} and answer["steps"] == 12


def test_the_run_directory_says_what_and_how_far(pretrained):
    workspace, _ = pretrained
    path = workspace.run_dir("psu")
    card, status = read_card(path), read_status(path)
    assert (card.kind, card.dataset, card.seed) == ("psu", "tiny", 0)
    assert status["state"] == "done" and status["steps"] == 12
    assert {"step-000000", "best", "last"} <= {p.name for p in (path / "checkpoints").iterdir()}
    assert any("loss/alignment" in line for line in read_lines(path / "metrics.jsonl"))
    assert read_json(path / "pretrain.json")["run"] == "psu"


def test_before_and_after_are_different_weights_of_one_model(pretrained):
    workspace, _ = pretrained
    before, last = (load_run(workspace, "psu", stage=stage, device="cpu") for stage in ("before", "last"))
    assert (before.step, last.step) == (0, 12)
    assert not torch.equal(before.model.channels.id_embedding, last.model.channels.id_embedding)
    assert torch.equal(before.model.channels.text_items, last.model.channels.text_items)


def test_a_taken_name_is_refused_and_replaced_only_when_asked(pretrained):
    workspace, _ = pretrained
    with pytest.raises(ExistsError, match=r"'psu' exists") as caught:
        pretrain(workspace, "tiny", "psu", config=config())
    assert "--overwrite" in caught.value.hint
    created = read_card(workspace.run_dir("psu")).created
    assert pretrain(workspace, "tiny", "other", config=config(steps=2))["steps"] == 2
    assert pretrain(workspace, "tiny", "other", config=config(steps=3), orders=Orders(overwrite=True))["steps"] == 3
    assert read_card(workspace.run_dir("psu")).created == created


@pytest.mark.parametrize("orders", [Orders(overwrite=True), Orders(resume=True)])
def test_a_run_that_another_process_trains_is_left_alone(pretrained, orders):
    workspace, _ = pretrained
    pretrain(workspace, "tiny", "busy", config=config(steps=2), orders=Orders(overwrite=True))
    path = workspace.run_dir("busy") / "status.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        write_json(path, {"state": "running", "pid": other.pid, "pid_identity": process_identity(other.pid)})
        with pytest.raises(NotReadyError, match=f"'busy' is being trained by process {other.pid}"):
            pretrain(workspace, "tiny", "busy", config=config(steps=3), orders=orders)
        assert read_json(path)["pid"] == other.pid
        other.communicate(b"\n")
    assert pretrain(workspace, "tiny", "busy", config=config(steps=2), orders=orders)["steps"] == 2


def test_an_objective_that_is_off_is_not_in_the_losses(pretrained):
    workspace, _ = pretrained
    answer = pretrain(
        workspace, "tiny", "next-only", config=config(neighbour=0, next_pair=1, alignment=0, relevance=0, steps=5)
    )
    assert answer["losses"]["alignment"] is None and answer["losses"]["neighbour"] is None
    assert answer["losses"]["next_pair"] > 0


def test_in_batch_negatives_are_further_rivals_of_the_next_pair(pretrained):
    workspace, _ = pretrained
    material = gather_material(open_dataset(workspace, "tiny"), config().encoders)

    def first_loss(count: int) -> float:
        settings = config(in_batch_negatives=count, next_pair=1, neighbour=0, alignment=0, relevance=0, gain=3)
        return psu_task(material, settings, "cpu").losses(0).parts["next_pair"].item()

    assert first_loss(0) < first_loss(2) < first_loss(5)  # a softmax over more rivals of the same kind costs more
    answer = pretrain(workspace, "tiny", "in-batch", config=config(in_batch_negatives=3, next_pair=1, steps=4))
    assert answer["losses"]["next_pair"] > 0
    assert load_run(workspace, "in-batch", device="cpu").model.in_batch_negatives == 3


def test_a_cancelled_run_is_stopped_and_goes_on_to_the_same_weights(pretrained):
    workspace, _ = pretrained

    def progress(done, total, message):
        if done == 7:
            raise Cancelled("asked to stop", hint="resume")

    with pytest.raises(Cancelled):
        pretrain(workspace, "tiny", "halved", config=config(), orders=Orders(progress=progress))
    assert read_status(workspace.run_dir("halved"))["state"] == "stopped"
    answer = pretrain(workspace, "tiny", "halved", config=config(), orders=Orders(resume=True))
    assert answer["steps"] == 12
    whole, parts = (load_run(workspace, name, stage="last", device="cpu").model for name in ("psu", "halved"))
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], atol=1e-6), name


def test_a_diverged_run_is_failed_and_keeps_its_best(pretrained):
    workspace, _ = pretrained
    with pytest.raises(DivergedError, match="not finite"):
        pretrain(workspace, "tiny", "hot", config=config(embedding_std=1e30))
    status = read_status(workspace.run_dir("hot"))
    assert status["state"] == "failed" and status["error"]["kind"] == "diverged"


def test_resuming_with_another_vocabulary_is_refused(pretrained, tmp_path):
    workspace = tiny_workspace(tmp_path)
    pretrain(workspace, "tiny", "psu", config=config(steps=2))
    tiny_workspace(tmp_path, seed=9)
    with pytest.raises(StaleError, match="dataset_hash"):
        pretrain(workspace, "tiny", "psu", config=config(), orders=Orders(resume=True))
    assert [row["stale"] for row in list_runs(workspace)["runs"] if row["run"] == "psu"] == [True]
    with pytest.raises(StaleError, match="was trained on version"):
        load_run(workspace, "psu", device="cpu")


def test_an_unknown_data_set_leaves_nothing_behind(workspace):
    with pytest.raises(UnknownDatasetError):
        pretrain(workspace, "none", "psu", config=config())
    assert not workspace.run_dir("psu").exists()
