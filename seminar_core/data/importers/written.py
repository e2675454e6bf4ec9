"""What importers share that first write the `table` format: a scratch folder, then the import of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...progress import Progress
from ...workspace import Workspace
from ..scratch import reading
from ..stages import stage
from ..versions import importing
from .table import answer, build_table, refuse_reserved

EVENTS = pa.schema(
    [
        ("person", pa.string()),
        ("time", pa.int64()),
        ("item", pa.string()),
        ("query", pa.string()),
        ("action", pa.string()),
        ("label", pa.int8()),
    ]
)


def import_written(
    workspace: Workspace,
    path: Path,
    name: str,
    kind: str,
    write: Callable[[Path], None],
    *,
    facts: dict[str, Any],
    rejected: Path | None,
    progress: Progress,
    beside: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Let `write` fill a folder in the `table` format and import that as data set `name` of origin `kind`.

    What was written is taken up after a kill while `facts`, what it depends on, are the same.

    Args:
        beside: further files that `write` makes, which are to lie beside the versions of the data set.
    """
    started = time.perf_counter()
    refuse_reserved(name)
    with importing(workspace, name) as scratch:
        progress(0, 100, f"reading {path.name}")
        with reading(path):
            folder, _ = stage(scratch, "written", {"format": kind, **facts}, write)
        origin = {"format": kind, "path": str(path)}
        dataset = build_table(workspace, folder, name, scratch, rejected=rejected, origin=origin, progress=progress)
        for file in beside:
            shutil.copyfile(folder / file, scratch / file)  # a copy: a kill must find what was written as it was
            os.replace(scratch / file, workspace.dataset_dir(name) / file)
    return answer(dataset, started)


class EventsWriter:
    """Writes events.parquet a batch at a time.

    Args:
        folder: where it goes.
        name: of the file, where it is another.
    """

    def __init__(self, folder: Path, name: str = "events.parquet"):
        self._writer = pq.ParquetWriter(folder / name, EVENTS)

    def __enter__(self) -> EventsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, **columns: list[Any]) -> None:
        """Append events; columns that are left out are empty."""
        n = len(columns["item"])
        arrays = [pa.array(columns.get(field.name, [None] * n), field.type) for field in EVENTS]
        self._writer.write_table(pa.table(arrays, schema=EVENTS))
