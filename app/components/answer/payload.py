"""What the answer's component gets over the wire; pure values -> bytes, no Streamlit.

A table of kept events becomes arrays (position, time, verdict, two weights, which title); words and cards go into the
header. A picture travels once: cards name it, `pictures` holds those that the browser has not got yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from app import palette
from app.components import block

VERDICTS = tuple(palette.VERDICTS)
COLOURS = {**{name: colour for name, (colour, *_) in palette.VERDICTS.items()}, "approx": palette.ORANGE}


def marks(table: pd.DataFrame, time_ms: np.ndarray, titles: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """The kept events for the lanes, earliest first: titles, each once, and arrays (n,).

    Args:
        table: `Answered.verdicts`.
        time_ms: (n,) wall-clock milliseconds of each row.
        titles: (n) title of each row.
    """
    names, title = np.unique(np.array(list(titles), object).astype(str), return_inverse=True)
    order = np.argsort(time_ms, kind="stable")
    arrays = {
        "event": table.event.to_numpy(np.int32),
        "time": np.asarray(time_ms, np.float64),
        "verdict": table.verdict.map(VERDICTS.index).to_numpy(np.uint8),
        "exact": table.weight_exact.to_numpy(np.float32),
        "approx": table.weight_approx.to_numpy(np.float32),
        "title": title.astype(np.int32),
    }
    return names.tolist(), {name: array[order] for name, array in arrays.items()}


def pack(
    *,
    key: str,
    turn: int,
    dials: Mapping[str, Any],
    headline: Mapping[str, Any] | None,
    lanes: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
    lists: Mapping[str, Any] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> bytes:
    """The block of bytes for one answer.

    Args:
        key: what tells this answer's component from others on the page.
        turn: number of the last question that the browser asked.
        dials: K and weights as they are set.
        headline: sentence, numbers, facts, what the last change changed; None where there is no answer.
        lanes: what the timeline says beside its arrays.
        arrays: from `marks`.
        lists: groups of cards and what is written about them.
        pictures: data URIs by the name that cards have in `picture`; only those that the browser has not got.
    """
    head = {
        "key": key,
        "turn": turn,
        "dials": dict(dials),
        "headline": None if headline is None else dict(headline),
        "lanes": None if lanes is None else dict(lanes),
        "lists": None if lists is None else dict(lists),
        "pictures": dict(pictures or {}),
        "verdicts": VERDICTS,
        "colours": COLOURS,
    }
    return block.pack(head, arrays or {})
