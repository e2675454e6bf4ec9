"""A small trained run for a data set that has none, so that every station has something true to show.

Training, on top of background jobs. Three jobs follow each other: pretrain, finetune on it, codebooks. How far they are
is read from the workspace alone, so a page that is closed and opened again goes on where it was; `advance` starts the
next job once the one before it is done, and never starts again one that has failed or whose run was deleted. Budgets
are small on purpose: on two quiet cores the sample is done in about two minutes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..errors import ExistsError
from ..training.run_files import run_row
from ..workspace import Workspace, checked_name
from . import control as jobs
from .state import LIVE

STEPS = ("pretrain", "finetune", "codebooks")
LIMITS = {"pretrain": ("steps=250", "seconds=60"), "finetune": ("steps=150", "seconds=60")}
ROWS = 5_000  # that the codebooks are trained on
LONGEST = 71
"""Letters of a data set's name beyond which the runs' names are cut, so that they stay names."""
SAYS = {
    "pretrain": "Pretraining the search unit: neighbours, relevance, alignment",
    "finetune": "Finetuning the ranker on it",
    "codebooks": "Training the codebooks and encoding the catalogue",
}


@dataclass(frozen=True)
class FirstRun:
    """How far the first run of a data set is.

    Fields:
        done: steps of `STEPS` whose run or codebooks are there, of the data set as it is now.
        job: row of the next step's job when it is live, failed or stopped, None when none is.
        due: the job of the step before is done and the next step has had none yet: it may be started by itself.
    """

    done: int
    job: dict[str, Any] | None
    due: bool

    @property
    def started(self) -> bool:
        return self.done > 0 or self.job is not None

    @property
    def live(self) -> bool:
        return self.job is not None and self.job["state"] in LIVE

    @property
    def finished(self) -> bool:
        return self.done == len(STEPS)

    @property
    def next_step(self) -> str:
        return STEPS[min(self.done, len(STEPS) - 1)]


def names(dataset: str) -> tuple[str, str]:
    """Names of the pretrained and the finetuned run that this makes for `dataset`."""
    stem = (
        dataset if len(dataset) <= LONGEST else f"{dataset[: LONGEST - 9]}-{sha256(dataset.encode()).hexdigest()[:8]}"
    )
    return checked_name(f"{stem}-first-psu", "run"), checked_name(f"{stem}-first", "run")


def words(dataset: str, step: str, budget: tuple[str, ...] | None = None) -> list[str]:
    """The command line of one step; `budget` are further words of the training steps instead of `LIMITS`."""
    psu, run = names(dataset)
    if step == "codebooks":
        return ["codebooks", "--run", run, "--rows", str(ROWS)]
    own = psu if step == "pretrain" else run
    limits = tuple(w for limit in LIMITS[step] for w in ("--set", limit)) if budget is None else budget
    started_from = () if step == "pretrain" else ("--model", "seminar", "--from", psu)
    return [step, "--dataset", dataset, "--run", own, *started_from, "--overwrite", *limits]


def made(workspace: Workspace, dataset: str) -> int:
    """How many steps have made what they make; a run that is not finished, or stale, does not count."""
    psu, run = (run_row(workspace, name) for name in names(dataset))
    if run["state"] == "done" and not run["stale"]:
        return 2 + bool(run["codebooks"])
    return int(psu["state"] == "done" and not psu["stale"])


def state(workspace: Workspace, dataset: str) -> FirstRun:
    """How far the first run of `dataset` is: what is there, and the job that works on the next step."""
    last: list[dict[str, Any] | None] = [None, None, None]
    for row in jobs.rows(workspace):
        if row["command"] in STEPS and row["run"] in names(dataset):
            step = STEPS.index(row["command"])
            last[step:] = [row, *[None] * (len(STEPS) - step - 1)]  # the later steps begin anew with an earlier one
    live = [step for step, job in enumerate(last) if job is not None and job["state"] in LIVE]
    done = min([made(workspace, dataset), *live])
    if done == len(STEPS):
        return FirstRun(done, None, False)
    before, now = last[done - 1] if done else None, last[done]
    due = before is not None and before["state"] == "done" and now is None
    return FirstRun(done, None if now is None or now["state"] == "done" else now, due)


def start(workspace: Workspace, dataset: str, budget: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Start (or start again, after a failure) the step that is due; returns the job's row."""
    return jobs.start(workspace, words(dataset, state(workspace, dataset).next_step, budget))


def advance(workspace: Workspace, dataset: str, budget: tuple[str, ...] | None = None) -> FirstRun:
    """Start the next step when the one before it is done and nothing of it has been started; returns the new state."""
    now = state(workspace, dataset)
    if now.due:
        with suppress(ExistsError):  # another page has just started it
            start(workspace, dataset, budget)
        now = state(workspace, dataset)
    return now
