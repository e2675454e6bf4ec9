"""A data set as everything downstream sees it: opened in milliseconds, memory-mapped, its tables read when asked for.

Data. `datasets/<name>/dataset.json` points at the current version directory, named by the hash of its content (layout:
docs/data-format.md). `opening` finds it by name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..errors import (
    MissingFileError,
    StaleError,
    UnknownItemError,
    UnknownPersonError,
)
from ..files import read_json
from ..sums import require_whole
from .sequence_store import SequenceStore
from .versions import FORMAT_VERSION, Lease
from .vocabulary import WHITE

if TYPE_CHECKING:
    from .synthetic.truth import Truth

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
        if not path.is_dir():
            raise MissingFileError(f"data set {name!r}: {path} does not exist", hint="import it again")
        self._lease = Lease(path)
        self.manifest: dict[str, Any] = read_json(path / "manifest.json")
        version = self.manifest.get("format_version")
        if version != FORMAT_VERSION:
            raise StaleError(
                f"data set {name!r} is of format {version}, this is format {FORMAT_VERSION}", hint="import it again"
            )
        self.hash: str = self.manifest["hash"]
        require_whole(path, f"data set {name!r} was changed or damaged")

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
        from .synthetic.truth import Truth

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
        return self._query_rows.get(text.strip(WHITE), 0)

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
