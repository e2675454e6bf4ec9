"""Deleting data sets, runs and maps, after saying what depends on them.

Training, on top of the workspace. What depends on something is read from the files that name it: a run names its data
set and its parent run, a map its run, a story whatever it shows. Nothing is deleted along: a run whose data set is gone
stays and says so. What a live job is making or reading is not deleted.
"""

from __future__ import annotations

import os
import shutil
import uuid
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
from .state import LIVE

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


def refuse_while_used(workspace: Workspace, kind: str, name: str) -> None:
    """Raise while a live job makes or reads the thing, or a run trains without a job.

    Raises:
        NotReadyError: naming the job or the run.
    """
    if kind in ("run", "checkpoints"):
        try:
            status = read_status(workspace.run_dir(name))
        except SeminarError:  # so damaged that nothing can be training it
            status = {}
        if status.get("state") == "running":
            raise NotReadyError(
                f"run {name!r} is being trained by process {status.get('pid')}", hint="wait for it, or stop it first"
            )
    option = {"dataset": ("--dataset", "--name"), "map": ("--out",)}.get(kind, ("--run", "--from"))
    for job in jobs.rows(workspace):
        words = job["words"]
        used = [w for o, w in zip(words, words[1:], strict=False) if o in option]
        used += [w.partition("=")[2] for w in words if w.partition("=")[0] in option]
        if job["state"] in LIVE and name in used:
            raise NotReadyError(
                f"{kind} {name!r} is in use: job {job['job']} is {job['state']}",
                hint=f"wait for it, or cancel it with `jobs cancel {job['job']}`",
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
