"""A map drawn behind a page: it is kept when done, can be stopped, and says why it failed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from seminar_core.alignment.channel_set import ChannelSet
from seminar_core.alignment.map_drawing import Drawing, Drawings
from seminar_core.alignment.map_store import MapRequest, kept_map, map_key
from seminar_core.alignment.projection import joint_points
from seminar_core.errors import NonFiniteError


def channel_set(n: int = 40, flat: bool = False) -> ChannelSet:
    matrix = (
        np.ones((n, 6), np.float32) if flat else np.random.default_rng(0).standard_normal((n, 6)).astype(np.float32)
    )
    return ChannelSet(np.arange(1, n + 1, dtype=np.int32), {"T": matrix}, {"T": np.ones(n, bool)})


def wait(drawing: Drawing, seconds: float = 60) -> Drawing:
    until = time.monotonic() + seconds
    while not drawing.finished and time.monotonic() < until:
        time.sleep(0.02)
    return drawing


def test_a_drawing_ends_in_a_kept_map(workspace):
    stages, request, drawings = {"after": channel_set()}, MapRequest(), Drawings()
    key = map_key(stages, request)
    drawing = wait(drawings.start(key, workspace, stages, request, {"run": "r"}))
    assert drawing.error is None and drawing.done == drawing.total == 200
    assert kept_map(workspace, stages, request) is not None
    drawings.forget(key)
    assert drawings.get(key) is None


def test_a_stopped_drawing_keeps_nothing_and_says_so(workspace):
    stages, request, drawings = {"after": channel_set()}, MapRequest(), Drawings()
    key = map_key(stages, request)
    with drawings._one_at_a_time:
        drawing = drawings.start(key, workspace, stages, request, {})
        assert drawings.start(key, workspace, stages, request, {}) is drawing
        drawing.stop.set()
    assert wait(drawing).error is not None and drawing.error.kind == "cancelled"
    assert kept_map(workspace, stages, request) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_never_comes_as_far_as_a_map(bad):
    channels = channel_set()
    channels.vectors["T"][3, 2] = bad
    with pytest.raises(NonFiniteError, match=r"channel T \(text\): 1 of 40 items hold NaN or infinity"):
        ChannelSet(channels.rows, channels.vectors, channels.present)
    hidden = {"T": channels.present["T"] & (np.arange(40) != 3)}
    points = joint_points({"after": ChannelSet(channels.rows, channels.vectors, hidden)})
    assert len(points) == 39 and np.isfinite(points.vectors).all()


def test_vectors_that_cannot_be_drawn_are_explained(workspace):
    stages, drawings = {"after": channel_set(flat=True)}, Drawings()
    drawing = wait(drawings.start("k", workspace, stages, MapRequest(), {}))
    assert drawing.error is not None and "all 40 vectors are equal" in drawing.error.message
