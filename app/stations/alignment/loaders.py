"""The caches of the station Alignment: vectors of a stage, number cards, maps, and the bytes the map component gets.

Kept under the runs' last change (as in `loaders.py`), so a retrained run is never shown from memory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from app import limits, loaders
from app.components.alignment_map import payload
from app.components.block import head_of
from app.work import tasks, waiting
from app.work.waiting import Heavy
from seminar_core.workspace import Workspace

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from seminar_core.alignment.channel_set import ChannelSet
    from seminar_core.alignment.map_store import MapRequest
    from seminar_core.alignment.projection import Layout
    from seminar_core.alignment.stages import StageVectors

MAP_KEY = "alignment_map"


def stages(run: str) -> dict[str, tuple[str, str]]:
    """Stages that a run has, each as (run to open, checkpoint)."""
    from seminar_core.alignment.stages import stages_of

    return stages_of(loaders.workspace(), run)


def notes(run: str, stages: tuple[str, ...]) -> list[str]:
    """What must be known of the stages before they are compared."""
    from seminar_core.alignment.stages import notes_of

    return notes_of(loaders.workspace(), run, stages)


def run_version(run: str) -> str:
    """What changes when the run, or the one it was restored from, changes."""
    return ",".join(loaders.run_key(name) for name in sorted({run, *(source for source, _ in stages(run).values())}))


@st.cache_data(max_entries=16, show_spinner=False)
def _frames(root: str, run: str, version: str) -> list[str]:
    from seminar_core.alignment.stages import film_frames

    return film_frames(Workspace(Path(root)), run)


def checkpoints(run: str, most: int = 8) -> tuple[list[str], int]:
    """At most `most` kept checkpoints, evenly spread with the first and the last, and how many there are."""
    found = _frames(str(loaders.workspace().root), run, run_version(run))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [found[at] for at in chosen], len(found)


@st.cache_resource(max_entries=16, show_spinner="Opening the stage …")
def _stage(root: str, run: str, stage: str, version: str) -> StageVectors:
    from seminar_core.alignment.stages import open_stage

    return open_stage(Workspace(Path(root)), run, stage)


def stage_vectors(run: str, stage: str) -> StageVectors:
    """Vectors of the catalogue at one stage.

    Raises:
        Pending: texts and pictures are being encoded first.
    """
    loaders.encoded_for(run)
    return _stage(str(loaders.workspace().root), run, stage, run_version(run))


def channel_sets(run: str, names: tuple[str, ...]) -> dict[str, ChannelSet]:
    """Vectors of several stages."""
    return {name: stage_vectors(run, name).channels for name in names}


def version(run: str) -> str:
    """Digest of what the run, and the one it was restored from, hold."""
    return ",".join(
        loaders.run_content(name) for name in sorted({run, *(source for source, _ in stages(run).values())})
    )


def cards(
    run: str, names: tuple[str, ...], correction: str, rows: tuple[int, ...] | None = None
) -> dict[str, dict[str, Any]]:
    """Number card of each stage, of all items or of the catalogue rows `rows`.

    Raises:
        Pending: they are being measured.
    """
    root, content = str(loaders.workspace().root), version(run)
    asked = [(run, name, content, correction, rows) for name in names]
    questions = [Heavy(f"Number card of {one[1]}", tasks.card, (root, *one), one) for one in asked]
    return dict(zip(names, waiting.answers(questions), strict=True))


Asked = tuple[str, tuple[str, ...], str, str, tuple[int, ...] | None]


def asked_card(run: str, names: tuple[str, ...], correction: str, rows: tuple[int, ...] | None) -> Asked:
    """What a table of cards depends on."""
    return run, names, version(run), correction, rows


def table_of(run: str, names: tuple[str, ...], correction: str, rows: tuple[int, ...] | None = None) -> pd.DataFrame:
    """The cards of several stages as one table, which nobody changes. Raises as `cards`."""
    return _table(asked_card(run, names, correction, rows), cards(run, names, correction, rows))


@st.cache_resource(max_entries=32, show_spinner=False)
def _table(asked: Asked, _cards: dict[str, dict[str, Any]]) -> pd.DataFrame:
    from seminar_core.alignment.card_table import card_table

    return card_table(_cards)


@st.cache_resource(max_entries=32, show_spinner=False)
def card_figure(asked: Asked, part: str, _table: pd.DataFrame) -> Figure:
    """The figure of a table of cards, made once for all sessions: it takes most of the page's time."""
    from app.stations.alignment import figures

    return figures.card_figure(_table, part)


def encoders_card(run: str, stage: str, correction: str, rows: tuple[int, ...] | None = None) -> dict[str, Any] | None:
    """Number card of the text and picture encoders that the run was trained on; None without both.

    Raises:
        Pending: it is being measured.
    """
    asked = (run, stage, version(run), correction, rows)
    root = str(loaders.workspace().root)
    return waiting.answer(Heavy("Number card of the encoders", tasks.encoders_card, (root, *asked), asked))


def drawn(run: str, names: tuple[str, ...], request: MapRequest) -> None:
    """Have the map drawn into the workspace.

    Raises:
        Pending: it is being drawn.
        ResourceError: too many of this session are.
    """
    asked = (run, names, version(run), request)
    root = str(loaders.workspace().root)
    question = Heavy("UMAP of this run", tasks.umap, (root, *asked), asked, keep=False, slow=True)
    live = waiting.desk().live()
    if question.key not in live:
        limits.refuse_maps(live)
        limits.map_began(question.key)
    waiting.answer(question)


@st.cache_resource(max_entries=24, show_spinner=False)
def _key(root: str, run: str, names: tuple[str, ...], version: str, request: MapRequest) -> str:
    from seminar_core.alignment.map_store import map_key

    return map_key(channel_sets(run, names), request)


def map_key(run: str, names: tuple[str, ...], request: MapRequest) -> str:
    """Name of the map that these stages and parameters have."""
    return _key(str(loaders.workspace().root), run, names, run_version(run), request)


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(root: str, run: str, names: tuple[str, ...], key: str, request: MapRequest) -> Layout:
    from seminar_core.alignment.map_store import drawn_map

    return drawn_map(Workspace(Path(root)), channel_sets(run, names), request, source={"run": run})[1]


def kept_layout(run: str, names: tuple[str, ...], request: MapRequest) -> Layout | None:
    """The UMAP picture when it has been drawn, else None."""
    from seminar_core.alignment.map_store import kept_path

    workspace, key = loaders.workspace(), map_key(run, names, request)
    path = kept_path(workspace, key)
    if path is None:
        return None
    if path.parent == workspace.maps:
        with suppress(OSError):  # a workspace that can only be read is read all the same
            os.utime(path)  # the maps that are longest unused go first
    return _kept(str(workspace.root), run, names, key, request)


def has_stale_map(run: str, names: tuple[str, ...], request: MapRequest) -> bool:
    """Whether a map of these stages and this request is kept that was drawn from other vectors than they have now."""
    from seminar_core.alignment.map_store import list_maps

    source, wanted = {"run": run, "stages": list(names)}, vars(request.of(len(names)))
    return any(
        entry["key"] != map_key(run, names, request)
        and {name: entry.get(name) for name in wanted} == wanted
        and {name: entry["source"].get(name) for name in source} == source
        for entry in list_maps(loaders.workspace())
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _pca(root: str, run: str, names: tuple[str, ...], version: str, seed: int) -> Layout:
    from seminar_core.alignment.projection import joint_points, lay_out

    return lay_out(joint_points(channel_sets(run, names), seed=seed), method="pca", seed=seed)


def pca_layout(run: str, names: tuple[str, ...], seed: int) -> Layout:
    """The PCA picture, at once."""
    return _pca(str(loaders.workspace().root), run, names, run_version(run), seed)


@st.cache_resource(max_entries=8, show_spinner=False)
def _block(
    root: str, run: str, names: tuple[str, ...], version: str, method: str, seed: int, film: bool, _layout: Layout
) -> tuple[bytes, str, payload.MapItems]:
    items = payload.items_of(_layout)
    dataset = stage_vectors(run, names[-1]).dataset
    block = payload.pack(_layout, items, key=MAP_KEY, titles=dataset.titles, of=dataset.hash, film=film)
    return block, str(head_of(block)["digest"]), items


def block(run: str, names: tuple[str, ...], layout: Layout, *, film: bool) -> tuple[bytes, str, payload.MapItems]:
    """What the map component gets, its digest, and which item stands where."""
    facts = layout.facts
    root, version = str(loaders.workspace().root), run_version(run)
    return _block(root, run, names, version, facts["method"], facts["seed"], film, layout)


@st.cache_resource(max_entries=8, show_spinner=False)
def _pair_cosines(digest: str, _layout: Layout, _items: payload.MapItems) -> np.ndarray:
    return payload.pair_cosines(_layout, _items)


def pair_cosines(digest: str, layout: Layout, items: payload.MapItems) -> np.ndarray:
    """(stages, n, pairs) cosines of the map that has this digest."""
    return _pair_cosines(digest, layout, items)


def worklist(run: str, stage: str, of: str) -> tuple[pd.DataFrame, int, int]:
    """The whole work-list of items or people, how many were judged, and how many there are.

    Raises:
        Pending: it is being made.
    """
    asked = (run, stage, version(run), of)
    root = str(loaders.workspace().root)
    found, judged, total = waiting.answer(Heavy(f"Work-list of {of}", tasks.worklist, (root, *asked), asked))
    return _worklist(asked, found), judged, total


@st.cache_resource(max_entries=8, show_spinner=False)
def _worklist(asked: tuple[str, ...], _rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(_rows)


@st.cache_data(max_entries=8, show_spinner=False)
def _items(name: str, key: str) -> pd.DataFrame:
    return loaders.dataset(name).items_frame().set_index("item_row", drop=False)


MOST_VALUES = 1_200


def attributes_of(frame: pd.DataFrame) -> list[str]:
    """Columns of the catalogue that hold few enough different words to colour and to slice by, equal ones once."""
    from seminar_core.alignment.slices import NO_ATTRIBUTES

    found: list[str] = []
    for column in frame.columns:
        if column in NO_ATTRIBUTES or frame[column].dtype.kind not in "OTU" or frame[column].nunique() > MOST_VALUES:
            continue
        if not any(frame[column].equals(frame[other]) for other in found):
            found.append(column)
    return found


@st.cache_data(max_entries=8, show_spinner=False)
def _slices(name: str, key: str, fewest: int) -> dict[str, int]:
    frame = items_frame(name)
    found = {
        f"{column}={value}": int(n)
        for column in attributes_of(frame)
        for value, n in frame[column].value_counts().items()
        if n >= fewest
    }
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def slices(name: str, fewest: int) -> dict[str, int]:
    """`field=value` -> how many items have it, of those with at least `fewest` items, the largest first."""
    return _slices(name, loaders.dataset(name).hash, fewest)


def rows_of_slice(name: str, slice_: str) -> tuple[int, ...]:
    """Catalogue rows of the items that have `field=value`, which is one of `slices`."""
    from seminar_core.alignment import slices

    return tuple(slices.rows_of_slice(items_frame(name), slice_).tolist())


@st.cache_data(max_entries=8, show_spinner=False)
def _exported(_layout: Layout, dataset: str, key: str, map_id: str, kind: str) -> bytes:
    from seminar_core.alignment import map_export

    opened = loaders.dataset(dataset)
    if kind == "embedding-atlas":
        return map_export.embedding_atlas_file(_layout, opened.item_ids, opened.titles)
    return map_export.projector_archive(_layout, opened.item_ids, opened.titles, opened.picture)


def exported(layout: Layout, dataset: str, map_id: str, kind: str) -> bytes:
    """The map as a file for another tool: `embedding-atlas` (Parquet) or `projector` (a zip)."""
    return _exported(layout, dataset, loaders.dataset(dataset).hash, map_id, kind)


def items_frame(name: str) -> pd.DataFrame:
    """The catalogue as a table, indexed by catalogue row."""
    return _items(name, loaders.dataset(name).hash)
