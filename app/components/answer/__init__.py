"""The answer of a what-if as one component: headline, K and weights, timeline in two lanes, lists with pictures.

A Streamlit component (v2) that is given one block of bytes (`payload.py`) and is meant to be mounted in a fragment. Its
sliders ask while they move, one question at a time: the newest value waits until the last one was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.components import block, cards

HERE = Path(__file__).parent
SCRIPTS = ("asking.js", "dials.js", "lanes.js", "brush.js", "lists.js", "answer.js")


@cache
def _component() -> Callable[..., Any]:
    scripts = [block.SCRIPT, cards.SCRIPT, *(HERE / name for name in SCRIPTS)]
    return st.components.v2.component(
        "seminar_answer",
        html='<div class="answer"></div>',
        css=cards.CSS + (HERE / "answer.css").read_text(encoding="utf-8"),
        js="\n".join(path.read_text(encoding="utf-8") for path in scripts),
    )


def answer(payload: bytes, *, key: str, on_ask: Callable[[dict[str, Any]], None]) -> None:
    """Mount the answer.

    Args:
        payload: from `payload.pack`.
        key: widget key.
        on_ask: called with what the browser asks for, {what, value, gesture, done, turn}. `what` is `weights` (four
            numbers, or none for the run's own), `k`, `event` (an id), `period` (two wall-clock times in ms), `more`
            cards, or `pictures` (ids that the browser has not got). While a slider moves `done` is false; all values of
            one movement have the same `gesture`.
    """

    def asked() -> None:
        value = st.session_state[key].get("asked")
        if value is not None:
            on_ask(dict(value))

    _component()(key=key, data=payload, on_asked_change=asked)
