"""A data set as everything downstream sees it: opened in milliseconds, memory-mapped, its tables read when asked for.

Data. `datasets/<name>/dataset.json` points at the current version directory, named by the hash of its content (layout:
docs/data-format.md). The bundled sample is imported from `sample_data/` when it is first opened and again when that
folder has changed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..errors import (
    CorruptFileError,
    MissingFileError,
    SeminarError,
    StaleError,
    UnknownDatasetError,
    UnknownItemError,
    UnknownPersonError,
)
from ..files import read_json
from ..progress import Progress, silent
from ..workspace import Workspace, checked_name
from .sequence_store import SequenceStore
from .versions import FORMAT_VERSION, dataset_lock

if TYPE_CHECKING:
    from .truth import Truth

log = logging.getLogger(__name__)

SAMPLE = "sample"


class Dataset:
    """One version of a data set.

    Attributes:
        name: its name in the workspace.
        path: the version's directory.
        hash: 12 hex digits over its content.
        manifest: counts, source, action and category names.

    Raises:
        StaleError: it was imported by a version of the tool with another format.
    """

    def __init__(self, name: str, path: Path):
        self.name = name
        self.path = path
        self.manifest: dict[str, Any] = read_json(path / "manifest.json")
        version = self.manifest.get("format_version")
        if version != FORMAT_VERSION:
            raise StaleError(
                f"data set {name!r} is of format {version}, this is format {FORMAT_VERSION}", hint="import it again"
            )
        self.hash: str = self.manifest["hash"]

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, people={self.n_people}, items={self.n_items}, events={self.n_events})"

    @property
    def n_people(self) -> int:
        return int(self.manifest["counts"]["people"])

    @property
    def n_items(self) -> int:
        return int(self.manifest["counts"]["items"])

    @property
    def n_queries(self) -> int:
        return int(self.manifest["counts"]["queries"])

    @property
    def n_events(self) -> int:
        return int(self.manifest["counts"]["events"])

    @property
    def n_attribute_values(self) -> int:
        return int(self.manifest["counts"]["attribute_values"])

    @property
    def actions(self) -> list[str]:
        """Action names by the code that the store's `action` column holds."""
        return list(self.manifest["actions"])

    @property
    def category_names(self) -> list[str]:
        """Category names by category row, "" at row 0."""
        return list(self.manifest["category_names"])

    @cached_property
    def store(self) -> SequenceStore:
        """All lives, memory-mapped."""
        return SequenceStore(self.path / "columns")

    @cached_property
    def person_ids(self) -> Sequence[str]:
        """Person ids by person row."""
        return self._strings("people", "person")

    @cached_property
    def item_ids(self) -> Sequence[str]:
        """Item ids by item row, "" at row 0."""
        return ["", *self._strings("items", "item")]

    @cached_property
    def titles(self) -> list[str | None]:
        """Titles by item row, None where there is none."""
        return [None, *self._strings("items", "title")]

    @cached_property
    def descriptions(self) -> list[str | None]:
        """Descriptions by item row, None where there is none."""
        return [None, *self._strings("items", "description")]

    @cached_property
    def query_texts(self) -> list[str]:
        """Distinct queries by query row, "" at row 0."""
        return ["", *self._strings("queries", "query")]

    @cached_property
    def attributes(self) -> np.ndarray:
        """(I+1, V) int32 attribute value rows, padded with 0."""
        return self._array("attributes")

    @cached_property
    def category(self) -> np.ndarray:
        """(I+1,) int32 category rows, 0 = none."""
        return self._array("category")

    @cached_property
    def query_tokens(self) -> np.ndarray:
        """(Q+1, T) int32 hashed words, padded with 0."""
        return self._array("query_tokens")

    @cached_property
    def attribute_values(self) -> list[str]:
        """`field=value` by attribute value row, "" at row 0."""
        table = pq.read_table(self.path / "attribute_values.parquet").to_pydict()
        return ["", *(f"{f}={v}" for f, v in zip(table["field"], table["value"], strict=True))]

    @cached_property
    def truth(self) -> Truth | None:
        """The planted answer of a generated data set, None for real data."""
        if not (self.path / "truth").is_dir():
            return None
        from .truth import Truth

        return Truth.load(self.path / "truth")

    def person_row(self, person_id: str) -> int:
        """Row of a person.

        Raises:
            UnknownPersonError: no such person; the message names near ones.
        """
        row = self._person_rows.get(person_id)
        if row is None:
            raise UnknownPersonError("person", person_id, self.person_ids)
        return row

    def item_row(self, item_id: str) -> int:
        """Row of an item.

        Raises:
            UnknownItemError: no such item; the message names near ones.
        """
        row = self._item_rows.get(item_id)
        if row is None:
            raise UnknownItemError("item", item_id, self.item_ids[1:])
        return row

    def query_row(self, text: str) -> int:
        """Row of a query text, 0 when nobody asked it."""
        return self._query_rows.get(text.strip(" \t\r\n"), 0)

    def picture(self, item_row: int) -> bytes | None:
        """The item's picture as WEBP, None when it has none."""
        start, stop = int(self._picture_offsets[item_row]), int(self._picture_offsets[item_row + 1])
        if start == stop:
            return None
        with (self.path / "pictures.bin").open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    @cached_property
    def has_picture(self) -> np.ndarray:
        """(I+1,) bool, false at row 0."""
        return np.diff(self._picture_offsets) > 0

    def items_frame(self) -> pd.DataFrame:
        """The catalogue as a table: item_row, item, title, description, category, events, image_state, attributes."""
        return pq.read_table(self.path / "items.parquet").to_pandas()

    def people_frame(self) -> pd.DataFrame:
        """The people as a table: person_row, person, events, searches, first_s, last_s."""
        return pq.read_table(self.path / "people.parquet").to_pandas()

    @cached_property
    def _person_rows(self) -> dict[str, int]:
        return {person: row for row, person in enumerate(self.person_ids)}

    @cached_property
    def _item_rows(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.item_ids) if row}

    @cached_property
    def _query_rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.query_texts) if row}

    @cached_property
    def _picture_offsets(self) -> np.ndarray:
        return self._array("picture_offsets")

    def _array(self, name: str) -> np.ndarray:
        return np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def _strings(self, table: str, column: str) -> list[Any]:
        return pq.read_table(self.path / f"{table}.parquet", columns=[column]).column(0).to_pylist()


def sample_directory() -> Path:
    """Where the bundled sample lies: `$SEMINAR_SAMPLE_DIR`, else `sample_data/` beside the package."""
    return Path(os.environ.get("SEMINAR_SAMPLE_DIR") or Path(__file__).resolve().parents[2] / "sample_data")


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
        path = workspace.dataset_dir(name) / _current(pointer)
        try:
            return Dataset(name, path)
        except MissingFileError:
            if attempt == 2:  # replaced between the two reads, twice
                raise
    raise AssertionError("unreachable")


def _current(pointer: Path) -> str:
    current = read_json(pointer).get("current", "")
    return checked_name(str(current), "version")


def import_sample(workspace: Workspace, progress: Progress = silent) -> None:
    """Import the bundled sample when the workspace has none, or one of another `sample_data/`.

    Raises:
        MissingFileError: neither the workspace nor `sample_data/` has it.
    """
    from .importers.table import build_table

    folder = sample_directory()
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        if (workspace.dataset_dir(SAMPLE) / "dataset.json").is_file():
            return
        raise MissingFileError(
            f"the bundled sample is not there: {manifest} does not exist",
            hint="write it with `python -m seminar_core sample`",
        )
    wanted = str(read_json(manifest).get("sha256", ""))
    if _sample_hash(workspace) == wanted:
        return
    with dataset_lock(workspace, SAMPLE):
        if _sample_hash(workspace) != wanted:  # another process may have been first
            log.info("importing the bundled sample from %s", folder)
            build_table(workspace, folder, SAMPLE, origin={"sample_sha256": wanted}, progress=progress)


def _sample_hash(workspace: Workspace) -> str | None:
    """The hash of the `sample_data/` that the workspace's sample was made from."""
    directory = workspace.dataset_dir(SAMPLE)
    try:
        manifest = Dataset(SAMPLE, directory / _current(directory / "dataset.json")).manifest
        return str(manifest["source"].get("sample_sha256"))
    except (MissingFileError, CorruptFileError, StaleError, KeyError):
        return None


def list_datasets(workspace: Workspace) -> list[dict[str, Any]]:
    """One row per data set: name, counts, source, when it was made; a damaged one says so in `error`."""
    rows: list[dict[str, Any]] = []
    for name in known_datasets(workspace):
        row: dict[str, Any] = {"dataset": name, "events": None, "people": None, "items": None, "error": None}
        pointer = workspace.dataset_dir(name) / "dataset.json"
        if pointer.is_file():
            try:
                manifest = Dataset(name, pointer.parent / _current(pointer)).manifest
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
