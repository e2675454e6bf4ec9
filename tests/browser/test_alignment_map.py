"""The alignment map in a real browser: WebGL2, a real lasso, the right hover picture, film, fallback, both themes."""

from __future__ import annotations

import base64
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import TimeoutError

from app.stations.alignment.selections import read_selection
from benchmarks.served import ROOT, settled
from seminar_core.data.opening import open_dataset
from seminar_core.workspace import Workspace

pytestmark = pytest.mark.browser

MAPS = (
    "[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]"
    ".map((e) => e.shadowRoot?.querySelector('.am')).filter(Boolean)"
)
MAP = f"{MAPS}[0]"
SETTINGS = ("steps=6", "seconds=20", "keep_every=2", "batch_size=16", "max_length=50", "evaluate_every=2")


def write_source(folder: Path) -> None:
    """Twenty people and 240 items of eight kinds; every sixth item has no picture."""
    rng = np.random.default_rng(0)
    words = ["red", "blue", "oak", "steel", "warm", "round", "tall", "soft", "plain", "wide"]
    kinds = ["chair", "lamp", "rug", "mug", "bag", "shoe", "coat", "tent"]
    titles, categories, pictures = [], [], []
    for row in range(240):
        kind = kinds[row % 8]
        titles.append(f"{' '.join(rng.permutation(words)[:2])} {kind} {row}")
        categories.append(kind)
        colour = (30 * (row % 8), 255 - 30 * (row % 8), row)
        buffer = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(buffer, "WEBP")
        pictures.append(None if row % 6 == 5 else buffer.getvalue())
    item = [f"i{row:03d}" for row in range(240)]
    columns = {"item": item, "title": titles, "category": categories, "image": pictures}
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "items.parquet")
    met = np.concatenate([(rng.integers(8) + 8 * rng.integers(30, size=40)) % 240 for _ in range(20)])
    queries = [f"{categories[m]} {words[m % 10]}" if n % 3 == 0 else None for n, m in enumerate(met)]
    events = {
        "person": [f"p{n // 40}" for n in range(800)],
        "time": np.arange(800) * 600 + 1_600_000_000,
        "item": [item[m] for m in met],
        "query": queries,
    }
    pq.write_table(pa.table(events), folder / "events.parquet")


@pytest.fixture(scope="module")
def run(app_workspace: Path) -> str:
    """A tiny pretrained run of a tiny data set, with kept checkpoints."""
    environment = {**os.environ, "SEMINAR_WORKSPACE": str(app_workspace), "OMP_NUM_THREADS": "1"}
    folder = app_workspace / "tiny-source"
    write_source(folder)
    words = [
        ["import", "table", str(folder), "--name", "tiny"],
        ["pretrain", "--dataset", "tiny", "--run", "tiny-psu", *(w for s in SETTINGS for w in ("--set", s))],
    ]
    for command in words:
        done = subprocess.run(
            [sys.executable, "-m", "seminar_core", *command], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
    return "tiny-psu"


@pytest.fixture
def page(open_page, run: str):
    return opened(open_page, run)


def opened(open_page, run: str, extra: str = "", **look):
    page = open_page(f"alignment?v=1&dataset=tiny&run={run}{extra}", **look)
    page.wait_for_function(f"{MAP}?.dataset.points > 0", timeout=60_000)
    page.wait_for_function("!document.body.innerText.includes('this is PCA')", timeout=120_000)
    settled(page)
    page.wait_for_timeout(700)  # the morph from PCA
    page.wait_for_function(f"{MAPS}.length === 1 && {MAP}.alignmentMap", timeout=60_000)  # that of PCA is gone
    return page


def in_view(page) -> None:
    page.evaluate(f"{MAP}.scrollIntoView({{block: 'center'}})")
    page.wait_for_timeout(150)


def place_of(page, item: int, channel: str, pane: int = 1) -> tuple[float, float]:
    """Where a point is on the screen."""
    script = (
        f"(() => {{ const m = {MAP}.alignmentMap, box = m.stage.getBoundingClientRect();"
        f" const p = m.points.at[m.points.channels.indexOf('{channel}')][{item}];"
        f" const [x, y] = m.place(m.view.panes[{pane}], p); return [box.left + x, box.top + y]; }})()"
    )
    x, y = page.evaluate(script)
    return x, y


def zoom_to(page, item: int, channel: str) -> None:
    """Put a point into the middle, so large that no other is as near to the pointer."""
    page.evaluate(
        f"(() => {{ const m = {MAP}.alignmentMap, p = m.points.at[m.points.channels.indexOf('{channel}')][{item}];"
        " const [x, y] = m.view.positionOf(p, m.view.panes[1]);"
        " Object.assign(m.view, { x, y, scale: 4000 }); m.draw(); })()"
    )
    page.wait_for_timeout(150)


def lasso_all(page) -> None:
    """Draw a line around everything in the second pane."""
    page.get_by_role("button", name="Lasso").click()
    in_view(page)
    left, top, width, height = page.evaluate(
        f"(() => {{ const m = {MAP}.alignmentMap, b = m.stage.getBoundingClientRect(), p = m.view.panes[1];"
        " return [b.left + p.left, b.top + p.top, p.width, p.height]; })()"
    )
    centre = left + width / 2, top + height / 2
    page.mouse.move(centre[0] + 0.3 * width, centre[1])
    page.mouse.down()
    for step in range(1, 25):
        angle = step / 24 * 2 * math.pi
        page.mouse.move(centre[0] + 0.3 * width * math.cos(angle), centre[1] + 0.3 * height * math.sin(angle))
    assert page.evaluate(f"{MAP}.querySelector('.card').hidden")  # nothing stands over what is drawn around
    page.mouse.up()
    page.wait_for_selector("text=items selected", timeout=20_000)
    settled(page)


def coloured_by(page, name: str) -> None:
    """Choose `name` under Colour; a rerun still under way closes the open list, which is then opened again."""
    option = page.get_by_role("option", name=name)
    for _ in range(6):
        settled(page)
        page.get_by_label("Colour").click()
        try:
            option.click(timeout=5_000)
            return
        except TimeoutError:
            page.keyboard.press("Escape")
    raise AssertionError(f"the list of Colour never offered {name}")


def selected_on_map(page) -> list[int]:
    return page.evaluate(f"[...{MAP}.alignmentMap.view.selection].sort((a, b) => a - b)")


def test_the_map_has_a_webgl2_context_and_draws_points_of_two_stages(page):
    facts = page.evaluate(f"({{...{MAP}.dataset}})")
    assert facts["webgl"] == "2" and facts["panes"] == "2" and int(facts["points"]) > 500
    lit = page.evaluate(
        f"(() => {{ const gl = {MAP}.alignmentMap.scene.gl, w = gl.drawingBufferWidth, h = gl.drawingBufferHeight;"
        " const px = new Uint8Array(4 * w * h); gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, px);"
        " let left = 0, right = 0; for (let i = 3; i < px.length; i += 4)"
        " if (px[i]) ((i >> 2) % w < w / 2) ? left++ : right++; return [left, right]; })()"
    )
    assert min(lit) > 500
    assert "only neighbours mean anything" in page.inner_text("body")


OF_PCA = f"""
window.ofPCA = null;
const look = () => {{
    requestAnimationFrame(look);
    if (document.body?.innerText.includes("this is PCA")) window.ofPCA = {MAP} ?? window.ofPCA;
}};
look();
"""


def test_the_map_of_pca_becomes_that_of_umap_in_its_place(open_page, run):
    page = open_page(f"alignment?v=1&dataset=tiny&run={run}")
    page.add_init_script(OF_PCA)
    of_pca = False
    for seed in range(4711, 4717):  # never drawn before; a busy browser may skip the moment of PCA
        page.goto(page.url.split("/alignment")[0] + f"/alignment?v=1&dataset=tiny&run={run}&seed={seed}")
        page.wait_for_function(f"{MAP}?.dataset.points > 0", timeout=60_000)
        page.wait_for_function("!document.body.innerText.includes('this is PCA')", timeout=120_000)
        settled(page)
        of_pca = page.evaluate("window.ofPCA !== null")
        if of_pca:
            break
    assert of_pca and page.evaluate(f"window.ofPCA === {MAP}")


def test_a_real_lasso_returns_ids_that_survive_recolouring_and_a_link(page, app_workspace):
    lasso_all(page)
    before = selected_on_map(page)
    assert len(before) > 20
    page.wait_for_function("new URL(location.href).searchParams.has('selected')", timeout=60_000)
    digest = page.evaluate("new URL(location.href).searchParams.get('selected')")
    dataset = open_dataset(Workspace(app_workspace), "tiny")
    kept = read_selection(Workspace(app_workspace), dataset.hash, digest)
    assert len(kept) == len(before) and np.isin(kept, np.arange(1, dataset.n_items + 1)).all()
    coloured_by(page, "category")
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.style?.colour?.title === 'category'", timeout=20_000)
    assert selected_on_map(page) == before
    page.reload()
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.selection.size === {len(before)}", timeout=60_000)


def test_the_map_follows_when_a_selection_is_taken_back(page):
    lasso_all(page)
    assert selected_on_map(page)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.selection.size === 0", timeout=20_000)
    page.wait_for_selector("text=items selected", state="detached", timeout=20_000)


def test_the_hover_card_shows_the_picture_of_the_item_under_the_pointer(page, app_workspace):
    dataset = open_dataset(Workspace(app_workspace), "tiny")
    item = int(page.evaluate(f"{MAP}.alignmentMap.points.at[3].findIndex((p) => p >= 0)"))
    zoom_to(page, item, "I")
    in_view(page)
    page.mouse.move(*place_of(page, item, "I"))
    source = page.wait_for_function(
        f"(() => {{ const c = {MAP}?.querySelector('.card'), i = c?.querySelector('img');"
        " return i && !c.hidden && i.src; })()",
        timeout=20_000,
    ).json_value()
    shown = int(page.evaluate(f"{MAP}.querySelector('.card').dataset.item"))
    row = shown + 1  # every item has attributes, so all rows are on the map
    assert shown == item and base64.b64decode(source.split(",", 1)[1]) == dataset.picture(row)
    assert dataset.titles[row] in page.evaluate(f"{MAP}.querySelector('.card').innerText")


def test_a_click_lists_neighbours_of_the_original_space(page):
    zoom_to(page, 5, "T")
    in_view(page)
    page.mouse.click(*place_of(page, 5, "T"))
    page.wait_for_selector("text=true neighbours are among the nearest on the map", timeout=20_000)
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.style?.neighbours?.true.length === 10", timeout=20_000)
    assert page.evaluate(f"{MAP}.alignmentMap.view.style.neighbours.point") == [5, "T"]
    page.keyboard.press("Escape")
    gone(page)
    page.mouse.click(*place_of(page, 5, "T"))
    page.get_by_role("button", name="Close", exact=True).click(timeout=20_000)
    gone(page)


def gone(page) -> None:
    """Wait until the neighbours are put away, below the map and on it."""
    page.wait_for_selector("text=true neighbours are among", state="detached", timeout=20_000)
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.style?.neighbours === null", timeout=20_000)


def test_pan_and_zoom_survive_a_rerun_and_keys_work(page):
    in_view(page)
    page.evaluate(f"{MAP}.querySelector('.stage').focus()")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    view = page.evaluate(f"(() => {{ const v = {MAP}.alignmentMap.view; return [v.x, v.y, v.scale]; }})()")
    assert page.evaluate(f"!{MAP}.querySelector('.card').hidden")
    page.get_by_text("Means", exact=True).click()
    settled(page)
    assert page.evaluate(f"(() => {{ const v = {MAP}.alignmentMap.view; return [v.x, v.y, v.scale]; }})()") == view


def test_search_marks_matches_on_the_map(page):
    word = page.evaluate(f"{MAP}.alignmentMap.points.head.titles.find((t) => t).split(' ')[0]")
    page.get_by_label("Search titles on the map").fill(word)
    assert page.evaluate(f"{MAP}.alignmentMap.view.matches.size") > 0
    page.keyboard.press("Enter")
    page.wait_for_selector("text=items selected", timeout=20_000)


def test_the_film_moves_over_the_checkpoints(open_page, run):
    page = opened(open_page, run, "&view=film")
    stages = page.evaluate(f"{MAP}.alignmentMap.points.stages")
    assert len(stages) >= 3 and stages[0] == "step-000000"
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"{MAP}?.alignmentMap?.view.frame === {len(stages) - 1}", timeout=60_000)
    assert page.evaluate(f"{MAP}.dataset.panes") == "1"


def test_a_film_that_ran_when_its_map_was_taken_away_goes_on(open_page, run):
    page = opened(open_page, run)
    page.evaluate(f"{MAP}.alignmentMap.hub.playing = true")  # what the map before it leaves behind, however fast it ran
    assert not page.evaluate(f"Boolean({MAP}.alignmentMap.playing)")
    page.get_by_role("radio", name="Film").click()
    page.wait_for_function(
        f"(() => {{ const m = {MAP}?.alignmentMap;"
        " return m?.view.film && m.view.frame === m.points.stages.length - 1 && !m.hub.playing; })()",
        timeout=60_000,
    )
    assert page.get_by_role("button", name="Play", exact=True).get_attribute("aria-pressed") == "false"


def test_without_webgl2_the_page_draws_plotly_and_says_so(chromium, app_url, run):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        " HTMLCanvasElement.prototype.getContext = function (kind, ...rest)"
        " { return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    page.goto(f"{app_url}/alignment?v=1&dataset=tiny&run={run}")
    page.wait_for_selector("text=This browser offers no WebGL2: the map is drawn with Plotly", timeout=60_000)
    page.wait_for_selector(".js-plotly-plot", timeout=30_000)
    again = page.get_by_role("button", name="Try WebGL2 again")
    for _ in range(2):
        settled(page)
        again.click()
        page.wait_for_timeout(1000)
        settled(page)
        again.wait_for(timeout=30_000)  # tried, told, and drawn with Plotly as before
        page.wait_for_selector(".js-plotly-plot", timeout=30_000)
        assert page.evaluate(f"{MAPS}.length") == 0
    context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_it_fits_dark_and_narrow(open_page, run, width, dark):
    page = opened(open_page, run, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
    in_view(page)
    panes = page.evaluate(f"{MAP}.alignmentMap.view.panes.map((p) => p.top)")
    assert (panes[0] < panes[1]) == (width == 390)
