"""One run from its card to its answer: make the directory, run the loop, record how it ended.

Training; what `pretrain` and `finetune` share. Whatever ends a run (budget, patience, a stop request, an error) is
recorded in status.json, so that a run that did not finish never looks as if it had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Cancelled, ExistsError, GoneError, NotReadyError, PeerError, SeminarError, StaleError
from ..files import write_json
from ..progress import Progress, silent
from ..workspace import Workspace, refuse_bundled
from .launch import wait_for_all
from .loop import Loop, Outcome, Task
from .recipe import BudgetConfig
from .run_files import RunCard, existing_run, new_run, read_card, read_status, write_status

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
    """

    overwrite: bool = False
    resume: bool = False
    progress: Progress = silent
    should_stop: Callable[[], bool] = lambda: False


def card_to_resume(workspace: Workspace, wanted: RunCard) -> RunCard:
    """The card of the run that goes on.

    Raises:
        UnknownRunError: there is none.
        StaleError: its data set has changed, or it is another kind of run.
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
    return card


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


def record_answer(path: Path, name: str, answer: dict[str, Any], *, keep: bool = True) -> dict[str, Any]:
    """Keep a command's answer in the run's directory, where this process keeps its files, and return it."""
    if keep:
        write_json(path / f"{name}.json", answer, grow=False)
    return answer
