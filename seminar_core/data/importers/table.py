"""The `table` format: events.parquet or events.csv, beside it items.parquet or items.csv and a folder pictures/.

Data, import. The project's own format (docs/data-format.md lists its columns): what a person writes who brings their
own data, and what the sample is stored in.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ...errors import ConfigError, ExistsError, InvalidDataError, MissingFileError
from ...progress import Progress, silent
from ...runtime import peak_memory_mb
from ...workspace import Workspace, checked_name
from ..build import build_dataset
from ..catalogue import read_items
from ..dataset import SAMPLE, Dataset
from ..event_source import open_events, write_rejected
from ..hints import EVENT_COLUMNS, Hints
from ..intake.uploads import origin_of, taken
from ..limits import Terms, refuse_rows
from ..report import report
from ..scratch import reading, scratch_connection
from ..table_files import ENDINGS, parquet_parts
from ..versions import importing, offered


def import_table(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
    hints: Hints | None = None,
    terms: Terms = Terms(),
) -> dict[str, Any]:
    """Import a `table` directory, or a single events file.

    Args:
        path: the directory or file; a folder `*.parquet` is one Parquet in parts.
        name: of the data set; one that exists is replaced once the new one is complete.
        rejected: where rows that could not be used are written, with number and reason.
        hints: how the files are to be read; None = guess.
        terms: whether it is only offered, and how many rows it may have.

    Raises:
        MissingFileError: there is no events file.
        ConfigError: a column of items was told and there is no items file.
        ResourceError: more rows, or more names, than may be.
        InvalidDataError: and its subclasses, when the files break the format.
    """
    started = time.perf_counter()
    refuse_reserved(name)
    path = Path(path)
    with importing(workspace, name) as scratch, taken(workspace, path):
        origin = origin_of(workspace, path)
        dataset = build_table(
            workspace,
            path,
            name,
            scratch,
            rejected=rejected,
            origin=origin,
            progress=progress,
            hints=hints,
            terms=terms,
        )
    return answer(dataset, started) | offer_of(workspace, dataset)


def offer_of(workspace: Workspace, dataset: Dataset) -> dict[str, Any]:
    """`offered`: the hash of the version that was imported, where it waits for `settle`; else nothing."""
    waits = offered(workspace, dataset.name) == dataset.hash
    return {"offered": dataset.hash} if waits else {}


def refuse_reserved(name: str) -> None:
    """Raise unless `name` is a data set name that an import may take."""
    checked_name(name, "data set")
    if name == SAMPLE:
        raise ExistsError(
            "the name 'sample' is kept for the bundled sample", hint="choose another --name; `sample` writes the sample"
        )


def answer(dataset: Dataset, started: float) -> dict[str, Any]:
    """What the command `import` answers."""
    counts = dataset.manifest["counts"]
    return {
        "dataset": dataset.name,
        **{key: counts[key] for key in ("events", "people", "items", "rejected")},
        "seconds": time.perf_counter() - started,
        "peak_mb": peak_memory_mb(),
        "guesses": report(dataset).get("guesses", {}),
    }


def build_table(
    workspace: Workspace,
    path: Path,
    name: str,
    scratch: Path,
    *,
    rejected: Path | None = None,
    origin: dict[str, Any] | None = None,
    progress: Progress = silent,
    hints: Hints | None = None,
    terms: Terms = Terms(),
) -> Dataset:
    """Import without taking the lock: the caller holds `dataset_lock` and a `scratch_directory`."""
    events, items = find_files(path)
    of_items = [name for name in (hints or Hints()).columns if name not in EVENT_COLUMNS]
    if of_items and items is None:
        raise ConfigError(
            f"column {of_items[0]!r} was told and {path} has no items file",
            hint="bring items.csv or items.parquet beside the events, or leave the column out",
        )
    for file in (events, items):
        if terms.most_rows is not None and file is not None and file.suffix == ".parquet" and file.stat().st_size:
            with reading(file):
                refuse_rows(file, sum(pq.ParquetFile(part).metadata.num_rows for part in parquet_parts(file)), terms)
    connection = scratch_connection(scratch)
    try:
        progress(0, 100, f"reading {events.name}")
        with reading(events):
            source = open_events(connection, events, scratch, hints)
        refuse_rows(events, source.events + source.n_rejected, terms)
        if rejected is not None:
            write_rejected(source, Path(rejected))
        with reading(items or events):
            catalogue = read_items(connection, items, scratch, hints) if items else None
        if items is not None and catalogue is not None:
            refuse_rows(items, len(catalogue.ids), terms)
        truth = path / "truth"
        with reading(events):
            version = build_dataset(
                workspace,
                name,
                source,
                catalogue,
                scratch=scratch,
                origin={"format": "table", "path": str(path), **(origin or {})},
                truth=truth if truth.is_dir() else None,
                progress=progress,
                offer=terms.offer,
            )
    finally:
        connection.close()
    return Dataset(name, version)


def find_files(path: Path) -> tuple[Path, Path | None]:
    """The events file and, where there is one, the items file.

    Raises:
        MissingFileError: `path` does not exist or holds no events file.
        InvalidDataError: there are two of one kind, or the ending is not known.
    """
    if path.is_file():
        if not path.name.endswith(ENDINGS):
            raise InvalidDataError(
                f"{path} ends in {path.suffix!r}, expected one of {', '.join(ENDINGS)}",
                hint="convert it to Parquet or CSV",
            )
        return path, None
    if path.is_dir() and path.suffix == ".parquet":
        return path, None
    if not path.is_dir():
        raise MissingFileError(f"{path} does not exist", hint="give a directory with events.parquet or events.csv")
    found: dict[str, Path | None] = {}
    for stem in ("events", "items"):
        files = [path / f"{stem}{ending}" for ending in ENDINGS if (path / f"{stem}{ending}").is_file()]
        if (path / f"{stem}.parquet").is_dir():
            files.append(path / f"{stem}.parquet")
        if len(files) > 1:
            raise InvalidDataError(
                f"{path} has both {files[0].name} and {files[1].name}", hint="remove the one that is not meant"
            )
        found[stem] = files[0] if files else None
    if found["events"] is None:
        raise MissingFileError(
            f"{path} has neither events.parquet nor events.csv", hint="see docs/data-format.md for the table format"
        )
    return found["events"], found["items"]
