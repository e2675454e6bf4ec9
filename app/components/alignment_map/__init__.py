"""The alignment map: linked WebGL2 panes of all modalities with pair lines, lasso, hover pictures, search and film.

A pair of Streamlit components (v2) with inlined files of this folder and no external script. `alignment_map` gets one
block of bytes (`payload.py`) that stays the same while colours and selection change; `courier` carries those, and the
pictures the map asks for, in a small message of its own. They meet in the browser under one key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = ("../block.js", "wire.js", "scene.js", "density.js", "view.js", "map.js", "ink.js", "input.js")


def _read(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


@cache
def _components() -> tuple[Callable[..., Any], Callable[..., Any]]:
    drawn = st.components.v2.component(
        "seminar_alignment_map",
        html=_read("map.html"),
        css=_read("map.css"),
        js=_read(*SCRIPTS),
    )
    return drawn, st.components.v2.component("seminar_alignment_courier", js=_read("courier.js"))


def alignment_map(
    payload: bytes,
    *,
    key: str,
    on_pick: Callable[[dict[str, Any]], None],
    on_lasso: Callable[[dict[str, Any]], None],
    on_no_webgl: Callable[[], None],
) -> None:
    """Mount the map.

    Args:
        payload: from `payload.pack`, made with the same `key`.
        key: widget key.
        on_pick: called with {digest, item, channel, stage, seq} when a point is chosen; item is a payload position, or
            None (without channel and stage) when the chosen point is let go of.
        on_lasso: called with {digest, kind, ids, seq}; `payload.unpack_ids(ids)` are positions in the payload.
        on_no_webgl: called when the browser has no WebGL2.
    """

    def trigger(name: str, then: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        def called() -> None:
            value = st.session_state[key].get(name)
            if value is not None:
                then(value)

        return called

    _components()[0](
        key=key,
        data=payload,
        on_picked_change=trigger("picked", on_pick),
        on_lassoed_change=trigger("lassoed", on_lasso),
        on_no_webgl2_change=trigger("no_webgl2", lambda _: on_no_webgl()),
    )


def courier(style: dict[str, Any], *, key: str, on_wanted: Callable[[list[int]], None]) -> None:
    """Send a style (`payload.style`) to the map of the style's key.

    Args:
        style: what to apply.
        key: widget key of the courier itself.
        on_wanted: called with positions whose pictures the map wants to show.
    """

    def wanted() -> None:
        value = st.session_state[key].get("wanted")
        if value is not None:
            on_wanted([int(item) for item in value])

    _components()[1](key=key, data=style, on_wanted_change=wanted, height="content")
