"""Scratch space of an import: one held directory, the stages that are finished in it, and what kills left behind.

Data, import. An import that fails or is cancelled takes its scratch along. One that is killed leaves it; the next
import of the same name takes up the stages that were finished from the same sources (rows that were unpacked and
parsed, files that an importer wrote) and does the rest again, to the same bytes. What nobody takes up is removed by the
janitor, which runs at the start of every import and of the server. A directory in use is held by a lock that goes with
its process.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..files import YOUNG_S, held, is_free, plain, read_json, write_json
from ..workspace import Workspace

STAGE = "stage-"
KEPT_S = 24 * 3600  # how long finished stages wait to be taken up


@contextmanager
def scratch_directory(workspace: Workspace, name: str) -> Iterator[Path]:
    """A directory beside the data sets that is gone when the block ends; the caller holds `dataset_lock`.

    It is the one that a killed import of this name left, with its finished stages, where there is one.
    """
    left = sorted(workspace.datasets.glob(f".partial-????????-{name}"))
    taken = next((path for path in left if finished(path)), None)
    for path in left:
        if path != taken:
            shutil.rmtree(path, ignore_errors=True)
    path = taken or workspace.datasets / f".partial-{uuid.uuid4().hex[:8]}-{name}"
    path.mkdir(parents=True, exist_ok=True)
    with held(path):
        try:
            keep_finished(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def finished(scratch: Path) -> list[str]:
    """Names of the stages that are finished in a scratch directory."""
    return sorted(file.stem for file in scratch.glob(f"{STAGE}*.json") if (scratch / file.stem).is_dir())


def keep_finished(scratch: Path) -> None:
    """Remove everything that belongs to no finished stage."""
    kept = {entry for stem in finished(scratch) for entry in (stem, f"{stem}.json")}
    for path in scratch.iterdir():
        if path.name not in kept:
            remove(path)


def stage(scratch: Path, name: str, facts: dict[str, Any], make: Callable[[Path], Any]) -> tuple[Path, Any]:
    """The folder that `make` fills, and what it returned (JSON types): made once, also over kills.

    Args:
        scratch: of the import.
        name: of the stage, distinct in its import.
        facts: what the outcome depends on; a stage of other facts is made again.
        make: fills the empty folder that it is given.
    """
    folder, done = scratch / f"{STAGE}{name}", scratch / f"{STAGE}{name}.json"
    if done.is_file() and folder.is_dir():
        kept = read_json(done)
        if kept["facts"] == plain(facts):
            return folder, kept["value"]
    done.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    value = plain(make(folder))
    write_json(done, {"facts": facts, "value": value})
    return folder, value


def fingerprint(*paths: Path) -> list[list[Any]]:
    """What tells a file from a later one at its place: path, size, time of its last change."""
    return [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in paths if p.is_file()]


def remove(path: Path) -> None:
    """Remove a file or a directory; one that is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(workspace: Workspace) -> list[Path]:
    """The janitor: remove what killed imports and uploads left; what was removed.

    Directories that a living process holds stay, and those with finished stages for a day.
    """
    gone = []
    for path in (*workspace.root.glob(".upload-*"), *workspace.datasets.glob(".partial-*")):
        try:
            age_s = time.time() - path.stat().st_mtime
            if age_s < (KEPT_S if path.is_dir() and finished(path) else YOUNG_S) or not is_free(path):
                continue
        except OSError:  # its owner was faster
            continue
        remove(path)
        gone.append(path)
    return gone
