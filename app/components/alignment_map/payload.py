"""What the alignment map gets over the wire: float32 coordinates, one presence byte per item, uint8 cosines.

Pure arrays -> bytes; no Streamlit. 100,000 points of 25,000 items cost about 1 MB without titles.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from app import palette
from app.components import block
from seminar_core.alignment.map_facts import centroid_gaps
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES, CHANNELS

MOST_TITLES = 20_000
OTHER = {"label": "other or none", "colour": palette.GREY}


@dataclass(frozen=True)
class MapItems:
    """Which item stands at which position of the payload.

    Fields:
        rows: (n,) int32 catalogue rows, ascending.
        channels: channels that occur.
        point: (stages, channels, n) int32 position of each point in the layout, -1 where absent.
    """

    rows: np.ndarray
    channels: tuple[str, ...]
    point: np.ndarray

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Positions of catalogue rows that are on the map."""
        return np.flatnonzero(np.isin(self.rows, rows)).astype(np.int32)


def items_of(layout: Layout) -> MapItems:
    """Arrange a layout's points by item."""
    points = layout.points
    rows, position = np.unique(points.item, return_inverse=True)
    channels = tuple(CHANNELS[c] for c in np.unique(points.channel))
    table = np.full((len(points.stages), len(channels), len(rows)), -1, np.int32)
    lane = np.searchsorted(np.unique(points.channel), points.channel)
    table[points.stage, lane, position] = np.arange(len(points))
    return MapItems(rows.astype(np.int32), channels, table)


def pair_cosines(layout: Layout, items: MapItems) -> np.ndarray:
    """(stages, n, pairs) cosine of each item's pairs of channels in the original space, NaN where one is absent."""
    pairs = list(combinations(range(len(items.channels)), 2))
    cosines = np.full((len(layout.points.stages), len(items.rows), len(pairs)), np.nan, np.float32)
    vectors = layout.points.vectors
    for stage, table in enumerate(items.point):
        for at, (a, b) in enumerate(pairs):
            both = (table[a] >= 0) & (table[b] >= 0)
            cosines[stage, both, at] = np.einsum("nd,nd->n", vectors[table[a][both]], vectors[table[b][both]])
    return cosines


def pack(
    layout: Layout,
    items: MapItems,
    *,
    key: str,
    titles: Sequence[str | None],
    of: str = "",
    notes: Sequence[str] = (),
    film: bool = False,
    height: int = 520,
) -> bytes:
    """The block of bytes for one map.

    Args:
        layout: positions; every stage becomes a pane, or a frame of the film.
        items: from `items_of(layout)`.
        key: what map and courier meet under.
        titles: title of each catalogue row; sent up to `MOST_TITLES` items, beyond that the map asks for them.
        of: digest of the data: colours and what is chosen stay on the screen while another map of the same items comes.
        notes: one short fact per stage, shown beside its name.
        film: one pane that moves through the stages.
        height: largest height of a pane in pixels.
    """
    n, stages, channels = len(items.rows), layout.points.stages, items.channels
    anywhere = np.any(items.point >= 0, axis=0)
    arrays: dict[str, np.ndarray] = {
        "present": (anywhere << np.arange(len(channels))[:, None]).sum(axis=0).astype(np.uint8)
    }
    cosines = pair_cosines(layout, items)
    for stage, table in enumerate(items.point):
        where = np.concatenate([row[anywhere[lane]] for lane, row in enumerate(table)])
        arrays[f"xy_{stage}"] = np.where((where >= 0)[:, None], layout.xy[where], np.nan).astype(np.float32)
        known = np.isfinite(cosines[stage])
        scaled = np.clip(np.rint(np.nan_to_num(cosines[stage]) * 127) + 128, 1, 255)
        arrays[f"cosine_{stage}"] = np.where(known, scaled, 0).astype(np.uint8)
    head: dict[str, Any] = {
        "key": key,
        "of": hashlib.sha256(of.encode() + items.rows.tobytes()).hexdigest()[:12],
        "n_items": n,
        "first_row": int(items.rows[0]),
        "channels": channels,
        "names": {c: CHANNEL_NAMES[c] for c in channels},
        "colours": {c: palette.CHANNEL_COLOURS[c] for c in channels},
        "shapes": {c: palette.CHANNEL_SYMBOLS[c] for c in channels},
        "pairs": list(combinations(channels, 2)),
        "stages": stages,
        "gaps": [
            [gaps.get(f"{a}{b}", {}).get("gap") for a, b in combinations(channels, 2)] for gaps in centroid_gaps(layout)
        ],
        "notes": list(notes),
        "mode": "film" if film else "panes",
        "height": height,
        "titles": [titles[row] or "" for row in items.rows] if n <= MOST_TITLES else None,
    }
    return block.pack(head, arrays)


def pack_ids(ids: np.ndarray) -> str:
    """Positions as text: base64 of int32."""
    return base64.b64encode(np.asarray(ids, "<i4").tobytes()).decode()


def unpack_ids(text: str) -> np.ndarray:
    """Positions from text: (n,) int32."""
    return np.frombuffer(base64.b64decode(text), "<i4")


@dataclass(frozen=True)
class Colouring:
    """A colour per item: position of its legend entry; entry 0 is `OTHER`."""

    title: str
    codes: np.ndarray
    legend: list[dict[str, Any]]


def colour_by(title: str, values: np.ndarray, *, most: int = len(palette.SERIES) - 1) -> Colouring:
    """Colour by the most frequent values (n,) of an attribute; all others and the empty value are `OTHER`."""
    names, inverse, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    order = [at for at in np.argsort(-counts, kind="stable") if names[at]][:most]
    codes = np.zeros(len(names), np.uint8)
    codes[order] = np.arange(1, len(order) + 1)
    legend = [{**OTHER, "n": int(counts.sum() - counts[order].sum())}]
    legend += [
        {"label": str(names[at]), "colour": palette.SERIES[position], "n": int(counts[at])}
        for position, at in enumerate(order)
    ]
    return Colouring(title, codes[inverse], legend)


BINS = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39")


def colour_by_number(title: str, values: np.ndarray) -> Colouring:
    """Colour by sevenths of the known values (n,), lowest dark; NaN is `OTHER`."""
    known = np.isfinite(values)
    codes = np.zeros(len(values), np.uint8)
    legend = [{**OTHER, "n": int((~known).sum())}]
    if known.any():
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, len(BINS) + 1)))
        codes[known] = 1 + np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, max(len(edges) - 2, 0))
        for at in range(max(len(edges) - 1, 1)):
            low, high = edges[at], edges[min(at + 1, len(edges) - 1)]
            legend.append({"label": f"{low:.2f} to {high:.2f}", "colour": BINS[at], "n": int((codes == at + 1).sum())})
    return Colouring(title, codes, legend)


def style(
    *,
    key: str,
    digest: str,
    colouring: Colouring | None = None,
    selection: np.ndarray | None = None,
    selection_seq: int = 0,
    worst: np.ndarray | None = None,
    multiples: bool = False,
    neighbours: dict[str, Any] | None = None,
    pictures: Mapping[int, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """What the courier carries.

    Args:
        key: of the map.
        digest: of the map's block; a style for another block is ignored.
        colouring: colours per item, or None for colours by channel.
        selection: (m,) positions.
        selection_seq: milliseconds; the map takes the selection over when it is newer than its own.
        worst: (m,) positions whose modalities are joined while nothing is selected, worst first.
        multiples: one panel per modality and stage instead of one per stage.
        neighbours: {stage, point, true, false} with [position, channel] pairs.
        pictures: position -> {image, title}.
    """
    colour = None
    if colouring is not None:
        codes = base64.b64encode(colouring.codes.astype(np.uint8).tobytes()).decode()
        colour = {"title": colouring.title, "codes": codes, "legend": colouring.legend}
    return {
        "key": key,
        "digest": digest,
        "colour": colour,
        "selection": pack_ids(np.zeros(0, np.int32) if selection is None else selection),
        "selection_seq": selection_seq,
        "worst": pack_ids(np.zeros(0, np.int32) if worst is None else worst),
        "multiples": multiples,
        "neighbours": neighbours,
        "pictures": {str(position): dict(about) for position, about in (pictures or {}).items()},
    }
