"""The keyboard in components alone, without a server: the browser's own keys, and the focus over newer data."""

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
    setTriggerValue: (...value) => told.push(value),
  });
}"""
FOCUSED = (
    "(() => { const a = shadow.activeElement; return a && `${a.classList[0]} ${a.dataset.id ?? a.textContent}`; })()"
)
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


def test_a_browser_without_webgl2_says_so_each_time_that_the_map_is_tried(the_map):
    the_map.evaluate("HTMLCanvasElement.prototype.getContext = () => null; show(data)")
    assert the_map.evaluate("told") == [["no_webgl2", True]]
    the_map.evaluate("show(data); show(data, parent_())")  # in the same place, and in another
    assert the_map.evaluate("told") == [["no_webgl2", True]] * 3


def test_a_map_whose_graphics_card_was_reset_draws_itself_again(the_map):
    coloured = """() => { const { gl } = shadow.querySelector(".am").alignmentMap.scene;
      const box = [gl.drawingBufferWidth, gl.drawingBufferHeight], pixels = new Uint8Array(4 * box[0] * box[1]);
      gl.readPixels(0, 0, ...box, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
      return pixels.filter((value, at) => at % 4 === 3 && value > 0).length; }"""
    the_map.evaluate("show(data)")
    the_map.wait_for_function("shadow.querySelector('.am').dataset.drawn")
    the_map.wait_for_timeout(800)
    before = the_map.evaluate(coloured)
    context = "shadow.querySelector('.am').alignmentMap.scene.gl"
    the_map.evaluate(f"window.reset = {context}.getExtension('WEBGL_lose_context'); reset.loseContext()")
    the_map.wait_for_function(f"{context}.isContextLost()")
    the_map.wait_for_timeout(100)
    the_map.evaluate("reset.restoreContext()")
    the_map.wait_for_function(f"!{context}.isContextLost()")
    the_map.wait_for_timeout(800)
    assert before > 500 and the_map.evaluate(coloured) == before


def test_the_focus_stays_on_a_card_and_on_show_more_over_newer_answers(the_answer):
    show = "(data) => show(data)"
    the_answer.evaluate(show, answered(1, [1, 2, 3, 4]))
    the_answer.evaluate("shadow.querySelector('.card[data-id=\"3\"]').focus()")
    the_answer.evaluate(show, answered(2, [2, 3, 4, 5], lost=2))  # in another group by now, and a new node
    assert the_answer.evaluate(FOCUSED) == "card 3"
    assert "answer 2" in the_answer.evaluate("shadow.activeElement.textContent")
    the_answer.evaluate("shadow.querySelector('.more').focus()")
    the_answer.evaluate(show, answered(3, [2, 3, 4, 5, 6, 7]))
    assert the_answer.evaluate(FOCUSED) == "more Show more"
    the_answer.evaluate(show, answered(4, [2, 3, 4, 5, 6, 7, 8, 9], more=False))
    assert the_answer.evaluate(FOCUSED) == "card 8"  # the first of those that it brought
    the_answer.evaluate("shadow.activeElement.blur()")
    the_answer.evaluate(show, answered(5, [2, 3]))
    assert the_answer.evaluate(FOCUSED) is None


def test_the_lanes_stay_on_their_event_over_newer_answers(the_answer):
    show = "(data) => show(data)"
    the_answer.evaluate(show, answered(1, [1, 2, 3, 4]))
    the_answer.evaluate("shadow.querySelector('.stage').focus()")
    for _ in range(3):
        the_answer.keyboard.press("ArrowRight")
    tip = "shadow.querySelector('.tip:not([hidden]) b')?.textContent ?? ''"
    assert the_answer.evaluate(tip) == "event 3"
    the_answer.evaluate(show, answered(2, [2, 3, 4, 5]))
    assert the_answer.evaluate(tip) == "event 3"
    the_answer.keyboard.press("ArrowRight")
    assert the_answer.evaluate(tip) == "event 4"
    the_answer.evaluate(show, answered(3, [5, 6]))
    assert the_answer.evaluate(tip) == ""


def test_cards_keep_their_focus_and_strips_stay_swept_when_data_change(load):
    page = load("", cards.CSS, [*read(cards.SCRIPT), cards.JS])

    def show(first: int, line: str) -> None:
        groups = [
            {"id": f"g{g}", "heading": f"session {g}", "cards": [
                {"id": f"{g}-{n}", "title": f"{g}-{n}", "lines": [line]} for n in range(30)]}
            for g in range(first, 4)
        ]  # fmt: skip
        page.evaluate("(data) => show(data)", {"groups": groups, "strip": True, "width": "13rem"})

    show(1, "old")
    page.evaluate("shadow.querySelector('[data-of=g2]').scrollLeft = 700")
    page.evaluate("shadow.querySelector('.card[data-id=\"2-9\"]').focus({ preventScroll: true })")
    show(0, "new")  # one more before it
    assert page.evaluate(FOCUSED) == "card 2-9" and "new" in page.evaluate("shadow.activeElement.textContent")
    rows = "[...shadow.querySelectorAll('.row')].map((row) => row.scrollLeft)"
    assert page.evaluate(rows) == [0, 0, 700, 0]
    page.evaluate("shadow.querySelector('.open[data-id=g3]').focus()")
    show(1, "newer")
    assert page.evaluate(FOCUSED) == "open g3" and page.evaluate(rows) == [0, 700, 0]


def test_home_and_end_go_to_the_first_and_the_last_event_from_anywhere(the_answer):
    the_answer.evaluate("(data) => show(data)", answered(1, [1, 2, 3, 4]))
    the_answer.evaluate("shadow.querySelector('.stage').focus()")
    seen = []
    for key in ("End", "Home", "Escape", "Home", "Escape", "ArrowLeft", "Escape", "ArrowRight"):
        the_answer.keyboard.press(key)
        seen.append(the_answer.evaluate("shadow.querySelector('.tip:not([hidden]) b')?.textContent ?? ''"))
    assert seen == ["event 4", "event 1", "", "event 1", "", "event 4", "", "event 1"]
