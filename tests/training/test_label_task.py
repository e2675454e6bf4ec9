"""The data's labels as a further task: a head of its own that learns them, beside the ranking that never sees a 0."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny import write_table

from app.stations.training import menu
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError, EmptyDataError
from seminar_core.evaluation.metrics import mean_metrics
from seminar_core.evaluation.protocol import label_metrics
from seminar_core.evaluation.questions import ask
from seminar_core.files import read_lines
from seminar_core.model.ranker import LABEL_TASK
from seminar_core.training.assembly import gather_material, measure, scorer, training_batches
from seminar_core.training.assess import evaluate_run, labels
from seminar_core.training.finetune import finetune, ranker_task
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.run_files import read_card
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import load_config, to_toml, with_values
from seminar_core.workspace import Workspace
from tests.training.tiny_training import RANKER, SMALL, tiny_workspace

MODELS = ("seminar", "din", "seminar-pq")


def config(**changes) -> FinetuneConfig:
    return with_values(FinetuneConfig(), {**RANKER, "steps": 6, "evaluate_every": 3, "tasks": "next,label", **changes})


def relabelled(folder: Path, change, people: int = 24) -> Workspace:
    """A workspace whose data set "tiny" has the labels (with None) that `change` makes of the generated ones."""
    path = write_table(folder / "table", people=people, items=80, shortest=12, longest=40)
    events = pq.read_table(path / "events.parquet")
    column = pa.array(change(events["label"].to_pylist()), pa.int8())
    pq.write_table(events.set_column(events.column_names.index("label"), "label", column), path / "events.parquet")
    workspace = Workspace(folder / "workspace")
    import_table(workspace, path, "tiny")
    return workspace


def shuffled(labels: list[int | None]) -> list[int | None]:
    return [labels[at] for at in np.random.default_rng(0).permutation(len(labels))]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return tiny_workspace(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Workspace:
    """150 lives in which a label is 1 exactly where the item's category is one of the person's favourites."""
    return relabelled(tmp_path_factory.mktemp("planted"), list, people=150)


LEARN = {"width": 32, "steps": 120, "evaluate_every": 60, "batch_size": 12, "learning_rate": 5e-3, "seconds": 1000}


@pytest.mark.parametrize("model", MODELS)
def test_the_head_learns_a_planted_rule(planted, model):
    finetune(planted, "tiny", f"rule-{model}", model=model, config=config(**LEARN))
    run = load_run(planted, f"rule-{model}", stage="last", device="cpu")
    answer = labels(run)
    assert answer is not None and answer["n"] > 200
    assert answer["task"] == "label" and answer["label_AUC"] > 0.8 and answer["GAUC"] > 0.8
    with scorer(run.model, "cpu", LABEL_TASK) as score:
        told = label_metrics(score, run.dataset, run.material.split, max_length=run.max_length)
    assert answer["log_loss"] == pytest.approx(told["log_loss"]) and answer["log_loss"] < 0.6  # a coin: .69


def test_on_shuffled_labels_the_head_learns_nothing(tmp_path):
    workspace = relabelled(tmp_path, shuffled, people=150)
    finetune(workspace, "tiny", "noise", model="seminar", config=config(**LEARN))
    answer = labels(load_run(workspace, "noise", stage="last", device="cpu"))
    assert answer is not None and abs(answer["label_AUC"] - 0.5) < 0.1


@pytest.mark.parametrize("model", MODELS)
def test_the_labels_loss_moves_its_own_head_and_what_the_tasks_share(workspace, model):
    task = ranker_task(gather_material(open_dataset(workspace, "tiny"), config().encoders), model, config(), "cpu")
    losses = task.losses(0)
    assert set(losses.parts) == {"rank", "label"}
    rank, label = (losses.parts[name].item() for name in ("rank", "label"))
    assert losses.total.item() == pytest.approx(rank + 0.5 * label)
    losses.parts["label"].backward()
    ranks, answers = task.model.mlp[-1].weight.grad
    assert answers.abs().sum() > 0 and not ranks.any()
    assert task.model.channels.id_embedding.grad.abs().sum() > 0 and task.model.match_scale.grad in (None, 0)


def test_without_the_task_a_step_is_the_same_and_the_first_task_sees_the_same_targets(workspace):
    material = gather_material(open_dataset(workspace, "tiny"), config().encoders)
    off, on = config(tasks="next"), config()
    assert set(ranker_task(material, "din", off, "cpu").losses(0).parts) == {"rank"}
    plain = training_batches(material, off.batches, 0, off.answers.labelled)
    both = training_batches(material, on.batches, 0, on.answers.labelled)
    for step in range(5):
        (lives, targets), (other, others) = plain.batch(step), both.batch(step)
        _, again, labelled = both.with_labels(step)
        for field in fields(targets):
            same = getattr(targets, field.name)
            assert (same == getattr(others, field.name)).all() and (same == getattr(again, field.name)).all()
        assert (lives.item == other.item).all() and not (targets.label[targets.valid] == 0).any()
        assert (labelled.label[labelled.valid] == 0).any()


def test_the_loss_is_logged_and_the_run_says_its_tasks(workspace):
    answer = finetune(workspace, "tiny", "logged", model="seminar", config=config(label_weight=2.0))
    assert set(answer["losses"]) == {"total", "rank", "label"}
    lines = read_lines(workspace.run_dir("logged") / "metrics.jsonl")
    assert any(line.get("loss/label", 0) > 0 for line in lines)
    card = read_card(workspace.run_dir("logged"))
    assert card.config["answers"] == {"tasks": "next,label", "label_weight": 2.0, "labels_per_life": 8}


def test_evaluate_reads_labels_from_the_head_and_ranks_by_the_first_task(workspace):
    finetune(workspace, "tiny", "asked", model="din", config=config())
    finetune(workspace, "tiny", "plain", model="din", config=config(tasks="next"))
    answer = evaluate_run(workspace, "asked", negatives=20, device="cpu")
    assert answer["labels"]["task"] == "label" and answer["metrics"]["MRR"] > 0
    assert evaluate_run(workspace, "plain", negatives=20, device="cpu")["labels"]["task"] == "next"
    run = load_run(workspace, "asked", device="cpu")
    with torch.no_grad():  # a label head that says nothing at all leaves the ranking as it is
        run.model.mlp[-1].weight[1], run.model.mlp[-1].bias[1], run.model.further_scale[:] = 0.0, 0.0, 0.0
    questions = ask(run.dataset, run.material.split, negatives=20, seed=0)
    measured = measure(run.model, run.dataset, questions, max_length=run.max_length, device="cpu")
    assert mean_metrics(measured.ranks) == pytest.approx(answer["metrics"])
    assert labels(run)["label_AUC"] == 0.5


@pytest.mark.parametrize("model", MODELS)
def test_a_stopped_run_goes_on_to_the_same_weights(workspace, model):
    finetune(workspace, "tiny", f"whole-{model}", model=model, config=config())
    asked = iter(range(100))
    stop = Orders(should_stop=lambda: next(asked) >= 3)
    assert finetune(workspace, "tiny", f"parts-{model}", model=model, config=config(), orders=stop)["steps"] == 3
    resumed = finetune(
        workspace, "tiny", f"parts-{model}", model=model, config=config(tasks="next"), orders=Orders(resume=True)
    )
    assert resumed["steps"] == 6 and "label" in resumed["losses"]
    whole, parts = (load_run(workspace, f"{n}-{model}", stage="last", device="cpu").model for n in ("whole", "parts"))
    assert whole.tasks == parts.tasks == 2
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], atol=1e-6), name


def test_it_starts_from_a_pretrained_run_too(workspace):
    pretrain(workspace, "tiny", "psu", config=with_values(PretrainConfig(), {**SMALL, "steps": 2}))
    answer = finetune(workspace, "tiny", "restored", model="seminar", parent="psu", config=config())
    assert answer["losses"]["label"] > 0


@pytest.mark.parametrize(
    ("change", "ones", "zeros"),
    [
        (lambda labels: [None] * len(labels), "0", "0"),
        (lambda labels: [1] * len(labels), "[1-9][0-9]*", "0"),
    ],
)
def test_without_both_labels_the_task_is_refused_before_anything_is_made(tmp_path, change, ones, zeros):
    workspace = relabelled(tmp_path, change)
    words = f"the task 'label' needs training events with label 1 and with label 0, there are {ones} and {zeros}$"
    with pytest.raises(EmptyDataError, match=words) as caught:
        finetune(workspace, "tiny", "refused", model="seminar", config=config())
    assert "tasks=next" in caught.value.hint and "column 'label'" in caught.value.hint
    assert not workspace.run_dir("refused").exists()
    assert finetune(workspace, "tiny", "plain", model="seminar", config=config(tasks="next"))["steps"] == 6


@pytest.mark.parametrize("tasks", ["label", "next,click", "next,label,label", ""])
def test_unknown_tasks_are_refused_with_the_known_ones(tasks):
    with pytest.raises(ConfigError, match=f"tasks = '{tasks}', but it must be 'next' or 'next,label'"):
        config(tasks=tasks)
    with pytest.raises(ConfigError, match="label_weight = 0"):
        config(label_weight=0)


def test_the_setting_can_be_typed_stored_and_is_explained(tmp_path):
    chosen = load_config(FinetuneConfig, None, ["tasks=next,label"])
    assert (chosen.answers.count, chosen.answers.labelled) == (2, 8)
    (tmp_path / "a.toml").write_text(to_toml(chosen))
    assert load_config(FinetuneConfig, tmp_path / "a.toml") == chosen
    assert "data's own labels" in menu.explanations(FinetuneConfig)["tasks"]
