"""Maps are kept: the same vectors drawn with the same parameters are read back instead of fitted again.

Between projection and its readers (the map on the screen, `map`, the exports). A map lies in `maps/<key>/` of the
workspace, the key being a digest of the vectors and of every parameter, so a map can be recognised as stale: another
key is another map. Files: points.parquet (item_row, channel, stage, x, y, fitted) and map.json (facts, limits, source).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..beside import sample_directory
from ..contracts import CHANNELS
from ..errors import CorruptFileError, StaleError, UnknownNameError
from ..files import atomic_directory, read_json, write_json
from ..progress import Progress, silent
from ..workspace import Workspace, checked_name
from .channel_set import ChannelSet
from .projection import FIT_LIMIT, MOST_FITTED, SHOW_LIMIT, Layout, MapPoints, joint_points, lay_out

FORMAT = 1
LIMITS = ("fit_limit", "show_limit")


@dataclass(frozen=True)
class MapRequest:
    """Everything besides the vectors that decides what a map looks like.

    Fields:
        method: `umap` or `pca`.
        seed: fixes the samples and UMAP.
        fit_limit: points fitted per stage; None: `FIT_LIMIT`, and no more than `MOST_FITTED` of all stages together.
        show_limit: points shown of all stages together.
    """

    method: str = "umap"
    seed: int = 0
    fit_limit: int | None = None
    show_limit: int = SHOW_LIMIT

    def of(self, stages: int) -> MapRequest:
        """The same with the limit of a map of so many stages."""
        return replace(self, fit_limit=self.fit_limit or min(FIT_LIMIT, MOST_FITTED // stages))


def map_key(stages: Mapping[str, ChannelSet], request: MapRequest) -> str:
    """16 hex digits that are the same exactly when vectors, presence, stages and parameters are.

    Vectors are known by their origin, or else to the last bit.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, list(stages), vars(request.of(len(stages)))]).encode())
    for channels in stages.values():
        digest.update(np.ascontiguousarray(channels.rows).tobytes())
        for name in channels.names:
            mask = channels.present[name]
            digest.update(name.encode() + np.packbits(mask).tobytes())
            vectors = np.where(mask[:, None], channels.vectors[name], 0).astype(np.float32)
            digest.update(channels.origin.encode() or vectors.tobytes())
    return digest.hexdigest()[:16]


def drawn_map(
    workspace: Workspace,
    stages: Mapping[str, ChannelSet],
    request: MapRequest,
    *,
    source: Mapping[str, Any],
    progress: Progress = silent,
) -> tuple[str, Layout]:
    """The map of these stages: read when it was drawn before, drawn and kept otherwise.

    Args:
        workspace: where maps are kept.
        stages: stage name -> channel vectors, first to last.
        request: method, seed and limits.
        source: what the vectors are of (run, data set and its hash), kept beside the map.
        progress: called while UMAP runs; may raise `Cancelled`, and nothing is kept then.

    Returns:
        the map's key and the map.
    """
    key = map_key(stages, request)
    points = joint_points(stages, show_limit=request.show_limit, seed=request.seed)
    path, kept = workspace.maps / key, kept_path(workspace, key)
    if kept is not None:
        return key, _read(kept, points)
    limits = {name: getattr(request.of(len(stages)), name) for name in LIMITS}
    layout = lay_out(points, method=request.method, seed=request.seed, fit_limit=limits["fit_limit"], progress=progress)
    with atomic_directory(path, replace=True) as partial:
        pq.write_table(_table(layout), partial / "points.parquet", compression="zstd")
        write_json(
            partial / "map.json", {"format": FORMAT, "key": key, "source": dict(source), **limits, **layout.facts}
        )
    return key, layout


def kept_path(workspace: Workspace, key: str) -> Path | None:
    """Where the map `key` lies: in the workspace or beside the runs of the sample; None where it was not drawn."""
    return next((place / key for place in (workspace.maps, bundled_maps()) if (place / key).is_dir()), None)


def kept_map(workspace: Workspace, stages: Mapping[str, ChannelSet], request: MapRequest) -> Layout | None:
    """The map if it was drawn before, else None: tells a page whether to show PCA while UMAP runs."""
    path = kept_path(workspace, map_key(stages, request))
    if path is None:
        return None
    return _read(path, joint_points(stages, show_limit=request.show_limit, seed=request.seed))


def bundled_maps() -> Path:
    """Where the maps of the runs that come with the sample lie."""
    return sample_directory() / "run" / ".maps"


def list_maps(workspace: Workspace) -> list[dict[str, Any]]:
    """What map.json says of every kept map, newest first."""
    found = sorted(workspace.maps.glob("*/map.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [read_json(path) for path in found if not path.parent.name.startswith(".")]


def check_fresh(workspace: Workspace, key: str, stages: Mapping[str, ChannelSet], request: MapRequest) -> None:
    """Raise `StaleError` when a map kept under `key` is not of these vectors any more."""
    if not (workspace.maps / checked_name(key, "map")).is_dir():
        raise UnknownNameError("map", key, [entry["key"] for entry in list_maps(workspace)])
    now = map_key(stages, request)
    if now != key:
        raise StaleError(
            f"map {key} was drawn from other vectors than the run has now ({now})",
            hint="draw the map again; the old one can be deleted",
        )


def _table(layout: Layout) -> pa.Table:
    points = layout.points
    return pa.table(
        {
            "item_row": points.item,
            "channel": points.channel,
            "stage": points.stage,
            "x": layout.xy[:, 0],
            "y": layout.xy[:, 1],
            "fitted": layout.fitted,
        }
    )


def _read(path: Path, points: MapPoints) -> Layout:
    """Join the kept positions to the points they were drawn from."""
    facts = read_json(path / "map.json")
    try:
        table = pq.read_table(path / "points.parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptFileError(
            f"map {path.name} cannot be read: {error}", hint="delete the map and draw it again"
        ) from error
    columns = {name: table[name].to_numpy() for name in ("item_row", "channel", "stage")}
    same = len(table) == len(points) and all(
        np.array_equal(columns[name], getattr(points, field))
        for name, field in (("item_row", "item"), ("channel", "channel"), ("stage", "stage"))
    )
    if not same:
        raise StaleError(f"map {path.name} does not list the points of this run", hint="delete the map, draw it again")
    xy = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1).astype(np.float32)
    drop = ("format", "key", "source", *LIMITS)
    return Layout(
        points, xy, table["fitted"].to_numpy(zero_copy_only=False), {k: v for k, v in facts.items() if k not in drop}
    )


def channel_names(points: MapPoints) -> np.ndarray:
    """(P,) channel letters of the points."""
    return np.array(CHANNELS)[points.channel]


def stage_names(points: MapPoints) -> np.ndarray:
    """(P,) stage names of the points."""
    return np.array(points.stages)[points.stage]
