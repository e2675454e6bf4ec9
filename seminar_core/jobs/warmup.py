"""How long and how much memory a training will take, from a measured warm-up of the very same training.

Training, for the form. A few steps are run as a background job in a scratch workspace (`.warmup`) that shares the data
sets and the parent run; step time is taken between two log lines, so that start and validation stay out of it.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NotReadyError
from ..files import locked, read_json
from ..training.curves import Curves
from ..workspace import Workspace
from . import control as jobs
from .state import LIVE, read_spec

STEPS = 26
EVALUATE_AT = 24
TIMED = (5, 20, 25)
"""Log lines that are compared: 15 steps lie between the first two, 5 steps and the validation between the others."""
MARGIN = 1.15
"""A chosen allowance for checkpoints and frames, not a bound: four runs of 60 steps on the sample took 0.6 to 1.8 times
their warm-up's steps and validations, on two cores shared with other work."""
KEPT_S = 3600.0
"""How long the figures of a warm-up stay for the pages that show them."""


@dataclass(frozen=True)
class Estimate:
    """What a training will take.

    Fields:
        step_s: seconds a step.
        validation_s: seconds a validation.
        start_s: seconds before the first step.
        examples_per_s: targets served a second.
        memory_mb, device_memory_mb: peak of the warm-up.
        total_s: until the budget ends it; patience may end it sooner.
        steps: steps that fit the budget.
    """

    step_s: float
    validation_s: float
    start_s: float
    examples_per_s: float
    memory_mb: float
    device_memory_mb: float | None
    total_s: float
    steps: int


def scratch(workspace: Workspace) -> Workspace:
    """The workspace of warm-ups: its data sets and pretrained runs are the real ones, its own runs are thrown away."""
    inner = Workspace(workspace.root / ".warmup")
    inner.jobs.mkdir(parents=True, exist_ok=True)
    inner.runs.mkdir(exist_ok=True)
    workspace.datasets.mkdir(parents=True, exist_ok=True)
    if not inner.datasets.exists():
        inner.datasets.unlink(missing_ok=True)
        os.symlink(Path("..", workspace.datasets.name), inner.datasets)
    return inner


def tidy(inner: Workspace) -> None:
    """Of warm-ups that are over keep the figures alone, and those not for long."""
    with locked(inner.jobs / ".slots" / "tidy.lock"):
        for row in jobs.rows(inner):
            if row["state"] in LIVE:
                continue
            run = inner.run_dir(row["run"] or "warmup")
            shutil.rmtree(run / "checkpoints", ignore_errors=True)
            if time.time() - (row["ended_s"] or 0) > KEPT_S:
                shutil.rmtree(run, ignore_errors=True)
                jobs.delete(inner, row["job"])


def begin(workspace: Workspace, words: list[str], **launch: Any) -> str:
    """Start the warm-up of the training that `words` would start; returns its job (in the scratch workspace).

    Each is a run of its own, so that several sessions may measure; they queue for the device like any job.

    Args:
        workspace: of the training.
        words: of the training.
        launch: its engine, processes and nodes, as for `jobs.start`.
    """
    inner = scratch(workspace)
    tidy(inner)
    changed = list(words)
    changed[changed.index("--run") + 1] = f"warmup-{uuid.uuid4().hex[:8]}"
    if "--from" in changed:
        parent = changed[changed.index("--from") + 1]
        link = inner.run_dir(parent)
        if not link.exists():
            link.unlink(missing_ok=True)
            os.symlink(Path("..", "..", workspace.runs.name, parent), link)
    settings = {"steps": STEPS, "seconds": 600, "evaluate_every": EVALUATE_AT, "patience": 99, "keep_every": 0}
    settings["frames"] = 0
    kept = [word for i, word in enumerate(changed) if not _sets(changed, i, settings)]
    extra = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return str(jobs.start(inner, [*kept, *extra], **launch)["job"])


def _sets(words: list[str], i: int, names: dict[str, Any]) -> bool:
    """Whether word i is, or introduces, a `--set` of one of `names`."""
    pair = words[i + 1] if words[i] == "--set" and i + 1 < len(words) else words[i]
    introduced = words[i] == "--set" or (i > 0 and words[i - 1] == "--set")
    return introduced and pair.partition("=")[0].rpartition(".")[2] in names


def row(workspace: Workspace, job: str) -> dict[str, Any]:
    """The warm-up's row, as `jobs show`."""
    return jobs.show(scratch(workspace), job)


def cancel(workspace: Workspace, job: str) -> None:
    """Stop the warm-up."""
    jobs.cancel(scratch(workspace), job, wait=False)


def estimate(workspace: Workspace, job: str, *, steps: int, seconds: float, evaluate_every: int) -> Estimate:
    """Read the finished warm-up and scale it to a budget.

    Raises:
        NotReadyError: the warm-up is not done.
    """
    inner = scratch(workspace)
    now = jobs.show(inner, job)
    if now["state"] != "done":
        raise NotReadyError(f"the warm-up {job} is {now['state']}", hint="wait for it, or measure again")
    run = inner.run_dir(read_spec(inner.job_dir(job)).option("run") or "warmup")
    answer = read_json(inner.job_dir(job) / "result.json")
    return scaled(
        run, answer, now["ended_s"] - now["started_s"], steps=steps, seconds=seconds, evaluate_every=evaluate_every
    )


def scaled(
    run: Path, answer: dict[str, Any], wall_s: float, *, steps: int, seconds: float, evaluate_every: int
) -> Estimate:
    """Scale what `run` measured in `wall_s` seconds to a budget of `steps` and `seconds`.

    Raises:
        NotReadyError: it was too slow to be measured.
    """
    curves = Curves(run / "metrics.jsonl")
    curves.update()
    at = {int(line["step"]): line for line in curves.lines if "loss/total" in line}
    if not set(TIMED) <= set(at):
        raise NotReadyError(
            f"the warm-up ended after {max(at, default=0)} of {STEPS} steps: a step takes too long to measure",
            hint="start with a smaller batch_size or max_length",
        )
    first, before, after = (at[step] for step in TIMED)
    step_s = max((before["time_s"] - first["time_s"]) / (TIMED[1] - TIMED[0]), 1e-6)
    validation_s = max(after["time_s"] - before["time_s"] - (TIMED[2] - TIMED[1]) * step_s, 0.0)
    start_s = max(wall_s - float(answer["seconds"]), 0.0)
    per_step = step_s + validation_s / evaluate_every
    fitting = min(steps, int(seconds / per_step))
    return Estimate(
        step_s=step_s,
        validation_s=validation_s,
        start_s=start_s,
        examples_per_s=float(answer["examples_per_s"]),
        memory_mb=max(line["memory_mb"] for line in at.values()),
        device_memory_mb=max((line.get("device_memory_mb") or 0 for line in at.values()), default=0) or None,
        total_s=start_s + min(MARGIN * fitting * per_step, seconds),
        steps=fitting,
    )
