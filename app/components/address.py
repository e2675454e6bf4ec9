"""Replaces the page's address without a new entry in the browser's history.

A Streamlit component (v2). `st.query_params` always makes a new entry; after a change of station that would leave a
bare entry behind which leads forward again, so that the back button could never get past it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

JS = """
export default function({ data }) {
  if (location.search !== data.query) history.replaceState(history.state, "", location.pathname + data.query);
}
"""

_mount: Callable[..., Any] | None = None


def replace_address(query: str, *, key: str = "address") -> None:
    """Make `query` (starting with `?`, or empty) the address's query string; `turn` makes the browser do it again."""
    global _mount
    if _mount is None:
        _mount = st.components.v2.component("seminar_address", js=JS)
    turn = st.session_state["address_turn"] = st.session_state.get("address_turn", 0) + 1
    _mount(key=key, data={"query": query, "turn": turn}, height=1)
