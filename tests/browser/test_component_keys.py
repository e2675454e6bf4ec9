"""The keyboard in components alone, without a server: the browser's own keys stay the browser's."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.components import alignment_map, answer, block, cards
from app.components.alignment_map import payload as map_payload
from app.components.answer import payload as answer_payload
from benchmarks.map_frames import cloud

pytestmark = pytest.mark.browser

LOAD = """async ([html, css, script]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: mount } = await import(url);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  window.told = [];
  window.parent_ = () => { // as Streamlit mounts it: in a shadow of its own
    const host = document.body.appendChild(document.createElement("div"));
    const shadow = host.attachShadow({ mode: "open" });
    shadow.innerHTML = `<style>${css}</style>${html}`;
    return shadow;
  };
  window.shadow = parent_();
  window.show = (data, parentElement = shadow) => mount({
    data: typeof data === "string" ? bytes(data) : data, parentElement,
    setTriggerValue: (...value) => told.push(value), setStateValue: (...value) => told.push(value),
  });
}"""
BROWSERS_OWN = [
    *[{"key": key, "ctrlKey": True} for key in ("+", "-", "0", "p", "s", "l")],
    {"key": "ArrowLeft", "altKey": True},
    {"key": "ArrowRight", "metaKey": True},
    {"key": "Enter", "ctrlKey": True},
]
PREVENTED = """(keys) => keys.filter((key) => !shadow.querySelector(".stage").dispatchEvent(
  new KeyboardEvent("keydown", { ...key, bubbles: true, cancelable: true })))"""


@pytest.fixture
def load(chromium):
    """`load(html, css, scripts)` opens a page with one component, to be drawn with `show(data)`."""
    pages = []

    def load_it(html: str, css: str, scripts: list[str]):
        page = chromium.new_page(viewport={"width": 900, "height": 900})
        pages.append(page)
        page.set_content("<!doctype html><body></body>")
        page.evaluate(LOAD, [html, css, "\n".join(scripts)])
        return page

    yield load_it
    for page in pages:
        page.close()


def read(*paths: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in paths]


@pytest.fixture
def the_map(load):
    folder = alignment_map.HERE
    html, css = read(folder / "map.html", folder / "map.css")
    page = load(html, css, read(*(folder / name for name in alignment_map.SCRIPTS)))
    layout = cloud(60)
    items = map_payload.items_of(layout)
    packed = map_payload.pack(layout, items, key="one", titles=["a"] * (int(items.rows[-1]) + 1))
    page.evaluate("(data) => { window.data = data; }", base64.b64encode(packed).decode())
    return page


@pytest.fixture
def the_answer(load):
    scripts = [block.SCRIPT, cards.SCRIPT, *(answer.HERE / name for name in answer.SCRIPTS)]
    css = cards.CSS + (answer.HERE / "answer.css").read_text(encoding="utf-8")
    return load('<div class="answer"></div>', css, read(*scripts))


def answered(turn: int, events: list[int], *, more: bool = True, lost: int = 0) -> str:
    """An answer whose lanes and lists hold `events`; the first `lost` of them are lost."""
    verdict = ["lost" if n < lost else "kept" for n in range(len(events))]
    table = pd.DataFrame({"event": events, "verdict": verdict, "weight_exact": 0.5, "weight_approx": 0.25})
    times = np.array(events) * 3.6e6
    titles, arrays = answer_payload.marks(table, times, [f"event {e}" for e in events])
    groups: list[dict[str, Any]] = [
        {
            "heading": heading,
            "note": str(turn),
            "cards": [card(e, turn) for e, v in zip(events, verdict, strict=True) if v == of],
        }
        for heading, of in (("Differences", "lost"), ("Kept by both", "kept"))
    ]
    weights = [{"channel": c, "name": c, "value": 0.25, "own": 0.25} for c in "qati"]
    span = [float(times.min()), float(times.max())]
    packed = answer_payload.pack(
        key="one",
        turn=turn,
        dials={"k": 7, "most_k": 100, "own": True, "masked": [], "weights": weights},
        headline={"says": "said", "numbers": [], "facts": "", "changed": None},
        lanes={"titles": titles, "alt": "", "says": "", "span": span, "zone": "UTC", "chosen": [], "picture": "png"},
        arrays=arrays,
        lists={"groups": groups, "note": "", "more": more},
    )
    return base64.b64encode(packed).decode()


def card(event: int, turn: int) -> dict[str, Any]:
    return {"id": str(event), "title": f"event {event}", "lines": [f"weight of answer {turn}"]}


def test_the_map_leaves_the_browsers_own_keys_to_the_browser(the_map):
    the_map.evaluate("show(data)")
    the_map.wait_for_function("shadow.querySelector('.am').dataset.drawn")
    view = "(() => { const { x, y, scale, tool } = window.seminarMaps.one.map.view; return [x, y, scale, tool]; })()"
    before = the_map.evaluate(view)
    assert the_map.evaluate(PREVENTED, BROWSERS_OWN) == [] and the_map.evaluate(view) == before
    plain = [{"key": key} for key in ("+", "l", "ArrowLeft")]
    assert the_map.evaluate(PREVENTED, plain) == plain and the_map.evaluate(view) != before


def test_the_lanes_leave_the_browsers_own_keys_to_the_browser(the_answer):
    the_answer.evaluate("(data) => show(data)", answered(1, [1, 2, 3]))
    assert the_answer.evaluate(PREVENTED, BROWSERS_OWN) == [] and the_answer.evaluate("told") == []
    plain = [{"key": "ArrowRight"}, {"key": "ArrowRight", "shiftKey": True}]
    assert the_answer.evaluate(PREVENTED, plain) == plain
