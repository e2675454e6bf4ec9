"""Deleting data sets, runs and maps, after saying what depends on them.

Training, on top of the workspace. What depends on something is read from the files that name it: a run names its data
set and its parent run, a map its run, a story whatever it shows. Nothing is deleted along: a run whose data set is gone
stays and says so. What a live job is making or reading is not deleted.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..access import audited
from ..data.opening import known_datasets
from ..data.versions import dataset_lock
from ..errors import NotReadyError, SeminarError, UnknownDatasetError, UnknownNameError, UnknownRunError
from ..files import read_json
from ..training.run_files import BEST, FIRST, LAST, existing_run, read_status
from ..workspace import Workspace, checked_name, refuse_bundled
from . import control as jobs
from .state import LIVE, TRAININGS, JobSpec, read_spec

KINDS = ("dataset", "run", "map", "checkpoints")
KEPT = (FIRST, BEST, LAST)
"""Checkpoints of a run that stay when its old ones are pruned: what it began with, is shown by, and goes on from."""


def _facts(path: Path) -> dict[str, Any]:
    """What a JSON file says, nothing when it cannot be read."""
    try:
        facts = read_json(path)
    except SeminarError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _mentions(value: Any, kind: str, name: str) -> bool:
    """Whether a JSON value holds, at any depth, the key `kind` with the name `name`."""
    if isinstance(value, dict):
        return value.get(kind) == name or any(_mentions(v, kind, name) for v in value.values())
    return isinstance(value, list) and any(_mentions(v, kind, name) for v in value)


def targets(workspace: Workspace, kind: str, name: str) -> list[Path]:
    """The files or directories that make up `name`.

    Raises:
        UnknownNameError: the kind, or nothing of this kind has the name.
    """
    checked_name(name, kind)
    if kind in ("run", "checkpoints"):
        refuse_bundled(name)
    error: type[UnknownNameError]
    if kind == "dataset":
        found = [workspace.dataset_dir(name)]
        known, error = known_datasets(workspace), UnknownDatasetError
    elif kind == "run":
        found = [workspace.run_dir(name)]
        known, error = [p.name for p in workspace.runs.glob("[!.]*")], UnknownRunError
    elif kind == "map":
        found = [p for p in workspace.maps.glob("[!.]*") if name in (p.name, p.stem)]
        known, error = sorted({p.stem for p in workspace.maps.glob("[!.]*")}), UnknownNameError
    elif kind == "checkpoints":
        return old_checkpoints(workspace, name)
    else:
        raise UnknownNameError("kind", kind, KINDS)
    present = [path for path in found if path.exists()]
    if not present:
        what = {"dataset": "data set"}.get(kind, kind)
        raise error(what, name, known)
    return present


def old_checkpoints(workspace: Workspace, name: str) -> list[Path]:
    """The checkpoints of run `name` between its first, its best and its last, which only the frames of a map show.

    Raises:
        UnknownRunError: no such run.
        NotReadyError: there is none to prune.
    """
    found = (existing_run(workspace, name) / "checkpoints").glob("step-*")
    old = sorted(path for path in found if path.name not in KEPT)
    if not old:
        raise NotReadyError(
            f"run {name!r} has no checkpoints beside {', '.join(KEPT)}", hint="there is nothing to prune"
        )
    return old


def dependents(workspace: Workspace, kind: str, name: str) -> dict[str, list[str]]:
    """Runs, maps and stories that name the thing; kinds without any are left out."""
    key = "parent" if kind == "run" else kind
    found = {
        "runs": [p.parent.name for p in workspace.runs.glob("[!.]*/run.json") if _facts(p).get(key) == name],
        "maps": [p.parent.name for p in workspace.maps.glob("[!.]*/map.json") if _mentions(_facts(p), kind, name)],
        "stories": [p.stem for p in workspace.stories.glob("[!.]*.json") if _mentions(_facts(p), kind, name)],
    }
    return {what: sorted(names) for what, names in found.items() if names}


def behind_run(workspace: Workspace, name: str | None) -> set[tuple[str, str | None]]:
    """Kind and name of a run, of its data set, and of the runs that it started from with theirs."""
    used: set[tuple[str, str | None]] = set()
    while name and ("run", name) not in used:
        card = _facts(workspace.run_dir(name) / "run.json")
        used |= {("run", name), ("dataset", card.get("dataset"))}
        name = card.get("parent")
    return used


def used_by(workspace: Workspace, spec: JobSpec) -> set[tuple[str, str | None]]:
    """Kind and name of all that a job makes or reads, whether its words name it or a run among them does."""
    out = Path(spec.option("out") or "")
    used = {("dataset", spec.option("dataset")), ("dataset", spec.option("name")), ("run", spec.option("run"))}
    used |= {("map", out.name), ("map", out.stem)} | behind_run(workspace, spec.option("from"))
    return used if spec.command in TRAININGS else used | behind_run(workspace, spec.option("run"))


def trained_now(workspace: Workspace) -> dict[str, Any]:
    """Run -> process of those that are being trained on this machine; a damaged one is not."""
    found = {}
    for path in workspace.runs.glob("[!.]*/status.json"):
        with suppress(SeminarError):
            status = read_status(path.parent)
            if status["state"] == "running":
                found[path.parent.name] = status.get("pid")
    return found


def refuse_while_used(workspace: Workspace, kind: str, name: str) -> None:
    """Raise while a live job makes or reads the thing, or a run is trained on it without a job.

    Raises:
        NotReadyError: naming the job or the run.
    """
    thing = ("run" if kind == "checkpoints" else kind, name)
    for job in jobs.rows(workspace):
        if job["state"] in LIVE and thing in used_by(workspace, read_spec(workspace.job_dir(job["job"]))):
            raise NotReadyError(
                f"{kind} {name!r} is in use: job {job['job']} is {job['state']}",
                hint=f"wait for it, or cancel it with `jobs cancel {job['job']}`",
            )
    for run, pid in trained_now(workspace).items():
        if thing in behind_run(workspace, run):
            raise NotReadyError(
                f"{kind} {name!r} is in use: run {run!r} is being trained by process {pid}",
                hint="wait for it, or stop it first",
            )


def delete(workspace: Workspace, kind: str, name: str) -> dict[str, Any]:
    """Delete a data set, run or map, or the old checkpoints of a run, and return what depended on it.

    With a data set or a run goes what the app kept of its answers.

    Raises:
        UnknownNameError: no such kind or name.
        NotReadyError: a live job uses it.
        NotAllowedError: the person of the moment is no operator.
    """
    with audited(workspace, f"delete {kind}", name):
        found = targets(workspace, kind, name)
        depending = dependents(workspace, kind, name)
        refuse_while_used(workspace, kind, name)
        if kind == "dataset":
            with dataset_lock(workspace, name):
                _remove(found)
        else:
            _remove(found)
        if kind in ("dataset", "run"):
            shutil.rmtree(workspace.answers, ignore_errors=True)  # some are of what went; the others are made again
    return {"deleted": name, "kind": kind, "dependents": depending}


def _remove(paths: list[Path]) -> None:
    """Take each path out of sight by one rename, then free its space."""
    for path in paths:
        gone = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-deleted-{path.name}")
        os.replace(path, gone)
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink(missing_ok=True)
