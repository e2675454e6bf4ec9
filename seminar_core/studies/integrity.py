"""`verify` and `repair`: whether every file of a data set or a run is what it was when it was finished.

Studies, over data, encoders, codebooks and runs, which seal what they write (`sums`). What can be derived is made
again: encoder vectors, codebooks, what was measured. Events, catalogue and checkpoints cannot; their errors say what
can be done.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..data.dataset import SAMPLE
from ..data.opening import import_sample, known_datasets
from ..errors import CorruptFileError, MissingFileError, NotReadyError, SeminarError, UnknownNameError
from ..files import read_json
from ..progress import Progress, silent
from ..sums import SUMS, problems, seal
from ..training.run_files import existing_run, read_status, run_names
from ..workspace import Workspace, refuse_bundled

KINDS = ("dataset", "run")
DERIVED = ("encodings", "codebooks", "population", "results")


def folder_of(workspace: Workspace, name: str, kind: str | None) -> tuple[str, Path]:
    """Kind and folder of what is called `name`: the current version of a data set, or a run.

    Raises:
        UnknownNameError: there is neither, or `kind` is none.
        CorruptFileError: the data set does not say which version is its current one.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    datasets = known_datasets(workspace)
    if kind != "run" and name in datasets:
        if name == SAMPLE:
            import_sample(workspace)
        pointer = workspace.dataset_dir(name) / "dataset.json"
        try:
            current = str(read_json(pointer)["current"])
        except (KeyError, TypeError, MissingFileError) as error:
            raise CorruptFileError(f"{pointer} names no version", hint="import the data set again") from error
        folder = workspace.dataset_dir(name) / current
        if not current.isalnum() or not folder.is_dir():
            raise CorruptFileError(
                f"{pointer} names version {current!r}, which is not there", hint="import the data set again"
            )
        return "dataset", folder
    runs = run_names(workspace)
    if kind != "dataset" and name in runs:
        return "run", existing_run(workspace, name)
    known = {"dataset": datasets, "run": runs, None: [*datasets, *runs]}[kind]
    raise UnknownNameError(kind or "data set or run", name, known)


def sealed_folders(folder: Path) -> list[Path]:
    """Every folder with sums, `folder` and what lies in it."""
    return sorted({path.parent for path in folder.rglob(SUMS)})


def verify(workspace: Workspace, name: str, kind: str | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Read every file of a data set or a run and compare it with what was recorded.

    Returns:
        name, kind, sealed (false where it was made before sums were), files, bytes, ok, and `problems`: list of
        {file, problem, hint}.

    Raises:
        UnknownNameError: there is no such thing.
        CorruptFileError: the data set's pointer is damaged.
    """
    found_kind, folder = folder_of(workspace, name, kind)
    folders = sealed_folders(folder)
    found: list[dict[str, str]] = []
    files, size = 0, 0
    for number, part in enumerate(folders):
        progress(number, len(folders), f"reading {part.name}")
        try:
            listed = read_json(part / SUMS)["files"].values()
            files, size = files + len(listed), size + sum(int(facts["bytes"]) for facts in listed)
        except (SeminarError, KeyError, TypeError, AttributeError, ValueError):
            pass  # told below
        inside = part.relative_to(folder)
        for problem in problems(part, full=True):
            hint = hint_for(found_kind, inside / problem["file"])
            found.append({"file": str(inside / problem["file"]), "problem": problem["problem"], "hint": hint})
    return {
        "name": name,
        "kind": found_kind,
        "path": str(folder),
        "sealed": bool(folders),
        "files": files,
        "bytes": size,
        "ok": not found,
        "problems": found,
    }


def hint_for(kind: str, file: Path) -> str:
    """What to do about a damaged file."""
    if set(file.parts) & set(DERIVED):
        return "repair makes it again"
    if "checkpoints" in file.parts:
        return "delete that checkpoint, or train the run again"
    return (
        "import the data set again" if kind == "dataset" else "train the run again; its checkpoints may still be used"
    )


def repair(workspace: Workspace, name: str, kind: str | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Take away what is damaged and can be derived; it is made again when it is next asked for.

    Returns:
        name, kind, `repaired`: folders and files that were taken away, `left`: problems that only their hint mends.

    Raises:
        NotReadyError: the run is being trained.
    """
    found = verify(workspace, name, kind, progress)
    folder = Path(found["path"])
    if found["kind"] == "run":
        refuse_bundled(name)
        if read_status(folder).get("state") == "running":
            raise NotReadyError(f"run {name!r} is being trained", hint="wait for it, or stop it first")
    repaired: set[str] = set()
    left = []
    for problem in found["problems"]:
        parts = Path(problem["file"]).parts
        if parts[0] in ("encodings", "codebooks") and len(parts) > 1:
            gone = Path(*parts[:2])
            shutil.rmtree(folder / gone, ignore_errors=True)
            repaired.add(str(gone))
        elif parts[0] in ("population", "results"):
            (folder / problem["file"]).unlink(missing_ok=True)
            repaired.add(problem["file"])
        else:
            left.append(problem)
    if repaired and not left and (folder / SUMS).is_file():
        seal(folder)
    return {"name": name, "kind": found["kind"], "repaired": sorted(repaired), "left": left}
