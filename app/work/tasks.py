"""What is done beside the server, each as the command of the same name does it; plain arguments in, JSON types out.

These functions run in a process of the desk. What they open is kept for the next question.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seminar_core.files import plain
from seminar_core.progress import Progress, silent
from seminar_core.workspace import Workspace

from .kept import drop_oldest

if TYPE_CHECKING:
    from seminar_core.alignment.map_store import MapRequest
    from seminar_core.alignment.stages import StageVectors
    from seminar_core.search.study import Study

MOST_OF_MAPS = 512 << 20


@lru_cache(maxsize=4)
def _stage(root: str, run: str, stage: str, version: str) -> StageVectors:
    from seminar_core.alignment.stages import open_stage

    return open_stage(Workspace(Path(root)), run, stage)


@lru_cache(maxsize=1)
def _study(root: str, run: str, version: str) -> Study:
    from seminar_core.search.study import open_study

    return open_study(Workspace(Path(root)), run)


def card(
    root: str,
    run: str,
    stage: str,
    version: str,
    correction: str,
    rows: tuple[int, ...] | None,
    *,
    progress: Progress,
) -> dict[str, Any]:
    """Number card of a stage, of all items or of the catalogue rows `rows`."""
    from seminar_core.alignment.stages import card_of

    progress(0, 1, "measuring with 200 resamplings")
    chosen = None if rows is None else np.array(rows, np.int32)
    return card_of(_stage(root, run, stage, version), items=chosen, correction=correction)


def encoders_card(
    root: str,
    run: str,
    stage: str,
    version: str,
    correction: str,
    rows: tuple[int, ...] | None,
    *,
    progress: Progress,
) -> dict[str, Any] | None:
    """Number card of the text and picture encoders that the run was trained on; None without both."""
    from seminar_core.alignment import stages

    progress(0, 1, "measuring the frozen encoders")
    chosen = None if rows is None else np.array(rows, np.int32)
    opened = _stage(root, run, stage, version)
    return stages.encoders_card(Workspace(Path(root)), opened, items=chosen, correction=correction)


def worklist(root: str, run: str, stage: str, version: str, of: str, *, progress: Progress) -> list[Any]:
    """Rows of the whole work-list of items or people, how many were judged, and how many there are."""
    from seminar_core.alignment import worklist_rows

    progress(0, 1, "comparing the modalities' neighbours")
    rows = worklist_rows.item_rows if of == "items" else worklist_rows.people_rows
    return list(rows(_stage(root, run, stage, version)))


def umap(root: str, run: str, names: tuple[str, ...], version: str, request: MapRequest, *, progress: Progress) -> str:
    """Draw a map into the workspace, which holds `MOST_OF_MAPS` bytes of those last drawn or shown; its key."""
    from seminar_core.alignment.map_store import drawn_map
    from seminar_core.alignment.stages import map_source

    progress(0, 1, "opening the run; a new process compiles first")
    workspace = Workspace(Path(root))
    opened = {name: _stage(root, run, name, version) for name in names}
    channels = {name: stage.channels for name, stage in opened.items()}
    key, _ = drawn_map(workspace, channels, request, source=map_source(run, opened), progress=progress)
    drop_oldest(workspace.maps, MOST_OF_MAPS, "[!.]*")  # hidden: selections that links name, maps being written
    return key


def population(root: str, run: str, version: str, spec: str, k: int | None, *, progress: Progress) -> dict[str, Any]:
    """PQ loss, length and gap of every person, as the command `population` answers."""
    from seminar_core.search.population import population as measure

    progress(0, 1, "opening the run")
    opened = _study(root, run, version)
    return measure(Workspace(Path(root)), run, spec=spec, k=k, study=opened, progress=progress)


def frontier(root: str, run: str, version: str, person: str, *, progress: Progress) -> dict[str, Any]:
    """Recall, mass, bytes and latency of every specification, as the command `frontier` answers."""
    from seminar_core.search.budget import frontier as measure

    progress(0, 1, "opening the run")
    opened = _study(root, run, version)
    return measure(Workspace(Path(root)), run, person=person or None, study=opened, progress=progress)


def encode(root: str, name: str, text: str, image: str, *, progress: Progress) -> None:
    """Make the text and picture vectors of a data set where they are missing; the usual ones where none are named."""
    from seminar_core.data.opening import open_dataset
    from seminar_core.encoders import load_encodings

    named = {kind: value for kind, value in (("text", text), ("image", image)) if value}
    load_encodings(open_dataset(Workspace(Path(root)), name), **named, progress=progress)


def interests(root: str, name: str, person: str, *, progress: Progress = silent) -> dict[str, Any]:
    """Interests of a life over time; encodes the data set first where that is needed."""
    from seminar_core.data.opening import open_dataset
    from seminar_core.lives.interests import life_interests

    progress(0, 1, "clustering")
    return plain(vars(life_interests(open_dataset(Workspace(Path(root)), name), person)))
