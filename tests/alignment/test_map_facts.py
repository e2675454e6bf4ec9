"""Figures told on a map: centroid gaps are the card's, the worst aligned are the planted ones, absence is no fault."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.alignment.card import number_card
from seminar_core.alignment.channel_set import ChannelSet
from seminar_core.alignment.map_facts import centroid_gaps, shortfall, worst_aligned
from seminar_core.alignment.projection import joint_points, lay_out


def planted(n: int = 60) -> ChannelSet:
    """Items whose modalities agree, but for 7 and 19, whose text says the opposite; every third has no picture."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((n, 16)).astype(np.float32)
    vectors = {c: base + 0.2 * rng.standard_normal((n, 16)).astype(np.float32) + at for at, c in enumerate("QATI")}
    vectors["T"][[7, 19]] *= -1
    present = {c: np.ones(n, bool) for c in "QAT"} | {"I": np.arange(n) % 3 > 0}
    return ChannelSet(np.arange(1, n + 1, dtype=np.int32), vectors, present)


def test_the_gaps_on_the_map_are_the_cards_when_all_items_are_drawn():
    channels = planted()
    layout = lay_out(joint_points({"only": channels}), method="pca")
    gaps = centroid_gaps(layout)[0]
    card = number_card(channels.vectors, channels.present)
    assert set(gaps) == {"QA", "QT", "QI", "AT", "AI", "TI"}
    assert gaps["TI"]["n"] == 40 and gaps["QA"]["n"] == 60
    for pair, found in gaps.items():
        figure = card["pairs"][f"{pair[0]}>{pair[1]}"]["centroid_gap"]
        assert found["gap"] == pytest.approx(figure["value"], abs=1e-4)


def test_planted_items_are_the_worst_aligned_and_absence_is_not_counted():
    cosines = np.array([[0.9, 0.1], [0.8, 0.0], [0.0, 0.1], [np.nan, 0.1], [np.nan, np.nan]])
    # means .5667 and .075: item 1 is (-.2333 + .075) / 2 below, item 3 only its one pair (-.025), item 4 has none
    expected = [(-0.3333 - 0.025) / 2, (-0.2333 + 0.075) / 2, (0.5667 - 0.025) / 2, -0.025]
    assert np.allclose(shortfall(cosines)[:4], expected, atol=1e-3) and np.isnan(shortfall(cosines)[4])
    assert worst_aligned(cosines, 2).tolist() == [2, 3] and len(worst_aligned(cosines, 99)) == 4
    assert len(worst_aligned(cosines, 0)) == 0
    unit = planted().unit().vectors
    pairs = np.stack([np.einsum("nd,nd->n", unit[a], unit[b]) for a, b in ("QA", "QT", "AT")], axis=1)
    assert set(worst_aligned(pairs, 2)) == {7, 19}
