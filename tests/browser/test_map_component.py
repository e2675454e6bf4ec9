"""The map component alone in a browser, without a server: lines, density, box, legend, small multiples, gap, keys."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import numpy as np
import pytest

from app.components.alignment_map import HERE, payload
from benchmarks.map_frames import cloud, page_of
from seminar_core.alignment.map_facts import centroid_gaps, worst_aligned
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNELS

pytestmark = pytest.mark.browser
ITEMS, WORST = 400, 7


@pytest.fixture(scope="module")
def layout():
    return cloud(ITEMS)


@pytest.fixture(scope="module")
def page(chromium, layout):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    colouring = payload.Colouring("kind", (np.arange(ITEMS) % 3).astype(np.uint8), legend())
    page.set_content(page_of(layout, worst=WORST, colouring=colouring))
    page.wait_for_function("window.map?.look && map.root.dataset.drawn")
    yield page
    page.close()


def legend() -> list[dict[str, object]]:
    return [{"label": f"kind {n}", "colour": "#0072b2", "n": 134 - (n > 0)} for n in range(3)]


@pytest.fixture(autouse=True)
def calm(page):
    """Nothing selected, nothing hidden, as at first."""
    page.evaluate(
        "map.view.hiddenCodes.clear(); map.view.selection.clear(); map.view.matches.clear(); map.setTool('pan');"
        "map.view.fit(); map.paint(); map.setHover(null); told.length = 0"
    )
    page.wait_for_timeout(80)


def shown(page) -> dict:
    return page.evaluate(
        "({lines: map.scene.lineCount, status: map.$('.status').textContent, panes: map.view.panes.length,"
        " labels: [...map.root.querySelectorAll('.labels span')].map((s) => s.textContent),"
        " drawn: map.root.dataset.drawn})"
    )


def test_lines_join_only_the_worst_aligned_or_what_is_selected(page, layout):
    assert shown(page)["lines"] == 6 * WORST and f"lines of the {WORST} worst aligned items" in shown(page)["status"]
    sent = set(page.evaluate("[...map.view.worst]"))
    cosines = payload.pair_cosines(layout, payload.items_of(layout))
    assert sent == set(worst_aligned(cosines[-1], WORST).tolist())
    page.evaluate("map.select(new Set([3, 5]), 'key')")
    page.wait_for_timeout(80)
    assert shown(page)["lines"] == 12 and "of marked items" in shown(page)["status"]


def test_a_box_selects_exactly_the_items_with_a_point_inside_it(page):
    page.get_by_role("button", name="Box").click()
    left, top, width, height = page.evaluate(
        "(() => { const b = map.stage.getBoundingClientRect(), p = map.view.panes[1];"
        " return [b.left + p.left, b.top + p.top, p.width, p.height]; })()"
    )
    page.mouse.move(left + 0.3 * width, top + 0.3 * height)
    page.mouse.down()
    page.mouse.move(left + 0.5 * width, top + 0.4 * height)
    page.mouse.move(left + 0.6 * width, top + 0.6 * height)
    page.mouse.up()
    inside = page.evaluate(
        "(() => { const q = map.view.panes[1], found = new Set(); for (let p = 0; p < map.points.n; p++) {"
        " const [x, y] = map.place(q, p); const u = (x - q.left) / q.width, v = (y - q.top) / q.height;"
        " if (u > .3 && u < .6 && v > .3 && v < .6) found.add(map.points.item[p]); }"
        " return [...found].sort((a, b) => a - b); })()"
    )
    name, value = page.evaluate("told.at(-1)")
    assert name == "lassoed" and value["kind"] == "box" and 20 < len(inside) < ITEMS
    assert sorted(payload.unpack_ids(value["ids"]).tolist()) == inside


def test_overlapping_points_become_density_and_zooming_in_pulls_them_apart(page):
    assert shown(page)["drawn"] == "both" and "as density, where they overlap" in shown(page)["status"]
    page.evaluate("map.view.mode = 'points'; map.draw()")
    page.wait_for_timeout(80)
    assert shown(page)["drawn"] == "points"
    page.evaluate("map.view.mode = 'auto'; map.view.scale *= 60; map.draw()")
    page.wait_for_timeout(80)
    assert shown(page)["drawn"] == "points"


def test_a_class_is_hidden_and_shown_by_its_legend_and_shift_leaves_it_alone(page):
    entry = page.get_by_role("button", name="kind 1")
    entry.click()
    states = "[0, 1, 2].map((c) => map.points.item.some((item, p) => item % 3 === c && map.look.state[p] > 0))"
    assert page.evaluate(states) == [True, False, True]
    page.get_by_role("button", name="kind 1").click()
    assert page.evaluate(states) == [True, True, True]
    page.get_by_role("button", name="kind 1").click(modifiers=["Shift"])
    assert page.evaluate(states) == [False, True, False]


def test_the_gap_of_the_original_space_stands_beside_each_stage(page, layout):
    gaps = [np.mean([pair["gap"] for pair in stage.values()]) for stage in centroid_gaps(layout)]
    assert shown(page)["labels"] == [f"{s} · mean gap {g:.2f}" for s, g in zip(("before", "after"), gaps, strict=True)]
    page.get_by_label("Which pairs are joined").select_option("TI")
    one = [stage["TI"]["gap"] for stage in centroid_gaps(layout)]
    assert shown(page)["labels"] == [f"{s} · gap {g:.2f}" for s, g in zip(("before", "after"), one, strict=True)]
    page.get_by_label("Which pairs are joined").select_option("all")


def test_small_multiples_draw_one_modality_a_panel_and_ring_the_item_in_each(page):
    page.evaluate("map.restyle({...window.sent, multiples: true})")
    page.wait_for_timeout(150)
    facts = shown(page)
    assert facts["panes"] == 8 and facts["lines"] == 0
    assert facts["labels"][:2] == ["before · query", "before · attribute"]
    drawn = page.evaluate(
        "map.view.panes.map((q) => { const xy = map.points.xy[q.stage], { points } = map.density.cut(q, map.view,"
        " [xy, xy, 0], map.look, map.order, map.points.channel, q.channel, { crowd: Infinity, few: 0 });"
        " return new Set([...points].map((p) => map.points.channel[p])).size; })"
    )
    assert drawn == [1] * 8
    page.evaluate("map.restyle({...window.sent, multiples: false})")
    page.wait_for_timeout(150)
    assert shown(page)["panes"] == 2


def test_an_item_is_selected_with_the_keyboard_alone(page):
    page.evaluate("map.stage.focus()")
    page.keyboard.press("n")
    item = page.evaluate("map.points.item[map.hover]")
    page.keyboard.press("s")
    assert page.evaluate("[...map.view.selection]") == [item] and page.evaluate("told.at(-1)[1].kind") == "key"
    page.keyboard.press("Escape")
    assert page.evaluate("map.view.selection.size") == 0


def test_a_map_that_is_too_slow_is_density_while_it_moves_and_says_so(page):
    page.evaluate("map.view.mode = 'points'; map.draw()")
    moved = page.evaluate(
        "(async () => { const render = map.render; map.render = function () { const t = performance.now();"
        " while (performance.now() - t < 40); render.call(this); this.renderMs += 40; };"
        " for (let f = 0; f < 5; f++) { map.drawMoving(); await new Promise(requestAnimationFrame); }"
        " await new Promise(requestAnimationFrame); delete map.render;"
        " return [map.root.dataset.drawn, map.$('.status').textContent]; })()"
    )
    assert moved[0] == "density" and "density alone while it moves" in moved[1]
    page.wait_for_function("map.root.dataset.drawn === 'points' && !map.coarse", timeout=10_000)
    page.evaluate("map.view.mode = 'auto'; map.draw()")


@pytest.fixture
def own(chromium):
    """A page with a map of its own, whose colours have three entries."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_content(page_of(cloud(ITEMS), colouring=payload.Colouring("kind", np.ones(ITEMS, np.uint8), legend())))
    page.wait_for_function("window.map?.look && map.root.dataset.drawn")
    yield page
    page.close()


def show(page, layout: Layout, of: str, *, anew: bool = False) -> None:
    """Send another map, whose style is still on the way; `anew`: the page was left and opened again."""
    items = payload.items_of(layout)
    block = payload.pack(layout, items, key="bench", titles=["a"] * (int(items.rows[-1]) + 1), of=of)
    if anew:
        html = (HERE / "map.html").read_text(encoding="utf-8")
        page.evaluate("(html) => { map.dispose(); document.querySelector('.am').outerHTML = html; }", html)
    page.evaluate("(block) => show(Uint8Array.from(atob(block), (c) => c.charCodeAt(0)))", b64encode(block).decode())
    page.wait_for_timeout(80)


def test_a_map_of_other_items_takes_the_place_of_one_with_colours_and_a_point_under_the_pointer(own):
    own.evaluate("map.view.hiddenCodes.add(2); map.setHover(map.points.n - 1, map.view.panes[0]); map.search('item 3')")
    for items in (3 * ITEMS, ITEMS // 4):  # more than had colours, fewer than were pointed at
        show(own, cloud(items), f"of {items}")
        assert own.evaluate("[map.points.items, map.shown, map.hover]") == [items, 4 * items, None]
        assert own.evaluate("map.view.matches.size + map.view.hiddenCodes.size + map.view.worst.length") == 0
        assert own.get_by_label("Search titles on the map").input_value() == ""


def test_colours_and_hidden_entries_stay_while_a_new_layout_of_the_same_items_comes(own):
    show(own, cloud(ITEMS), "one")
    own.evaluate("map.restyle({...sent, digest: map.points.digest}); map.view.hiddenCodes.add(2)")
    own.evaluate("map.setHover(7, map.view.panes[0])")
    show(own, cloud(ITEMS, seed=1), "one")
    facts = "[map.view.style.colour.title, [...map.view.hiddenCodes], map.hover]"
    assert own.evaluate(facts) == ["kind", [2], 7]


def without(layout: Layout, channels: str) -> Layout:
    """The map without the points of some modalities."""
    points, kept = layout.points, ~np.isin(layout.points.channel, [CHANNELS.index(c) for c in channels])
    fields = {name: getattr(points, name)[kept] for name in ("item", "channel", "stage", "vectors")}
    return Layout(replace(points, **fields), layout.xy[kept], layout.fitted[kept], {})


@pytest.mark.parametrize("anew", [False, True])
def test_another_map_is_seen_from_afar_with_what_it_has_of_the_pair_and_the_modalities(own, anew):
    own.get_by_label("Which pairs are joined").select_option("TI")
    for name in ("query", "attribute", "text"):
        own.get_by_role("button", name=name, exact=True).click()
    for _ in range(4):
        own.get_by_role("button", name="Zoom in").click()
    own.evaluate("map.view.x += 40; map.remember()")
    show(own, without(cloud(ITEMS, seed=1), "I"), "two", anew=anew)
    assert own.evaluate("[map.view.pair, map.$('.lines select').value, map.view.hiddenChannels]") == ["all", "all", []]
    seen = own.evaluate("[map.view.x, map.view.y, map.view.scale]")
    own.evaluate("map.view.fit()")
    assert seen == own.evaluate("[map.view.x, map.view.y, map.view.scale]")


def test_the_same_map_is_seen_from_where_it_was_left(own):
    layout = without(cloud(ITEMS), "")
    show(own, layout, "one")
    own.get_by_role("button", name="Zoom in").click()
    own.get_by_role("button", name="query", exact=True).click()
    left = own.evaluate("[map.view.x, map.view.y, map.view.scale, map.view.hiddenChannels]")
    show(own, layout, "one", anew=True)
    assert own.evaluate("[map.view.x, map.view.y, map.view.scale, map.view.hiddenChannels]") == left
