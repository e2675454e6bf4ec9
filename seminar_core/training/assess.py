"""`evaluate`: ask a trained run, beside chance, popularity and the oracle, and keep the result as a file.

Training, on top of evaluation. Results lie in `runs/<run>/results/`, one JSON file per protocol with everything it
takes to make it again, and beside it the rank of every target, so that runs can be compared in pairs later. A result
counts while the run's checkpoint has the weights that were measured: after further training it is asked for anew.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EmptyDataError, MissingFileError
from ..evaluation.baselines import baseline_ranks
from ..evaluation.intervals import paired_difference
from ..evaluation.metrics import METRICS, mean_metrics, ranking_metrics
from ..evaluation.protocol import label_metrics, slice_masks, slice_rows, summary
from ..evaluation.questions import Questions, ask
from ..evaluation.ranks import Ranks
from ..evaluation.result import Result, current_commit, read_ranks, read_result, write_ranks
from ..model.ranker import LABEL_TASK, NEXT_TASK, Ranker
from ..progress import Progress, silent
from ..sums import record
from ..workspace import Workspace
from .assembly import Material, measure, scorer
from .checkpoint import weights_sum
from .loop import BEST
from .runs import Run, existing_run, load_run

CANDIDATE_SEED = 0


def protocol_name(mode: str, negatives: int | str, sampler: str, pool: str) -> str:
    """File name of a result, without its ending."""
    return f"{mode}-{negatives}-{sampler}-{pool}"


def evaluate_run(
    workspace: Workspace,
    run_name: str,
    *,
    mode: str = "recommendation",
    negatives: int | str = 99,
    sampler: str = "uniform",
    pool: str = "met",
    part: str = "test",
    stage: str = "best",
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a run on its held-out targets; the answer of the `evaluate` command.

    Raises:
        UnknownRunError: no such run, or it was deleted meanwhile.
        UnknownNameError: mode, sampler or stage is not known.
        StaleError: the run's data set has changed since.
    """
    asked: dict[str, Any] = {"mode": mode, "negatives": negatives, "sampler": sampler, "pool": pool, "part": part}
    run, result, _ = measure_run(workspace, run_name, asked, stage=stage, device=device, progress=progress)
    return answer(run, result)


def measure_run(
    workspace: Workspace,
    run_name: str,
    asked: dict[str, Any],
    *,
    stage: str = "best",
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[Run, Result, Ranks]:
    """Measure a run and keep the result; `asked` is what `evaluation.questions.ask` takes. Raises as `evaluate_run`."""
    run = load_run(workspace, run_name, stage=stage, device=device)
    questions = ask(run.dataset, run.material.split, seed=CANDIDATE_SEED, **asked)
    measured = measure(
        run.model, run.dataset, questions, max_length=run.max_length, device=run.device, progress=progress
    )
    result = describe_result(run, questions, measured.ranks, people_per_s=measured.people_per_s)
    existing_run(workspace, run.name)  # a run that was deleted meanwhile does not come back as a folder of results
    keep_result(workspace.measured_dir(run.name), result, measured.ranks)
    return run, result, measured.ranks


def describe_result(run: Run, questions: Questions, ranks: Ranks, *, people_per_s: float) -> Result:
    """Metrics, intervals, baselines, slices and origin of one measurement."""
    material = run.material
    metrics, bounds = summary(ranks)
    baselines = baseline_ranks(material.dataset, material.split, questions)
    extra: dict[str, Any] = {
        "people_per_s": people_per_s,
        "device": run.device,
        "stage": run.stage,
        "step": run.step,
        "minus_popularity": differences(ranks, baselines["popularity"]),
        "slices": slice_rows(ranks, slices(material, questions)),
        "labels": labels(run),
    }
    return Result(
        name=run.name,
        metrics=metrics,
        interval=bounds,
        baselines={name: None if row is None else mean_metrics(row) for name, row in baselines.items()},
        protocol=questions.protocol,
        origin={
            "config": run.card.config,
            "seed": run.card.seed,
            "data_hash": run.card.dataset_hash,
            "dataset": run.card.dataset,
            "model": run.card.model,
            "parent": run.card.parent,
            "weights": run.weights,
            "questions": questions.identity,
            "command": shlex.join(["python", "-m", "seminar_core", *sys.argv[1:]]),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": current_commit(),
        },
        extra=extra,
    )


def differences(ranks: Ranks, other: Ranks | None) -> dict[str, Any] | None:
    """Metric -> {"difference", "interval"} of paired differences on the same targets."""
    if other is None:
        return None
    a, b = ranking_metrics(ranks), ranking_metrics(other)
    found = {}
    for name in METRICS:
        difference, low, high = paired_difference(a[name], b[name], ranks.person)
        found[name] = {"difference": difference, "interval": (low, high)}
    return found


def slices(material: Material, questions: Questions) -> dict[str, np.ndarray]:
    """The parts of the questions that are reported on their own."""
    present = {
        "text": np.asarray(material.encodings.text_items_present),
        "image": np.asarray(material.encodings.image_items_present),
    }
    return slice_masks(material.dataset, questions, trained=material.trained, present=present)


def labels(run: Run) -> dict[str, Any] | None:
    """Label AUC, GAUC and log-loss of the held-out events, and the task ("next" or "label") whose logit was read.

    None where both labels do not occur. A run with a head for labels answers by it, another by what ranks.
    """
    task = run.model.label_task if isinstance(run.model, Ranker) else NEXT_TASK
    try:
        with scorer(run.model, run.device, task) as score:
            measured = label_metrics(score, run.dataset, run.material.split, max_length=run.max_length)
            return {"task": "label" if task == LABEL_TASK else "next", **measured}
    except EmptyDataError:
        return None


def answer(run: Run, result: Result) -> dict[str, Any]:
    """The `evaluate` answer."""
    extra = {name: value for name, value in result.extra.items() if name != "people_per_s"}
    return {
        "run": run.name,
        "model": run.card.model,
        "mode": result.protocol["mode"],
        "n": result.protocol["n"],
        "metrics": result.metrics,
        "interval": result.interval,
        "baselines": result.baselines,
        "people_per_s": result.extra["people_per_s"],
        "protocol": result.protocol,
        **extra,
    }


def keep_result(kept: Path, result: Result, ranks: Ranks) -> None:
    """Write the result and the ranks behind it below `kept`, where what is measured of the run is."""
    protocol = result.protocol
    name = protocol_name(protocol["mode"], protocol["negatives"], protocol["sampler"], protocol["pool"])
    if protocol["part"] != "test" or result.extra["stage"] != "best":
        name += f"-{protocol['part']}-{result.extra['stage']}"
    folder = kept / "results"
    folder.mkdir(parents=True, exist_ok=True)
    write_ranks(folder / f"{name}.npz", ranks)
    result.write(folder / f"{name}.json")
    record(kept, [folder / f"{name}.npz", folder / f"{name}.json"])


def kept_result(
    workspace: Workspace,
    run_name: str,
    *,
    mode: str = "recommendation",
    negatives: int | str = 99,
    sampler: str = "uniform",
    pool: str = "met",
) -> tuple[Result, Ranks]:
    """What `evaluate` measured of the run's best checkpoint as it is now.

    Raises:
        MissingFileError: this protocol has not been evaluated for the run, or with other weights.
        InvalidDataError, CorruptFileError: the file was edited or cut short.
    """
    folder = workspace.measured_dir(run_name) / "results"
    name = protocol_name(mode, negatives, sampler, pool)
    if not (folder / f"{name}.json").is_file():
        raise MissingFileError(
            f"run {run_name!r} has no result for {name}", hint=f"evaluate --run {run_name} --mode {mode}"
        )
    result = read_result(folder / f"{name}.json")
    if result.origin.get("weights") != weights_sum(existing_run(workspace, run_name) / "checkpoints" / BEST):
        raise MissingFileError(
            f"run {run_name!r} was trained further since its result for {name}",
            hint=f"evaluate --run {run_name} --mode {mode}",
        )
    return result, read_ranks(folder / f"{name}.npz")
