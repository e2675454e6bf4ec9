"""How many pictures a second the alignment map draws in a real browser without a graphics card, while it is panned.

The component's own files on a page of their own: 50,000 points of 12,500 items in two stages, software WebGL. Rows
are {mode, frames_per_s, render_ms, drawn, fell_back}: `auto` (density where crowded), `points` (each point), `density`;
a slow one falls back to density while it moves, and a row with `kept` shows what it would be if it did not. On a busy
machine only the ratios between the rows say something; `load` is beside them.
`python benchmarks/map_frames.py [OUT.json]` measures, and writes the file.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - after the root is on the path
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from app.components.alignment_map import HERE, SCRIPTS, payload  # noqa: E402
from app.components.block import head_of  # noqa: E402
from benchmarks.served import CHROMIUM, WITH_WEBGL  # noqa: E402
from seminar_core.alignment.channel_set import ChannelSet  # noqa: E402
from seminar_core.alignment.map_facts import worst_aligned  # noqa: E402
from seminar_core.alignment.projection import Layout, joint_points  # noqa: E402
from seminar_core.runtime import machine_facts  # noqa: E402

ITEMS, SECONDS, AIM = 12_500, 4.0, 30.0
PAGE = """<!doctype html><style>body {{ margin: 0; width: 1200px }} {css}</style>{html}
<script type="module">
const made = new Blob([{script}], {{ type: "text/javascript" }});
const {{ default: mount }} = await import(URL.createObjectURL(made));
const data = Uint8Array.from(atob("{block}"), (c) => c.charCodeAt(0));
const told = (window.told = []);
const setTriggerValue = (name, value) => told.push([name, value]);
window.show = (data) => {{
  mount({{ data, parentElement: document.body, setTriggerValue, setStateValue: () => {{}} }});
  window.map = document.querySelector(".am").alignmentMap;
}};
show(data);
window.sent = {style};
map?.restyle(sent);
</script>"""
FRAMES = """async ([seconds, kept]) => {
  const took = [], from = performance.now(), scale = map.view.scale;
  let frames = 0, fellBack = 0;
  while (performance.now() - from < seconds * 1000) {
    const t = (performance.now() - from) / 1000;
    map.view.x += 0.002 * Math.cos(3 * t);
    map.view.scale = scale * (1 + 0.1 * Math.sin(2 * t));
    if (kept) map.draw(); else map.drawMoving();
    await new Promise(requestAnimationFrame);
    await new Promise((then) => setTimeout(then)); // after the picture
    took.push(Number(map.root.dataset.renderMs));
    if (map.coarse) fellBack++;
    frames++;
  }
  map.view.scale = scale;
  map.coarse = false;
  took.sort((a, b) => a - b);
  const { drawn } = map.root.dataset;
  return { frames_per_s: frames / seconds, render_ms: took[took.length >> 1], drawn, fell_back: fellBack / frames };
}"""


def cloud(items: int, seed: int = 0) -> Layout:
    """A map of `items` items in 40 groups, four modalities, two stages."""
    rng = np.random.default_rng(seed)
    rows = np.arange(1, items + 1, dtype=np.int32)
    sets = {}
    for stage in ("before", "after"):
        base = rng.standard_normal((items, 8)).astype(np.float32)
        vectors = {c: base + rng.standard_normal((items, 8)).astype(np.float32) for c in "QATI"}
        sets[stage] = ChannelSet(rows, vectors, dict.fromkeys("QATI", np.ones(items, bool)))
    points = joint_points(sets)
    centres = rng.standard_normal((40, 2)) * 6
    xy = centres[(points.item + 7 * points.channel) % 40] + rng.standard_normal((len(points), 2))
    return Layout(points, xy.astype(np.float32), np.ones(len(points), bool), {})


def page_of(layout: Layout, worst: int = 10, **style: Any) -> str:
    """The map of `layout` as a page that needs no server."""
    items = payload.items_of(layout)
    block = payload.pack(layout, items, key="bench", titles=[f"item {n}" for n in range(int(items.rows[-1]) + 1)])
    chosen = worst_aligned(payload.pair_cosines(layout, items)[-1], worst)
    sent = payload.style(key="bench", digest=head_of(block)["digest"], worst=chosen, **style)
    files = {name: (HERE / name).read_text(encoding="utf-8") for name in (*SCRIPTS, "map.css", "map.html")}
    return PAGE.format(
        css=files["map.css"],
        html=files["map.html"],
        script=json.dumps("\n".join(files[name] for name in SCRIPTS)).replace("</", "<\\/"),
        block=base64.b64encode(block).decode(),
        style=json.dumps(sent),
    )


def row(page: Page, mode: str, *, kept: bool = False) -> dict[str, Any]:
    """One measurement; `kept`: without falling back to density. `fell_back` is the share of pictures that did."""
    page.evaluate(f"map.view.mode = '{mode}'; map.draw()")
    page.wait_for_timeout(600)
    found = page.evaluate(FRAMES, [SECONDS, kept])
    return {"mode": mode, "kept": kept, **{k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}}


def measure(items: int = ITEMS) -> dict[str, Any]:
    """All rows, with the machine they were measured on."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=WITH_WEBGL)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_content(page_of(cloud(items)))
        page.wait_for_function("window.map?.points?.n > 0")
        page.wait_for_timeout(1000)
        rows = [row(page, mode, kept=kept) for kept in (False, True) for mode in ("auto", "points", "density")]
        browser.close()
    load = os.getloadavg()[0]
    facts = {"points": 4 * items, "panes": 2, "aim": AIM, "load": round(load, 1)}
    return {"machine": machine_facts(), **facts, "rows": rows}


def main() -> None:
    """Print the answer; write it where a file is named."""
    text = json.dumps(measure(), indent=1)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
