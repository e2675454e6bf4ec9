"""Shows a story's page over the whole window, without controls, until Escape is pressed.

A Streamlit component (v2) that lays a frame with the exported page over everything, asks for full screen, and starts to
present; the page's own keys turn the slides. It says `closed` when Escape was pressed or full screen was left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

JS = """
export default function({ data, setTriggerValue }) {
  const old = document.getElementById("seminar-presenter");
  if (!data.page || old) return;
  const frame = document.createElement("iframe");
  frame.id = "seminar-presenter"; frame.title = data.title; frame.srcdoc = data.page;
  frame.style.cssText = "position:fixed;inset:0;width:100vw;height:100vh;border:0;z-index:1000000;background:#fff";
  const back = document.activeElement;
  const close = () => {
    if (!frame.isConnected) return;
    document.removeEventListener("fullscreenchange", left);
    if (document.fullscreenElement) document.exitFullscreen();
    frame.remove(); if (back) back.focus();
    setTriggerValue("closed", true);
  };
  const left = () => { if (!document.fullscreenElement) close(); };
  frame.onload = () => {
    const inside = frame.contentDocument;
    inside.addEventListener("keydown", (e) => { if (e.key === "Escape") close(); });
    inside.dispatchEvent(new KeyboardEvent("keydown", { key: "p" }));
    frame.contentWindow.focus();
    frame.requestFullscreen().then(() => document.addEventListener("fullscreenchange", left), () => {});
  };
  document.body.append(frame);
}
"""

_mount: Callable[..., Any] | None = None


def present(page: str, title: str, *, on_close: Callable[[], None]) -> None:
    """Lay the HTML `page` over the window; `on_close` is called when Escape was pressed."""
    global _mount
    if _mount is None:
        _mount = st.components.v2.component("seminar_presenter", js=JS)
    _mount(key="presenter", data={"page": page, "title": title}, on_closed_change=on_close, height=1)
