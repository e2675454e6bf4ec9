"""How fast the station Alignment is: PCA, joint UMAP, number card, bytes on the wire, frames a second.

    python benchmarks/alignment_speed.py [--out docs/results/alignment-speed.json]

Vectors are planted: four channels of one cloud with noise of their own, 64 wide. Times are wall clock beside the CPU
seconds of this process, so that a busy machine can be told from slow code; the load average stands beside them. The
map is drawn by a real browser in software rendering (SwiftShader), mounted by a page of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - after the root is on the path

from app.components.alignment_map import payload  # noqa: E402
from seminar_core.alignment.card import number_card  # noqa: E402
from seminar_core.alignment.channel_set import ChannelSet  # noqa: E402
from seminar_core.alignment.projection import Layout, joint_points, lay_out, pca_layout, warm  # noqa: E402
from seminar_core.files import write_json  # noqa: E402
from seminar_core.runtime import machine_facts  # noqa: E402

WIDTH = 64
PAGE = """
import numpy as np, streamlit as st
from app.components.alignment_map import alignment_map, courier, payload
from app.components.block import head_of
from benchmarks.alignment_speed import planted, random_layout

@st.cache_resource
def made():
    layout = random_layout(20_000, searched=5_000)
    items = payload.items_of(layout)
    return items, payload.pack(layout, items, key="speed", titles=["x" * 30] * 20_001)

items, block = made()
rows = st.session_state.get("rows", np.zeros(0, np.int32))
alignment_map(block, key="speed", on_pick=lambda v: None, on_no_webgl=lambda: None,
              on_lasso=lambda v: st.session_state.__setitem__("rows", items.rows[payload.unpack_ids(v["ids"])]))
kind = st.radio("Colour", ["modality", "group"])
colours = payload.colour_by("group", (items.rows % 5).astype(str)) if kind == "group" else None
courier(payload.style(key="speed", digest=head_of(block)["digest"], colouring=colours), key="c",
        on_wanted=lambda asked: None)
if len(rows):
    st.dataframe({"row": rows, "title": ["x" * 30] * len(rows)})
    st.write(f"{len(rows):,} rows in the table")
"""
MAP = (
    "[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]"
    ".map((e) => e.shadowRoot?.querySelector('.am')).find(Boolean)"
)


def planted(n: int, seed: int = 0, searched: int | None = None) -> ChannelSet:
    """n items with four channels of one cloud of thirty groups; only the first `searched` have query and attributes."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((30, WIDTH))[rng.integers(0, 30, n)] + 0.5 * rng.standard_normal((n, WIDTH))
    vectors = {name: (base + 0.6 * rng.standard_normal((n, WIDTH))).astype(np.float32) for name in "QATI"}
    some = np.arange(n) < (n if searched is None else searched)
    present = {name: some if name in "QA" else np.ones(n, bool) for name in "QATI"}
    return ChannelSet(np.arange(1, n + 1, dtype=np.int32), vectors, present)


def random_layout(n: int, searched: int | None = None) -> Layout:
    """A PCA picture of n items without its facts."""
    points = joint_points({"after": planted(n, searched=searched)})
    return Layout(points, pca_layout(points.vectors), np.ones(len(points), bool), {})


def timed(what: str, reach: float, work: Callable[[], Any]) -> dict[str, Any]:
    """A row: wall and CPU seconds of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    taken = {"value": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    return {"what": what, "unit": "s", **taken, "reach": reach, "load": round(os.getloadavg()[0], 1)}


def core_rows() -> list[dict[str, Any]]:
    """Everything that needs no browser."""
    one, two = {"after": planted(3_000)}, {"before": planted(3_000, 1), "after": planted(3_000)}
    warm()
    rows = [
        timed("PCA, 12,000 points", 0.5, lambda: lay_out(joint_points(one), method="pca")),
        timed("joint UMAP, one stage, 12,000 points", 8, lambda: lay_out(joint_points(one))),
        timed("joint UMAP, two stages, 24,000 points", 20, lambda: lay_out(joint_points(two))),
    ]
    ten = planted(10_000)
    rows.append(timed("number card, 10,000 items", 5, lambda: number_card(ten.vectors, ten.present)))
    layout = random_layout(25_000)
    block = payload.pack(layout, payload.items_of(layout), key="k", titles=["x" * 30] * 25_001)
    size = {"value": round(len(block) / 1e6, 2), "unit": "MB", "reach": 1.6}
    return [*rows, {"what": "100,000 points on the wire", **size}]


def browser_rows() -> list[dict[str, Any]]:
    """The map of 50,000 points and its lines in software rendering."""
    from playwright.sync_api import sync_playwright

    from benchmarks.served import CHROMIUM, WITH_WEBGL, served, settled

    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, reach: float) -> None:
        load = round(os.getloadavg()[0], 1)
        rows.append({"what": what, "value": round(value, 2), "unit": unit, "reach": reach, "load": load})

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        script = Path(folder) / "page.py"
        script.write_text(PAGE, encoding="utf-8")
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=WITH_WEBGL)
        with served(Path(folder) / "workspace", script=str(script)) as (_, address):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_function(f"{MAP}?.dataset.points > 0", timeout=120_000)
            settled(page)
            page.wait_for_timeout(1500)
            page.evaluate(f"Object.assign({MAP}.alignmentMap.view, {{pair: 'TI'}}); {MAP}.alignmentMap.paint()")
            drawn = page.evaluate(f"[+{MAP}.dataset.points, {MAP}.alignmentMap.scene.lineCount]")
            frames = page.evaluate(
                f"(() => {{ const m = {MAP}.alignmentMap, gl = m.scene.gl, px = new Uint8Array(4); m.coarse = false;"
                " const one = () => { m.render();"
                " gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, px); }; one(); const t = performance.now();"
                " for (let i = 0; i < 20; i++) one(); return 20000 / (performance.now() - t); })()"
            )
            row(f"full frames of {drawn[0]:,} points and {drawn[1]:,} lines", frames, "frames/s", 30)
            started = time.perf_counter()
            page.get_by_text("group", exact=True).click()
            page.wait_for_function(f"{MAP}.alignmentMap.view.style?.colour?.title === 'group'", timeout=60_000)
            row("change of colour at 50,000 points", time.perf_counter() - started, "s", 0.4)
            page.get_by_role("button", name="Lasso").click()
            left, top, width, height = page.evaluate(
                f"(() => {{ const b = {MAP}.alignmentMap.stage.getBoundingClientRect();"
                " return [b.left, b.top, b.width, b.height]; })()"
            )
            corners = [(0.42, 0.35), (0.52, 0.35), (0.52, 0.6), (0.42, 0.6), (0.42, 0.36)]
            places = [(left + x * width, top + y * height) for x, y in corners]
            page.mouse.move(*places[0])
            page.mouse.down()
            for place in places[1:]:
                page.mouse.move(*place, steps=4)
            started = time.perf_counter()
            page.mouse.up()
            page.wait_for_selector("text=rows in the table", timeout=60_000)
            taken = time.perf_counter() - started
            row(f"lasso to {page.inner_text('text=rows in the table')}", taken, "s", 0.7)
        browser.close()
    return rows


def main() -> None:
    """Measure, print, and write when asked."""
    answer: dict[str, Any] = {"machine": machine_facts(), "load_average": [round(v, 1) for v in os.getloadavg()]}
    answer["rows"] = core_rows() + browser_rows()
    print(json.dumps(answer, indent=1))
    if "--out" in sys.argv:
        write_json(Path(sys.argv[sys.argv.index("--out") + 1]), answer)


if __name__ == "__main__":
    main()
