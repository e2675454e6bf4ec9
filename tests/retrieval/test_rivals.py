"""The paper's rivals: symmetric codes against their own table, and searches per channel."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retrieval_ground import fold
from seminar_core.contracts import Folded
from seminar_core.errors import ConfigError
from seminar_core.retrieval.codebooks import train_codebooks
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.exact import ExactScorer
from seminar_core.retrieval.rivals import quantise_target
from seminar_core.retrieval.search import LookupScorer, make_scorer
from tests.retrieval.retrieval_worlds import life, target, targets, vectors


def test_a_coded_target_searched_as_usual_is_the_symmetric_scheme():
    """Against a naive loop over channel pairs of target and event centroids."""
    world = vectors(absent=0)
    books = train_codebooks("SymPQ8x4", world, targets(world))
    events = life(world, 20, searched=1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4, 8)).astype(np.float32)
    w = np.array([0.1, 0.2, 0.3, 0.4])
    coded = quantise_target(books, x, with_query=True)
    part = books.parts["pair"]
    near = part.decode(books.pair_codes(world, events.item, events.query)).reshape(20, 4, 8)
    expected = [sum(w[m] * w[n] * coded[0, m] @ near[l, n] for m in range(4) for n in range(4)) for l in range(20)]
    found = LookupScorer(books, world, events).scores(Folded(fold(coded, w[None]), 1.0))
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    assert (coded != x).any()


def test_an_absent_channel_of_the_target_stays_absent():
    world = vectors()
    books = train_codebooks("SymPQ8x4", world, targets(world))
    x = np.ones((1, 4, 8), np.float32)
    x[0, 3] = 0
    assert not quantise_target(books, x, with_query=True)[0, 3].any()
    assert not quantise_target(books, x, with_query=False)[0, 0].any()


def test_only_the_symmetric_scheme_codes_its_target():
    world = vectors()
    with pytest.raises(ConfigError, match="does not quantise the target"):
        quantise_target(
            train_codebooks("PQ8x4", world, targets(world)), np.ones((1, 4, 8), np.float32), with_query=True
        )


@pytest.mark.parametrize("spec", ["HNSW8", "LSH256"])
def test_channels_searched_one_by_one_find_most_when_they_look_far(spec):
    world = vectors()
    events = life(world, 150)
    exact = ExactScorer(world, events).search(target(world), 10)
    near, far = (make_scorer(spec, world, events, shortlist=f).search(target(world), 10) for f in (None, 8))
    share = [np.mean([np.isin(a, b).mean() for a, b in zip(exact.events, k.events, strict=True)]) for k in (near, far)]
    assert share[1] >= share[0] and share[1] > 0.9


@pytest.mark.parametrize("spec", ["HNSW8", "LSH64"])
def test_absent_channels_and_short_lives_are_searched(spec):
    world = vectors()
    for events in (life(world, 3), life(world, 3, searched=0), EventSet(np.empty(0, np.int32), np.empty(0, np.int32))):
        kept = make_scorer(spec, world, events).search(target(world), 5)
        assert len({*kept.events[0][kept.events[0] >= 0]}) == len(events)


def test_only_weighted_channels_are_searched():
    world = vectors()
    asked = target(world)
    blind = Folded(np.where(np.arange(4)[None, :, None] == 2, asked.u, 0), 1.0)
    kept = make_scorer("HNSW8", world, life(world, 50)).search(blind, 5)
    assert (kept.events >= 0).all()
    nothing = make_scorer("HNSW8", world, life(world, 50)).search(Folded(np.zeros_like(asked.u), 1.0), 5)
    assert (nothing.events == -1).all()
