"""`finetune`: train a downstream model on a data set, from scratch or from a PSU.

Training. With `--from` every PSU tensor that the model has a place for is restored before the first step; three
independent switches keep embeddings, projections and G still. Every model gets the same batches, the same number of
them and the same selection by validation MRR: pretraining is not an extra supervised epoch in disguise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..data.dataset import Dataset
from ..errors import ConfigError, StaleError, UnknownNameError
from ..model.baselines import MODELS
from ..model.losses import weighted_sum
from ..model.psu import PSU
from ..model.tensors import life_tensors, target_tensors
from ..workspace import Workspace
from .assembly import Material, build_psu, build_ranker, training_batches, validation_questions, validator
from .checkpoint import load_weights, weights_sum
from .distributed import SPARSE_TABLES, SharedRanker, shared
from .launch import Group
from .loop import BEST, StepLosses, Task
from .quantised import attach_codec
from .recipe import FinetuneConfig, PretrainConfig
from .room import require_room
from .run_files import RunCard, existing_run, read_card
from .session import Orders, run_card, task_of, train
from .settings import from_dict, leaves, with_values

DECIDED_BY_PSU = (
    *("model.width", "model.heads", "model.query_absent", "model.item_absent", "model.alpha", "model.learn_alpha"),
    *("model.disabled", "encoders.text", "encoders.image", "split"),
)
"""Settings that a restored run has from its PSU: the shapes of its tensors, what its channels read, and which events it
was not trained on. By another split most test targets would lie in what the PSU was trained on."""


def ranker_task(
    material: Material,
    model: str,
    config: FinetuneConfig,
    device: str,
    psu: PSU | None = None,
    group: Group | None = None,
) -> Task:
    """A new downstream model, restored from `psu` where one is given, and everything the loop needs to train it.

    With a group every step is shared with its other processes.

    Raises:
        ConfigError: the batch cannot be shared out evenly, or the settings cannot fit into memory.
        EmptyDataError: labels are a task and training holds one kind of label alone.
    """
    require_room(material, config.model, config.batches, device, ranker=True)
    ranker = build_ranker(material, model, config.model, config.seed, config.answers.count)
    if psu is not None:
        ranker.restore(psu)
    freezes = config.restore
    ranker.freeze(embeddings=freezes.freeze_embeddings, projections=freezes.freeze_projections, g=freezes.freeze_g)
    ranker.to(device)
    batches = training_batches(material, config.batches, config.seed, config.answers.labelled)
    weights = {"label": config.answers.label_weight}
    renew = attach_codec(ranker, material, config)
    shared_step = None
    if group is not None:
        group.share(config.batches.batch_size)
        step_module = SharedRanker(ranker, config.loss, group, weights)
        shared_step = shared(step_module, device, SPARSE_TABLES if config.model.sparse else ())

    def losses(step: int) -> StepLosses:
        lives, *targets = batches.with_labels(step) if config.answers.labelled else batches.batch(step)
        life = life_tensors(lives, device, non_blocking=True)
        tensors = [target_tensors(some, device, non_blocking=True) for some in targets]
        examples = int(targets[0].valid.sum())
        if shared_step is not None:
            total, shares = shared_step(life, *tensors)
            return StepLosses(total, shares, examples)
        parts = ranker.losses(config.loss, life, *tensors)
        return StepLosses(weighted_sum(parts, weights), parts, examples)

    questions = validation_questions(material, config.budget.validation_people, config.seed)
    measured = validator(ranker, material, questions, max_length=config.batches.max_length, device=device)

    def validate() -> dict[str, float]:
        renew()
        return measured()

    return task_of(ranker, material, config, device, group, losses, validate, "MRR")


def restored_settings(config: FinetuneConfig, parent: RunCard, asked: Mapping[str, Any]) -> FinetuneConfig:
    """`config` with what the PSU decides.

    Args:
        config: what is to be trained.
        parent: card of the PSU.
        asked: dotted name -> value of the settings that were asked for.

    Raises:
        ConfigError: one of them is what the PSU decides, and another.
    """
    theirs = leaves(from_dict(PretrainConfig, parent.config))
    for name in DECIDED_BY_PSU:
        if asked.get(name, theirs[name]) != theirs[name]:
            leaf = name.rpartition(".")[2]
            raise ConfigError(
                f"{leaf} = {asked[name]} was asked for, but run {parent.name!r} was pretrained with {theirs[name]}",
                hint=f"leave {leaf} out, or pretrain with {leaf} = {asked[name]}",
            )
    return with_values(config, {name: theirs[name] for name in DECIDED_BY_PSU})


def parent_on(workspace: Workspace, name: str, dataset: Dataset) -> RunCard:
    """The card of the PSU to restore from, on `dataset`.

    Raises:
        UnknownRunError: no such run.
        ConfigError: it is not a PSU, or of another data set.
        StaleError: its data set has been imported anew since.
    """
    card = read_card(existing_run(workspace, name))
    if card.kind != "psu":
        raise ConfigError(
            f"run {name!r} is a {card.model}, only a pretrained PSU can be restored", hint="give --from a pretrain run"
        )
    if card.dataset != dataset.name:
        raise ConfigError(
            f"run {name!r} was pretrained on {card.dataset!r}, not on {dataset.name!r}",
            hint=f"finetune on {card.dataset!r}, or pretrain on {dataset.name!r}",
        )
    if card.dataset_hash != dataset.hash:
        raise StaleError(
            f"run {name!r} was pretrained on version {card.dataset_hash} of {dataset.name!r}, now {dataset.hash}",
            hint="pretrain again on the present version",
        )
    return card


def restored_of(workspace: Workspace, parent: str) -> dict[str, Any]:
    """What a run remembers of the PSU it is restored from; see `RunCard.restored`.

    Raises:
        MissingFileError, CorruptFileError: it has no best checkpoint that can be read.
    """
    path = existing_run(workspace, parent)
    theirs = from_dict(PretrainConfig, read_card(path).config)
    weights = weights_sum(path / "checkpoints" / BEST)
    return {"weights": weights, "seed": theirs.seed, "held_out": theirs.objectives.held_out}


def finetune(
    workspace: Workspace,
    dataset_name: str,
    run_name: str,
    *,
    model: str,
    parent: str | None = None,
    config: FinetuneConfig | None = None,
    orders: Orders | None = None,
) -> dict:
    """Train a downstream model; the answer of the `finetune` command.

    Raises:
        UnknownNameError: no such model.
        UnknownDatasetError, UnknownRunError: no such data set or parent.
        StaleError: the parent's vocabulary is not the data set's.
        ConfigError: a setting was asked for that the parent, or the run that goes on, decides otherwise.
        ExistsError: the run exists and replacing it was not asked for.
        DivergedError: the loss is not finite; the best checkpoint stays.
    """
    if model not in MODELS:
        raise UnknownNameError("model", model, MODELS)
    wanted, orders = config or FinetuneConfig(), orders or Orders()
    asked = orders.asked(wanted)

    def card(dataset: Dataset) -> RunCard:
        settings = wanted
        if parent is not None:
            settings = restored_settings(wanted, parent_on(workspace, parent, dataset), asked)
        made = run_card(run_name, "ranker", model, dataset, settings, parent)
        return made if parent is None else replace(made, restored=restored_of(workspace, parent))

    def task(material: Material, card: RunCard, device: str, group: Group | None) -> Task:
        psu = None if card.parent is None else load_psu(workspace, card.parent, material)
        return ranker_task(material, model, from_dict(FinetuneConfig, card.config), device, psu, group)

    return train(workspace, dataset_name, card, task, orders)


def load_psu(workspace: Workspace, name: str, material: Material) -> PSU:
    """The best PSU of a pretrain run, in evaluation mode on the CPU."""
    path = existing_run(workspace, name)
    theirs = from_dict(PretrainConfig, read_card(path).config)
    psu = build_psu(material, theirs.model, theirs.objectives, theirs.seed)
    load_weights(path / "checkpoints" / BEST, psu, material.fingerprint)
    return psu.eval()
