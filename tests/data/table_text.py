"""Writing small `table` directories for the tests of the importers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seminar_core.data.dataset import Dataset
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.workspace import Workspace


def write_csv(folder: Path, events: str, items: str | None = None) -> Path:
    """Write events.csv (and items.csv) from text whose lines may be indented."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in (("events", events), ("items", items)):
        if text is not None:
            lines = [line.strip() for line in text.strip().splitlines()]
            (folder / f"{stem}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def imported(workspace: Workspace, path: Path, name: str = "data", rejected: Path | None = None) -> Dataset:
    """Import a table and open it."""
    import_table(workspace, path, name, rejected)
    return open_dataset(workspace, name)


def problems(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """The report's problems by kind."""
    return {row["kind"]: row for row in report(dataset)["problems"]}
