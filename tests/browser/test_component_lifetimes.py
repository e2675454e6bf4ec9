"""What a component returns to Streamlit is called when it is taken away, and also for a call that newer data overtook
while the module was loading: then the component must go on.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from app.components import alignment_map, answer, block, cards
from app.components.alignment_map import payload as map_payload
from app.components.answer import payload as answer_payload
from benchmarks.map_frames import cloud

pytestmark = pytest.mark.browser

MOUNT_TWICE = """async ([html, script, block]) => {
  document.body.innerHTML = html;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: mount } = await import(url);
  const data = Uint8Array.from(atob(block), (c) => c.charCodeAt(0));
  const call = () => mount({ data, parentElement: document.body, setTriggerValue() {}, setStateValue() {} });
  const overtaken = call();
  window.takenAway = call();
  await Promise.resolve(overtaken).then((f) => f()); // as Streamlit does
}"""


def mount_twice(page, folder: Path, html: str, scripts: list[Path], packed: bytes) -> None:
    page.set_content("<!doctype html><body></body>")
    script = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    page.evaluate(MOUNT_TWICE, [html, script, base64.b64encode(packed).decode()])


def test_the_map_goes_on_when_an_earlier_call_was_overtaken_and_ends_when_it_is_taken_away(chromium):
    page = chromium.new_page()
    layout, folder = cloud(60), alignment_map.HERE
    items = map_payload.items_of(layout)
    packed = map_payload.pack(layout, items, key="one", titles=["a"] * (int(items.rows[-1]) + 1))
    html = (folder / "map.html").read_text(encoding="utf-8")
    mount_twice(page, folder, html, [folder / name for name in alignment_map.SCRIPTS], packed)
    page.wait_for_function("document.querySelector('.am').dataset.drawn")
    facts = "(() => { const { map } = window.seminarMaps.one; return map && [map.root.dataset.points,"
    facts += " map.root === document.querySelector('.am'), map.scene.gl.isContextLost()]; })()"
    assert page.evaluate(facts) == [str(layout.points.of // len(layout.points.stages)), True, False]
    page.evaluate("window.gl = window.seminarMaps.one.map.scene.gl; document.body.replaceChildren(); takenAway()")
    assert page.evaluate("[window.seminarMaps.one.map ?? null, gl.isContextLost()]") == [None, True]
    page.close()


def test_the_answer_goes_on_when_an_earlier_call_was_overtaken(chromium):
    page = chromium.new_page()
    weights = [{"channel": c, "name": c, "value": 0.25, "own": 0.25} for c in "qati"]
    dials = {"k": 7, "most_k": 100, "own": True, "masked": [], "weights": weights}
    packed = answer_payload.pack(key="one", turn=0, dials=dials, headline=None)
    scripts = [block.SCRIPT, cards.SCRIPT, *(answer.HERE / name for name in answer.SCRIPTS)]
    mount_twice(page, answer.HERE, '<div class="answer"></div>', scripts, packed)
    shown = json.loads(
        page.evaluate("JSON.stringify([...document.querySelectorAll('.answer .dials input')].map((i) => i.value))")
    )
    assert shown == ["7", "7", *["0.25"] * 4]
    page.close()
