"""Learning, on planted data and on noise: alignment, relevance, and an interest planted 1,000 events back."""

import numpy as np
import pytest
import torch

from seminar_core.contracts import LifeBatch
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import heldout_items
from seminar_core.model.psu import PSU
from seminar_core.model.tensors import to_tensors
from tests.model.planted_worlds import (
    ITEMS,
    KINDS,
    draw,
    kind_of,
    make_ranker,
    old_interest_batch,
    planted_channels,
    share_of_first,
    train,
)

CHANCE = 1 / 6
QUICK = ("seminar", "twin", "qin")
SEARCHERS = ("seminar", "seminar-pq", "sim-hard", "sim-soft", "eta", "sdim", "twin", "qin", "muse")


def quick_or_slow(names: tuple[str, ...]) -> list:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", quick_or_slow(SEARCHERS))
def test_an_interest_planted_1000_events_back_is_found_by_every_gsu_model(name):
    model = make_ranker(name)
    train(model, 60 if name in QUICK else 260)
    assert share_of_first(model) > 0.75


def test_din_cannot_find_it_because_it_reads_the_newest_events_only():
    model = make_ranker("din")
    train(model, 60)
    assert share_of_first(model) < CHANCE + 0.15


@pytest.mark.parametrize("name", quick_or_slow((*SEARCHERS, "din", "avgpool")))
def test_nothing_is_found_where_nothing_is_planted(name):
    model = make_ranker(name)
    train(model, 60 if name in QUICK else 260, planted=False)
    assert share_of_first(model, planted=False) < CHANCE + 0.15


def neighbours(psu: PSU, rows: torch.Tensor) -> float:
    """Recall@1 from text to image among `rows`."""
    with torch.no_grad():
        vectors, _ = psu.channels.items(rows)
    text, image = (torch.nn.functional.normalize(vectors[:, m], dim=1) for m in (1, 2))
    return float(((text @ image.t()).argmax(1) == torch.arange(len(rows))).float().mean())


def aligned(shuffled: bool, steps: int = 150) -> tuple[PSU, torch.Tensor, torch.Tensor]:
    """A PSU trained to align; `shuffled` gives every item another item's picture."""
    channels = planted_channels()
    if shuffled:
        order = torch.randperm(ITEMS, generator=torch.Generator().manual_seed(1)) + 1
        channels.image_items[1:] = channels.image_items[order]
    held = torch.from_numpy(heldout_items(ITEMS, 0, share=0.25))
    torch.manual_seed(0)
    psu = PSU(channels=channels, fusion=Fusion(enabled=channels.enabled), objectives={"alignment": 1.0}, heldout=held)
    optimiser = torch.optim.Adam(psu.parameters(), lr=0.02)
    everything = to_tensors(*old_interest_batch(0, people=4))
    for _ in range(steps):
        rows, first = psu.sampled_items(*everything, None)
        loss = psu.alignment(rows, *psu.channels.items(rows), first)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    rows = torch.arange(ITEMS + 1)
    return psu, rows[1:][~held[1:]], rows[1:][held[1:]]


def test_aligned_modalities_become_nearest_neighbours_also_of_held_out_items():
    untrained, trained_rows, held_rows = aligned(shuffled=False, steps=0)
    psu, _, _ = aligned(shuffled=False)
    assert neighbours(untrained, trained_rows) < 0.1
    assert neighbours(psu, trained_rows) > 0.8
    assert neighbours(psu, held_rows) > 0.6  # chance is 1/60


def test_alignment_of_pictures_that_belong_to_other_items_does_not_reach_held_out_items():
    psu, _, held_rows = aligned(shuffled=True)
    assert neighbours(psu, held_rows) < 0.15


@pytest.mark.parametrize("planted", [True, False])
def test_the_query_objective_raises_relevance_where_queries_say_something(planted):
    channels = planted_channels(queries=True)
    torch.manual_seed(0)
    psu = PSU(channels=channels, fusion=Fusion(enabled=channels.enabled), objectives={"relevance": 1.0}, sample=128)
    optimiser = torch.optim.Adam(psu.parameters(), lr=0.02)

    def lives(seed: int) -> LifeBatch:
        rng = np.random.default_rng((seed, 3))
        item = draw(rng, rng.integers(0, KINDS, (8, 16))).astype(np.int32)
        asked = kind_of(item) if planted else rng.integers(0, KINDS, item.shape)
        return LifeBatch(item, (asked + 1).astype(np.int32), np.zeros(item.shape, np.int64), np.ones(item.shape, bool))

    targets = old_interest_batch(0, people=8)[1]
    for seed in range(60):
        loss = psu(*to_tensors(lives(seed), targets)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        everything = psu.encoder().encode(torch.arange(1, ITEMS + 1), torch.zeros(ITEMS, dtype=torch.long)).item
        words, _ = psu.channels.queries(torch.arange(1, KINDS + 1))
    cosine = torch.cosine_similarity(everything.unsqueeze(1), words.unsqueeze(0), dim=2)
    right = float((cosine.argmax(1).numpy() == kind_of(np.arange(1, ITEMS + 1))).mean())
    assert (right > 0.9) if planted else (right < 0.3)
