"""The directory of a run: what it is, how far it is, and the list of all runs. No torch here: lists are shown often.

Training. `run.json` says what the run is and is written before anything else (again when it goes on with other
settings); `status.json` says how far it is
and is replaced atomically, so that no half-made run ever looks done. A run whose process vanished is told as
"interrupted", and one whose data set was imported anew as stale.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..beside import bundled_runs
from ..errors import CorruptFileError, SeminarError, UnknownRunError
from ..files import atomic_directory, read_json, write_json
from ..processes import is_same_process, process_identity
from ..workspace import Workspace, refuse_bundled

KINDS = ("psu", "ranker")
ENDED = ("done", "stopped", "failed")

FIRST, BEST, LAST = "step-000000", "best", "last"
"""The checkpoints that a run always has, by what `Loop` calls them."""


@dataclass(frozen=True)
class RunCard:
    """What a run is; the content of run.json.

    Fields:
        name: of the run.
        kind: "psu" or "ranker".
        model: model name ("psu" for a PSU).
        dataset, dataset_hash: the data it was trained on.
        encodings: {"text", "image"} encoder ids.
        config: nested settings, see recipe.
        seed: training seed.
        parent: run whose PSU was restored, or None.
        restored: of that PSU `weights` (their sha256), `seed` and `held_out`, which say what items alignment never saw;
            None without one, and in cards of versions that did not write it.
        created: UTC time in ISO form.
        commit: of the code, where known.
    """

    name: str
    kind: str
    model: str
    dataset: str
    dataset_hash: str
    encodings: dict[str, str]
    config: dict[str, Any]
    seed: int
    parent: str | None = None
    restored: dict[str, Any] | None = None
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    commit: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CorruptFileError(f"run {self.name!r} is of kind {self.kind!r}", hint="delete it and train it again")


def read_card(directory: Path) -> RunCard:
    """The run's card.

    Raises:
        CorruptFileError: run.json is not one.
    """
    content = read_json(directory / "run.json")
    try:
        return RunCard(**content)
    except TypeError as error:
        raise CorruptFileError(
            f"{directory / 'run.json'} is not a run's card: {error}", hint="train it again"
        ) from error


def write_card(directory: Path, card: RunCard) -> None:
    """Write the run's card; one that stands there already stays as it is."""
    if not (directory / "run.json").is_file() or read_card(directory) != card:
        write_json(directory / "run.json", vars(card), grow=False)


def run_names(workspace: Workspace) -> list[str]:
    """Names of all runs, those that come with the sample among them, sorted."""
    own = {p.parent.name for p in workspace.runs.glob("[!.]*/run.json")}
    return sorted(own | set(bundled_runs()))


def existing_run(workspace: Workspace, name: str) -> Path:
    """The directory of run `name`.

    Raises:
        UnknownRunError: the workspace has none of this name.
        UnsafePathError: the name is not allowed.
    """
    path = workspace.run_dir(name)
    if not (path / "run.json").is_file():
        raise UnknownRunError("run", name, run_names(workspace))
    return path


def check_run_of(workspace: Workspace, name: str, dataset: str) -> None:
    """Refuse to read run `name` beside a data set that it was not trained on: rows of one are not rows of the other.

    Raises:
        UnknownRunError: the run does not exist, or is of another data set.
    """
    card = read_card(existing_run(workspace, name))
    if card.dataset == dataset:
        return
    known = [r["run"] for r in list_runs(workspace)["runs"] if r["dataset"] == dataset]
    raise UnknownRunError(
        f"among the runs of data set {dataset!r}, run",
        name,
        known,
        hint=f"it was trained on data set {card.dataset!r}: choose that one, or another run",
    )


def new_run(workspace: Workspace, card: RunCard, *, overwrite: bool) -> Path:
    """Make the run's directory with its card and the state "running"; an older run of the name goes as a whole.

    Everything that can fail early (data, encoders, settings) is done before this, so that a run is only replaced by one
    that has begun.

    Raises:
        ExistsError: the run exists and `overwrite` is false, or it is read-only.
    """
    refuse_bundled(card.name)
    with atomic_directory(workspace.run_dir(card.name), replace=overwrite) as partial:
        write_card(partial, card)
        write_status(partial, state="running")
    return workspace.run_dir(card.name)


def write_status(directory: Path, *, state: str, **facts: Any) -> None:
    """Replace the run's status; the writing process is recorded with its identity."""
    pid = os.getpid()
    write_json(
        directory / "status.json",
        {"state": state, "pid": pid, "pid_identity": process_identity(pid), "time_s": time.time(), **facts},
        grow=False,
    )


def read_status(directory: Path) -> dict[str, Any]:
    """The run's status; "interrupted" when it says running and its process is gone.

    Raises:
        MissingFileError: there is none.
        CorruptFileError: status.json is not one.
    """
    status = read_json(directory / "status.json")
    if not isinstance(status, dict) or not isinstance(status.get("state"), str):
        raise CorruptFileError(
            f"{directory / 'status.json'} is not a run's status", hint="delete the run, or train it again"
        )
    if status["state"] == "running" and not is_same_process(status.get("pid"), status.get("pid_identity")):
        return {**status, "state": "interrupted"}
    return status


def untrained_note(directory: Path) -> str | None:
    """What to say where a run's best checkpoint is the untrained model, because no later one scored better."""
    status = read_status(directory)
    if status.get("best_step") != 0 or not status.get("steps"):
        return None
    return (
        f"the best checkpoint of {directory.name} is step 0, the untrained model: none of the {status['steps']} steps "
        "scored better on validation; train longer, or change its objectives or its learning rate"
    )


def current_hash(workspace: Workspace, dataset: str) -> str | None:
    """Hash of the present version of a data set, None where there is none."""
    try:
        return str(read_json(workspace.dataset_dir(dataset) / "dataset.json")["current"])
    except (SeminarError, KeyError, TypeError):
        return None


def is_stale(workspace: Workspace, card: RunCard) -> bool:
    """Whether the run's data set has been imported anew, or deleted, since.

    A run that comes with the sample is not: the sample is imported when it is first asked for.
    """
    now = current_hash(workspace, card.dataset)
    return now != card.dataset_hash and not (now is None and card.name in bundled_runs())


def run_row(workspace: Workspace, name: str) -> dict[str, Any]:
    """One run as the `runs` answer lists it; a damaged one says so in `error`."""
    directory = workspace.run_dir(name)
    row: dict[str, Any] = {"run": name, "error": None}
    try:
        card, status = read_card(directory), read_status(directory)
    except SeminarError as error:
        return {**row, "kind": None, "model": None, "dataset": None, "state": "damaged", "error": error.message}
    return {
        **row,
        "kind": card.kind,
        "model": card.model,
        "dataset": card.dataset,
        "state": status["state"],
        "stale": is_stale(workspace, card),
        "parent": card.parent,
        "seed": card.seed,
        "created": card.created,
        "steps": status.get("steps"),
        "seconds": status.get("seconds"),
        "best_step": status.get("best_step"),
        "validation": status.get("validation"),
        "error": status.get("error"),
        "codebooks": folders_of("codebooks", directory, workspace.measured_dir(name)),
        "checkpoints": folders_of("checkpoints", directory),
    }


def folders_of(kind: str, *directories: Path) -> list[str]:
    """Names of the folders that a run's directories keep under `kind`, each once, sorted."""
    return sorted({p.name for directory in directories for p in (directory / kind).glob("[!.]*") if p.is_dir()})


def list_runs(workspace: Workspace) -> dict[str, Any]:
    """The `runs` answer: every run of the workspace, by name."""
    return {"runs": [run_row(workspace, name) for name in run_names(workspace)]}
