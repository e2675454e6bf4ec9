"""Opening data sets by name: the workspace's own, and the bundled sample, imported when it is first asked for.

Data, the door through which everything downstream comes to a data set.
"""

from __future__ import annotations

import logging
from typing import Any

from ..beside import sample_directory
from ..errors import CorruptFileError, MissingFileError, SeminarError, UnknownDatasetError, UnsafePathError
from ..files import read_json
from ..progress import Progress, silent
from ..workspace import Workspace, checked_name
from .dataset import SAMPLE, Dataset
from .importers.table import build_table
from .stages import scratch_directory
from .versions import FORMAT_VERSION, current_version, dataset_lock

log = logging.getLogger(__name__)


def known_datasets(workspace: Workspace) -> list[str]:
    """Names that `open_dataset` knows; the sample is always one of them where its folder is."""
    names = {p.parent.name for p in workspace.datasets.glob("[!.]*/dataset.json")}
    if (sample_directory() / "manifest.json").is_file():
        names.add(SAMPLE)
    return sorted(names)


def open_dataset(workspace: Workspace, name: str, progress: Progress = silent) -> Dataset:
    """Open the current version of a data set; the sample is imported first where that is needed.

    Raises:
        UnknownDatasetError: the workspace has none of this name.
        UnsafePathError: the name is not allowed.
    """
    checked_name(name, "data set")
    if name == SAMPLE:
        import_sample(workspace, progress)
    pointer = workspace.dataset_dir(name) / "dataset.json"
    if not pointer.is_file():
        raise UnknownDatasetError("data set", name, known_datasets(workspace))
    for attempt in (1, 2):
        path = pointer.parent / current_version(pointer.parent)
        try:
            return Dataset(name, path)
        except MissingFileError:
            if attempt == 2:  # replaced between the two reads, twice
                raise
    raise AssertionError("unreachable")


def import_sample(workspace: Workspace, progress: Progress = silent, *, again: bool = False) -> None:
    """Import the bundled sample when the workspace has none, or one of another `sample_data/`, or `again` in any case.

    Raises:
        MissingFileError: neither the workspace nor `sample_data/` has it.
    """
    folder = sample_directory()
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        if not again and (workspace.dataset_dir(SAMPLE) / "dataset.json").is_file():
            return
        raise MissingFileError(
            f"the bundled sample is not there: {manifest} does not exist",
            hint="write it with `python -m seminar_core sample`",
        )
    wanted = str(read_json(manifest).get("sha256", ""))
    if not again and _sample_hash(workspace) == wanted:
        return
    with dataset_lock(workspace, SAMPLE):
        if again or _sample_hash(workspace) != wanted:  # another process may have been first
            log.info("importing the bundled sample from %s", folder)
            with scratch_directory(workspace, SAMPLE) as scratch:
                origin = {"sample_sha256": wanted}
                build_table(workspace, folder, SAMPLE, scratch, origin=origin, progress=progress)


def _sample_hash(workspace: Workspace) -> str | None:
    """The hash of the `sample_data/` that the workspace's sample was made from; None where its manifest is not there.

    Whether its files are sound is looked at where it is opened: damage is told, not replaced without a word.
    """
    directory = workspace.dataset_dir(SAMPLE)
    try:
        manifest = read_json(directory / current_version(directory) / "manifest.json")
        return str(manifest["source"]["sample_sha256"]) if manifest["format_version"] == FORMAT_VERSION else None
    except (MissingFileError, CorruptFileError, UnsafePathError, KeyError, TypeError):
        return None


def list_datasets(workspace: Workspace) -> list[dict[str, Any]]:
    """One row per data set: name, counts, source, when it was made; a damaged one says so in `error`."""
    rows: list[dict[str, Any]] = []
    for name in known_datasets(workspace):
        row: dict[str, Any] = {"dataset": name, "events": None, "people": None, "items": None, "error": None}
        pointer = workspace.dataset_dir(name) / "dataset.json"
        if pointer.is_file():
            try:
                manifest = Dataset(name, pointer.parent / current_version(pointer.parent)).manifest
                row |= {key: manifest["counts"][key] for key in ("events", "people", "items")}
                row |= {
                    "hash": manifest["hash"],
                    "created": manifest["created"],
                    "format": manifest["source"]["format"],
                }
            except (SeminarError, KeyError) as error:
                row["error"] = str(error)
        rows.append(row)
    return rows
