"""Figures of the station Alignment: rows come back as ids, chance and intervals are drawn, the payload is small."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from app.components.alignment_map import payload
from app.components.block import head_of
from app.stations.alignment import figures
from seminar_core.alignment.card import number_card
from seminar_core.alignment.card_table import card_table
from seminar_core.alignment.channel_set import ChannelSet
from seminar_core.alignment.projection import Layout, joint_points, lay_out


def channel_set(n: int, seed: int) -> ChannelSet:
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n, 8)).astype(np.float32)
    vectors = {name: base + 0.3 * rng.standard_normal((n, 8)).astype(np.float32) for name in "QATI"}
    present = {name: np.ones(n, bool) for name in "QAT"} | {"I": np.arange(n) % 4 > 0}
    return ChannelSet(np.arange(1, n + 1, dtype=np.int32), vectors, present)


@pytest.fixture(scope="module")
def stages() -> dict[str, ChannelSet]:
    return {"before": channel_set(80, 1), "after": channel_set(80, 2)}


@pytest.fixture(scope="module")
def layout(stages) -> Layout:
    return lay_out(joint_points(stages), method="pca")


def test_the_plotly_map_carries_catalogue_rows_and_pins_its_axes(layout):
    selected = np.array([3, 5, 7])
    figure = figures.map_figure(layout, selected=selected, titles=[None] + ["<b>x</b>"] * 80)
    texts = [t for t in figure.data if t.name == "text"]
    assert len(texts) == 2 and texts[0].customdata.dtype == np.int32
    assert set(texts[0].customdata[texts[0].selectedpoints]) == {3, 5, 7}
    assert "<b>" not in texts[0].text[0]
    assert len({t.marker.symbol for t in figure.data if t.mode == "markers"}) == 4
    assert figure.layout.legend.itemsizing == "constant", "points of 3 px do not tell their shape"
    assert figure.layout.xaxis.range is not None and figure.layout.xaxis2.matches == "x"


def test_points_take_the_colours_of_an_attribute_and_keep_their_shapes(layout):
    legend = [{"label": "other", "colour": "#8a8a8a", "n": 3}, {"label": "<b>", "colour": "#0072b2", "n": 5}]
    codes = (layout.points.item % 2).astype(np.uint8)
    figure = figures.map_figure(layout, colours=figures.PointColours(codes, legend))
    text = next(t for t in figure.data if t.name == "text")
    assert np.array_equal(text.marker.color, text.customdata % 2) and text.marker.symbol == "circle"
    assert [step for step, _ in text.marker.colorscale] == [0, 0.5, 0.5, 1]
    assert {"other", "&lt;b&gt;"} <= {t.name for t in figure.data}


def test_lines_join_the_points_of_the_items_that_are_asked_for_and_no_others(layout):
    joined = np.array([3, 5, 9], np.int32)
    line = next(t for t in figures.map_figure(layout, joined=joined).data if t.mode == "lines")
    of = np.isin(layout.points.item, joined) & (layout.points.stage == 0)
    assert np.isnan(line.x).sum() == 2 and np.isfinite(line.x).sum() == of.sum()
    for nobody in (None, np.zeros(0, np.int32)):
        assert not [t for t in figures.map_figure(layout, joined=nobody).data if t.mode == "lines"]


@pytest.mark.parametrize("limit", [figures.MOST_SCATTER, 10])
def test_small_multiples_draw_each_modality_in_a_panel_of_its_own(layout, monkeypatch, limit):
    monkeypatch.setattr(figures, "MOST_SCATTER", limit)  # few: as density
    figure = figures.map_figure(layout, joined=np.array([3, 5], np.int32), multiples=True)
    assert [a.text for a in figure.layout.annotations] == ["query", "attribute", "text", "image", "before", "after"]
    assert len({trace.xaxis for trace in figure.data}) == len(figure.data) == 8, "a panel each, and no lines"
    for trace, (stage, channel) in zip(figure.data, product((0, 1), range(4)), strict=True):
        here = (layout.points.stage == stage) & (layout.points.channel == channel)
        assert np.array_equal(trace.x, layout.xy[here, 0])


def test_the_card_is_drawn_with_intervals_and_chance(stages):
    cards = {name: number_card(s.vectors, s.present, bootstrap=20) for name, s in stages.items()}
    table = card_table(cards)
    figure = figures.card_figure(table, "in alignment")
    assert {t.name for t in figure.data} == {"before", "after", "by chance"}
    assert all(t.error_x.array is not None for t in figure.data if t.name == "after")
    film = figures.film_figure(table, [0, 100], "in alignment")
    assert {t.name for t in film.data} >= {"text > image", "attribute > text"}
    titles = [note.text for note in figure.layout.annotations]
    assert "Paired<br>cosine" in titles, "three panels stand beside each other on a narrow screen"
    assert figures.card_figure(table, "held out").layout.annotations


def read(block: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    size = int.from_bytes(block[:4], "little")
    head = json.loads(block[4 : 4 + size])
    kinds = {"f4": np.float32, "u1": np.uint8, "i4": np.int32}
    arrays = {
        b["name"]: np.frombuffer(block, kinds[b["dtype"]], b["length"], 4 + size + b["start"]) for b in head["buffers"]
    }
    return head, arrays


def test_the_payload_rebuilds_every_point_and_cosine(layout, stages):
    items = payload.items_of(layout)
    head, arrays = read(payload.pack(layout, items, key="k", titles=[None] + ["t"] * 80))
    bits = arrays["present"]
    points = [(i, c) for c in range(4) for i in range(80) if bits[i] >> c & 1]
    assert len(points) * 2 == len(layout.points) and head["stages"] == ["before", "after"]
    xy = arrays["xy_1"].reshape(-1, 2)
    for at in (0, 99, len(points) - 1):
        item, channel = points[at]
        where = items.point[1, channel, item]
        assert layout.points.item[where] == items.rows[item] and np.array_equal(xy[at], layout.xy[where])
    unit = stages["after"].unit()
    pair = head["pairs"].index(["A", "T"])
    expected = np.einsum("nd,nd->n", unit.vectors["A"], unit.vectors["T"])
    got = (arrays["cosine_1"].reshape(80, -1)[:, pair].astype(float) - 128) / 127
    assert np.allclose(got, expected, atol=0.006)
    absent = arrays["cosine_1"].reshape(80, -1)[0, head["pairs"].index(["T", "I"])]
    assert absent == 0


def test_a_hundred_thousand_points_cost_at_most_1_6_megabytes():
    n = 25_000
    channels = {name: np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32) for name in "QATI"}
    points = joint_points(
        {"a": ChannelSet(np.arange(1, n + 1, dtype=np.int32), channels, dict.fromkeys("QATI", np.ones(n, bool)))}
    )
    layout = Layout(points, points.vectors[:, :2].copy(), np.ones(len(points), bool), {})
    block = payload.pack(layout, payload.items_of(layout), key="k", titles=["x" * 30] * (n + 1))
    assert len(points) == 100_000 and len(block) <= 1_600_000


def test_digest_names_the_content_and_ids_survive_the_way(layout):
    items = payload.items_of(layout)
    first, second = (payload.pack(layout, items, key="k", titles=["a"] * 81, height=h) for h in (500, 501))
    assert head_of(first)["digest"] != head_of(second)["digest"]
    ids = np.array([0, 5, 79], np.int32)
    assert np.array_equal(payload.unpack_ids(payload.pack_ids(ids)), ids)
    assert items.positions(np.array([6, 80, 999])).tolist() == [5, 79]


def test_rare_values_and_none_are_other():
    colours = payload.colour_by("brand", np.array(["a"] * 5 + ["b"] * 3 + ["c"] + [""] * 2), most=2)
    assert colours.codes.tolist() == [1] * 5 + [2] * 3 + [0] * 3
    assert [entry["n"] for entry in colours.legend] == [3, 5, 3]


def test_numbers_are_coloured_by_sevenths_and_unknown_ones_are_other():
    values = np.append(np.arange(70.0), np.nan)
    colours = payload.colour_by_number("gap", values)
    assert colours.codes[-1] == 0 and colours.codes[0] == 1 and colours.codes[69] == 7
    assert sum(entry["n"] for entry in colours.legend) == 71
    assert payload.colour_by_number("flat", np.ones(5)).codes.tolist() == [1] * 5
