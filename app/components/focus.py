"""Puts the focus into a field when it appears, as a dialog opened by keys needs it.

A Streamlit component (v2). Streamlit gives the focus to the dialog itself, so what is typed next would go nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

JS = """
const done = new WeakSet();
export default function({ data, parentElement }) {
  if (done.has(parentElement)) return;
  done.add(parentElement);
  let left = 24;  // 1.2 s: the dialog takes the focus for itself while it opens, and again when it has opened
  const take = () => {
    const field = document.querySelector(`.st-key-${data.key} input`), now = document.activeElement;
    if (field && (now === document.body || now.getAttribute("role") === "dialog" || !now.closest("[role=dialog]")))
      field.focus();
    if (left-- > 0 && parentElement.isConnected) setTimeout(take, 50);
  };
  take();
}
"""

_mount: Callable[..., Any] | None = None


def focus_on(key: str) -> None:
    """Give the focus to the text field of this key, once, when it is first drawn."""
    global _mount
    if _mount is None:
        _mount = st.components.v2.component("seminar_focus", js=JS)
    _mount(key=f"focus_{key}", data={"key": key}, height=1)
