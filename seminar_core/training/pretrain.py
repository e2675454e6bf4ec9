"""`pretrain`: train a PSU on a data set.

Training. The three objectives over many target positions of each life; the step-0 checkpoint is always kept, because
"before" is half of every picture of alignment. Selection is by validation MRR of the next pair asked as a
recommendation, on people of the validation subset only.
"""

from __future__ import annotations

import torch

from ..data.opening import open_dataset
from ..evaluation.result import current_commit
from ..model.tensors import to_tensors
from ..workspace import Workspace
from .assembly import (
    Material,
    build_psu,
    gather_material,
    optimisers,
    training_batches,
    uses_bfloat16,
    validation_questions,
    validator,
)
from .distributed import SPARSE_TABLES, SharedPSU, shared
from .launch import Group, launched, one_after_the_other, own_device, together
from .loop import StepLosses, Task
from .recipe import PretrainConfig
from .room import require_room
from .run_files import RunCard
from .session import Orders, card_to_resume, carry_out, record_answer, refuse_existing
from .settings import from_dict, to_dict


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
    return Task(
        model=psu,
        optimisers=optimisers(psu, config.optimiser, sparse=config.model.sparse, device=device),
        losses=losses,
        validate=validator(psu, material, questions, max_length=config.batches.max_length, device=device),
        select="MRR",
        fingerprint=material.fingerprint,
        device=device,
        bfloat16=uses_bfloat16(config.optimiser, device),
        clip=config.optimiser.clip,
        group=group,
        rate=config.optimiser.rate,
    )


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
    group = launched()
    with together(group):
        return _pretrain(workspace, dataset_name, run_name, config or PretrainConfig(), orders or Orders(), group)


def _pretrain(
    workspace: Workspace,
    dataset_name: str,
    run_name: str,
    config: PretrainConfig,
    orders: Orders,
    group: Group | None,
) -> dict:
    with one_after_the_other(group):
        dataset = open_dataset(workspace, dataset_name)
    card = RunCard(
        name=run_name,
        kind="psu",
        model="psu",
        dataset=dataset_name,
        dataset_hash=dataset.hash,
        encodings=to_dict(config.encoders),
        config=to_dict(config),
        seed=config.seed,
        commit=current_commit(),
    )
    if orders.resume:
        card = card_to_resume(workspace, card)
        config = from_dict(PretrainConfig, card.config)
    else:
        refuse_existing(workspace, run_name, orders.overwrite)
    device = own_device(config.device, group)
    with one_after_the_other(group):
        material = gather_material(dataset, config.encoders, config.split)
    task = psu_task(material, config, device, group)
    outcome, path = carry_out(workspace, card, task, config.budget, orders)
    counters = outcome.counters
    parts = {name: counters.losses.get(name) for name in ("neighbour", "next_pair", "alignment", "relevance")}
    extras = {name: value for name, value in counters.losses.items() if name not in (*parts, "total")}
    return record_answer(
        path,
        "pretrain",
        {
            "run": run_name,
            "steps": counters.step,
            "seconds": counters.seconds,
            "losses": {**parts, **extras},
            "best_step": counters.best_step,
            "examples_per_s": outcome.examples_per_s,
            "validation": counters.validation,
            "ended_by": outcome.reason,
            "device": device,
            "processes": 1 if group is None else group.world,
        },
        keep=task.writes,
    )
