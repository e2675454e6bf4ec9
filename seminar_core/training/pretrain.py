"""`pretrain`: train a PSU on a data set.

Training. The three objectives over many target positions of each life; the step-0 checkpoint is always kept, because
"before" is half of every picture of alignment. Selection is by `selection.psu_validator`, on held-out people and items.
"""

from __future__ import annotations

import torch

from ..data.dataset import Dataset
from ..model.tensors import to_tensors
from ..workspace import Workspace
from .assembly import Material, build_psu, training_batches, validation_questions
from .distributed import SPARSE_TABLES, SharedPSU, shared
from .launch import Group
from .loop import StepLosses, Task
from .recipe import PretrainConfig
from .room import require_room
from .run_files import RunCard
from .selection import SELECT_BY, psu_validator
from .session import Orders, run_card, task_of, train
from .settings import from_dict


def psu_task(material: Material, config: PretrainConfig, device: str, group: Group | None = None) -> Task:
    """A new PSU and everything the loop needs to train it, alone or sharing every step with a group.

    Raises:
        ConfigError: the batch cannot be shared out evenly, or the settings cannot fit into memory.
    """
    require_room(material, config.model, config.batches, device, ranker=False)
    psu = build_psu(material, config.model, config.objectives, config.seed).to(device)
    batches = training_batches(material, config.batches, config.seed)
    shared_step = None
    if group is not None:
        group.share(config.batches.batch_size)
        shared_step = shared(SharedPSU(psu, group), device, SPARSE_TABLES if config.model.sparse else ())

    def losses(step: int) -> StepLosses:
        lives, targets = batches.batch(step)
        generator = torch.Generator(device=device).manual_seed(config.seed * 1_000_003 + step)
        if shared_step is not None:
            total, parts = shared_step(*to_tensors(lives, targets, device, non_blocking=True), generator)
            return StepLosses(total, parts, int(targets.valid.sum()))
        output = psu(*to_tensors(lives, targets, device, non_blocking=True), generator)
        return StepLosses(output.total, output.losses, int(targets.valid.sum()))

    questions = validation_questions(material, config.budget.validation_people, config.seed)
    validate = psu_validator(psu, material, questions, max_length=config.batches.max_length, device=device)
    return task_of(psu, material, config, device, group, losses, validate, SELECT_BY)


def pretrain(
    workspace: Workspace,
    dataset_name: str,
    run_name: str,
    *,
    config: PretrainConfig | None = None,
    orders: Orders | None = None,
) -> dict:
    """Train a PSU; the answer of the `pretrain` command.

    Raises:
        UnknownDatasetError: no such data set.
        ExistsError: the run exists and replacing it was not asked for.
        DivergedError: a loss is not finite; the best checkpoint stays.
    """
    wanted = config or PretrainConfig()

    def card(dataset: Dataset) -> RunCard:
        return run_card(run_name, "psu", "psu", dataset, wanted)

    def task(material: Material, card: RunCard, device: str, group: Group | None) -> Task:
        return psu_task(material, from_dict(PretrainConfig, card.config), device, group)

    return train(workspace, dataset_name, card, task, orders or Orders())
