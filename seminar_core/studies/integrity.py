"""`verify`: whether every file of a data set or a run is what it was when it was finished.

Studies, over data, encoders, codebooks and runs, which seal what they write (`sums`). `rebuilding` makes again what can
be derived.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..data.dataset import SAMPLE
from ..data.opening import import_sample, known_datasets
from ..errors import CorruptFileError, DamagedError, MissingFileError, SeminarError, UnknownNameError
from ..files import read_json
from ..progress import Progress, silent
from ..sums import SUMS, problems, sealed_folders
from ..training.run_files import existing_run, run_names
from ..workspace import Workspace

KINDS = {"dataset": "data set", "run": "run"}
DERIVED = ("encodings", "codebooks", "population", "results")
"""What can be made again, in the order in which one needs the other."""


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


def verify(workspace: Workspace, name: str, kind: str | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Read every file of a data set or a run and compare it with what was recorded.

    Returns:
        name, kind, path, sealed (false where it was made before sums were), files, bytes, seconds, ok, and `problems`:
        list of {file, problem, hint}.

    Raises:
        UnknownNameError: there is no such thing.
        CorruptFileError: the data set's pointer is damaged.
    """
    started = time.perf_counter()
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
            hint = hint_for(found_kind, name, inside / problem["file"])
            found.append({"file": str(inside / problem["file"]), "problem": problem["problem"], "hint": hint})
    return {
        "name": name,
        "kind": found_kind,
        "path": str(folder),
        "sealed": bool(folders),
        "files": files,
        "bytes": size,
        "seconds": round(time.perf_counter() - started, 3),
        "ok": not found,
        "problems": found,
    }


def hint_for(kind: str, name: str, file: Path) -> str:
    """What to do about a damaged file."""
    if set(file.parts) & set(DERIVED) or (kind == "dataset" and name == SAMPLE):
        return "`repair` makes it again"
    if file.name == SUMS:
        return "`repair` writes it anew where the files are still those it names; else compare with a copy"
    if "checkpoints" in file.parts:
        return "use another checkpoint of the run, or train it again"
    return (
        "import the data set again" if kind == "dataset" else "train the run again; its checkpoints may still be used"
    )


def refuse_damage(answer: dict[str, Any], files: list[dict[str, str]], what: str) -> None:
    """End a command that found damage.

    Args:
        answer: of the command.
        files: that are damaged.
        what: is said of them.

    Raises:
        DamagedError: there is one; it names all of them.
    """
    if not files:
        return
    named = "; ".join(f"{row['file']} {row['problem']}" for row in files)
    rebuilt = f"; made again: {', '.join(answer['rebuilt'])}" if answer.get("rebuilt") else ""
    raise DamagedError(
        f"files of {KINDS[answer['kind']]} {answer['name']!r} {what}: {named}{rebuilt}",
        hint="; ".join(dict.fromkeys(row["hint"] for row in files)),
        answer=answer,
    )
