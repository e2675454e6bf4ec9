"""One run from its data set to its answer: card, directory, loop, and the record of how it ended.

Training; what `pretrain` and `finetune` share: they say what is trained, this trains it. Whatever ends a run (budget,
patience, a stop request, an error) is recorded in status.json: a run that did not finish never looks as if it had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..access import audited
from ..data.dataset import Dataset
from ..data.opening import open_dataset
from ..encoders.registry import find_encoder
from ..errors import Cancelled, ConfigError, ExistsError, GoneError, NotReadyError, PeerError, SeminarError, StaleError
from ..evaluation.result import current_commit
from ..files import write_json
from ..model.psu import PSU
from ..model.ranker import Ranker
from ..progress import Progress, silent
from ..sums import seal, unseal
from ..workspace import Workspace, refuse_bundled
from .assembly import Material, gather_material, optimisers, uses_bfloat16
from .launch import Group, launched, one_after_the_other, own_device, together, wait_for_all
from .loop import Loop, Outcome, StepLosses, Task
from .recipe import BudgetConfig, EncoderConfig, FinetuneConfig, PretrainConfig
from .run_files import RunCard, existing_run, new_run, read_card, read_status, untrained_note, write_card, write_status
from .settings import from_dict, leaves, to_dict, with_values

OBJECTIVES = ("neighbour", "next_pair", "alignment", "relevance")
COMMANDS = {"psu": "pretrain", "ranker": "finetune"}
CONFIGS: dict[str, type[PretrainConfig] | type[FinetuneConfig]] = {"psu": PretrainConfig, "ranker": FinetuneConfig}
ON_THE_WAY = (
    *("budget.steps", "budget.seconds", "budget.evaluate_every", "budget.patience", "budget.keep_every"),
    *("budget.frames", "batches.batch_size"),
)
"""Settings that may change when a run goes on: how long, how often it is looked at, and how many lives a step has."""
BROKEN = ("connection", "gloo", "nccl", "broken pipe", "socket")
"""Words by which torch says that another process is no longer there."""


@dataclass(frozen=True)
class Orders:
    """How a run is to be carried out.

    Fields:
        overwrite: replace a run of the same name.
        resume: go on from the run's last checkpoint.
        progress: called with steps done, steps in all, and words.
        should_stop: asked before every step.
        given: dotted names of the settings that were asked for; None = those that differ from the defaults.
    """

    overwrite: bool = False
    resume: bool = False
    progress: Progress = silent
    should_stop: Callable[[], bool] = lambda: False
    given: frozenset[str] | None = None

    def asked(self, config: PretrainConfig | FinetuneConfig) -> dict[str, Any]:
        """Dotted name -> value of the settings that were asked for."""
        values, usual = leaves(config), leaves(type(config)())
        names = {name for name in values if values[name] != usual[name]} if self.given is None else self.given
        return {name: value for name, value in values.items() if name in names}


def card_to_resume(workspace: Workspace, wanted: RunCard, orders: Orders) -> RunCard:
    """The card of the run that goes on, with what was asked for of `ON_THE_WAY`.

    Raises:
        UnknownRunError: there is none.
        StaleError: its data set has changed, or it is another kind of run.
        ConfigError: a setting was asked for that the run was not started with.
        NotReadyError: another process is training it.
    """
    card = read_card(existing_run(workspace, wanted.name))
    for name in ("dataset", "dataset_hash", "kind", "model", "parent"):
        if getattr(card, name) != getattr(wanted, name):
            raise StaleError(
                f"run {card.name!r} was started with {name} = {getattr(card, name)}, it cannot go on with "
                f"{getattr(wanted, name)}",
                hint="start it anew with --overwrite",
            )
    refuse_live(workspace, wanted.name)
    stored = leaves(config_of(card))
    changes = {name: value for name, value in orders.asked(config_of(wanted)).items() if value != stored[name]}
    for name, value in changes.items():
        leaf = name.rpartition(".")[2]
        if name not in ON_THE_WAY:
            raise ConfigError(
                f"run {card.name!r} was started with {leaf} = {stored[name]}, it cannot go on with {value}",
                hint=f"leave {leaf} out, or start the run anew with --overwrite",
            )
    return replace(card, config=to_dict(with_values(config_of(card), changes))) if changes else card


def refuse_existing(workspace: Workspace, name: str, overwrite: bool) -> None:
    """Refuse a taken name before any work is done.

    Raises:
        ExistsError: the run exists and `overwrite` is false, or it is read-only.
        NotReadyError: another process is training it.
    """
    refuse_bundled(name)
    if workspace.run_dir(name).exists() and not overwrite:
        raise ExistsError(f"run {name!r} exists already", hint="choose another --run, or replace it with --overwrite")
    refuse_live(workspace, name)


def refuse_live(workspace: Workspace, name: str) -> None:
    """Refuse a run that another process is training: two would write into one directory.

    Raises:
        NotReadyError: naming the process.
    """
    try:
        status = read_status(workspace.run_dir(name))
    except SeminarError:  # no such run, or one so damaged that nothing can be training it
        return
    if status.get("state") == "running" and status.get("pid") != os.getpid():
        raise NotReadyError(
            f"run {name!r} is being trained by process {status.get('pid')}",
            hint="wait for it, stop it first, or choose another --run",
        )


@contextmanager
def naming_a_broken_connection(task: Task) -> Iterator[None]:
    """Of several processes that train together, one whose others have gone meets a plain RuntimeError.

    Raises:
        PeerError: instead of that.
    """
    try:
        yield
    except RuntimeError as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        if task.group is None or not any(word in said.lower() for word in BROKEN):
            raise
        raise PeerError(
            f"process {task.group.rank} of {task.group.world} lost the others: {said}",
            hint="see which of them ended and why, then resume from the last checkpoint",
        ) from error


def carry_out(
    workspace: Workspace, card: RunCard, task: Task, budget: BudgetConfig, orders: Orders
) -> tuple[Outcome, Path]:
    """Train `task` in the run's directory and record how it ended; of several processes the first records.

    Raises:
        Cancelled: through `orders.progress`; the run is recorded as stopped and can be resumed.
        DivergedError, DeviceError, PeerError: recorded as failed.
        GoneError: the run's directory was moved or deleted meanwhile; nothing is recorded.
        NotReadyError: another process has begun to train the run in the meantime.
    """
    if not task.writes:
        return _carry_out(workspace, card, task, budget, orders)
    with audited(workspace, COMMANDS.get(card.kind, "train"), card.name):
        return _carry_out(workspace, card, task, budget, orders)


def _carry_out(
    workspace: Workspace, card: RunCard, task: Task, budget: BudgetConfig, orders: Orders
) -> tuple[Outcome, Path]:
    path = workspace.run_dir(card.name)
    wait_for_all(task.group)  # all have looked whether the run exists
    if not task.writes:
        loop = Loop(task, path, budget)
        wait_for_all(task.group)
        with naming_a_broken_connection(task):
            return loop.run(resume=orders.resume), path
    refuse_live(workspace, card.name)
    if not orders.resume:
        new_run(workspace, card, overwrite=orders.overwrite)
    unseal(path)
    if orders.resume:
        write_card(path, card)
    write_status(path, state="running")
    wait_for_all(task.group)
    loop = Loop(task, path, budget)
    try:
        with naming_a_broken_connection(task):
            outcome = loop.run(resume=orders.resume, progress=orders.progress, should_stop=orders.should_stop)
    except Cancelled:
        write_status(path, state="stopped", **facts(loop))
        raise
    except GoneError:
        raise
    except SeminarError as error:
        write_status(path, state="failed", error=error.as_dict(), **facts(loop))
        raise
    write_status(path, state="stopped" if outcome.reason == "stopped" else "done", reason=outcome.reason, **facts(loop))
    return outcome, path


def facts(loop: Loop) -> dict[str, Any]:
    """What a run's status says of its loop."""
    counters = loop.counters
    return {
        "steps": counters.step,
        "seconds": round(counters.seconds, 3),
        "examples": counters.examples,
        "best_step": max(counters.best_step, 0),
        "validation": counters.validation,
        "losses": counters.losses,
    }


def task_of(
    model: PSU | Ranker,
    material: Material,
    config: PretrainConfig | FinetuneConfig,
    device: str,
    group: Group | None,
    losses: Callable[[int], StepLosses],
    validate: Callable[[], dict[str, float]],
    select: str,
) -> Task:
    """What the loop needs to train `model`, which is on `device` already, with the shared optimisers.

    Args:
        model, material, config, device, group: as the command has them.
        losses: of the step.
        validate: the metrics that choose a checkpoint.
        select: the one that decides.
    """
    return Task(
        model=model,
        optimisers=optimisers(model, config.optimiser, sparse=config.model.sparse, device=device),
        losses=losses,
        validate=validate,
        select=select,
        fingerprint=material.fingerprint,
        device=device,
        bfloat16=uses_bfloat16(config.optimiser, device),
        clip=config.optimiser.clip,
        group=group,
        rate=config.optimiser.rate,
    )


def train(
    workspace: Workspace,
    dataset_name: str,
    wanted: Callable[[Dataset], RunCard],
    make_task: Callable[[Material, RunCard, str, Group | None], Task],
    orders: Orders,
) -> dict[str, Any]:
    """Train one run from its data set to the answer of its command, in this process or in one of a group.

    Args:
        workspace: where both lie.
        dataset_name: of the data set.
        wanted: the card of the run on that data set; a run that is resumed keeps its own.
        make_task: the task from material, card, device and group.
        orders: how to carry it out.

    Raises:
        UnknownDatasetError: no such data set.
        ExistsError: the run exists and replacing it was not asked for.
        DivergedError: a loss is not finite; the best checkpoint stays.
    """
    group = launched()
    with together(group):
        return _train(workspace, dataset_name, wanted, make_task, orders, group)


def _train(
    workspace: Workspace,
    dataset_name: str,
    wanted: Callable[[Dataset], RunCard],
    make_task: Callable[[Material, RunCard, str, Group | None], Task],
    orders: Orders,
    group: Group | None,
) -> dict[str, Any]:
    with one_after_the_other(group):
        dataset = open_dataset(workspace, dataset_name)
    card = wanted(dataset)
    if orders.resume:
        card = card_to_resume(workspace, card, orders)
    else:
        refuse_existing(workspace, card.name, orders.overwrite)
    config = config_of(card)
    device = own_device(config.device, group)
    with one_after_the_other(group):
        material = gather_material(dataset, config.encoders, config.split)
    task = make_task(material, card, device, group)
    outcome, path = carry_out(workspace, card, task, config.budget, orders)
    counters = outcome.counters
    losses: dict[str, float | None] = dict(counters.losses)
    if card.kind == "psu":
        losses = {name: losses.get(name) for name in (*OBJECTIVES, *losses) if name != "total"}
    answer = {
        "run": card.name,
        "steps": counters.step,
        "seconds": counters.seconds,
        "losses": losses,
        "best_step": counters.best_step,
        "examples_per_s": outcome.examples_per_s,
        "validation": counters.validation,
        "ended_by": outcome.reason,
        "device": device,
        "processes": 1 if group is None else group.world,
    }
    if card.kind == "ranker":
        answer |= {"model": card.model, "parent": card.parent}
    sources = [workspace.run_dir(name) for name in (card.name, card.parent) if name is not None]
    answer["notes"] = [note for note in map(untrained_note, sources) if note is not None]
    if task.writes:
        write_json(path / f"{COMMANDS[card.kind]}.json", answer, grow=False)
        seal(path)
    return answer


def run_card(
    name: str,
    kind: str,
    model: str,
    dataset: Dataset,
    config: PretrainConfig | FinetuneConfig,
    parent: str | None = None,
) -> RunCard:
    """The card of a new run on `dataset`; it names the vectors of its encoders, not the places they came from alone.

    Raises:
        UnknownNameError, MissingFileError: there is no such encoder.
    """
    fixed = {kind: find_encoder(kind, name).fixed for kind, name in to_dict(config.encoders).items()}
    config = replace(config, encoders=EncoderConfig(**fixed))
    return RunCard(
        name=name,
        kind=kind,
        model=model,
        dataset=dataset.name,
        dataset_hash=dataset.hash,
        encodings=fixed,
        config=to_dict(config),
        seed=config.seed,
        parent=parent,
        commit=current_commit(),
    )


def config_of(card: RunCard) -> PretrainConfig | FinetuneConfig:
    """The settings that a run was, or is to be, trained with."""
    return from_dict(CONFIGS[card.kind], card.config)
