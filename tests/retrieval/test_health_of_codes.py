"""Codebook health: usage, dead codes, where the error lies, and what shares a code."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.contracts import ChannelVectors
from seminar_core.errors import StaleError
from seminar_core.retrieval.codebooks import train_codebooks
from seminar_core.retrieval.health import health, same_code
from tests.retrieval.retrieval_worlds import targets, vectors


def test_same_code_groups_are_the_naive_groups():
    codes = np.array([[1, 2], [3, 4], [1, 2], [5, 6], [3, 4], [1, 2]], np.uint8)
    assert [g.tolist() for g in same_code(codes, 5)] == [[0, 2, 5], [1, 4]]
    assert [g.tolist() for g in same_code(codes, 1)] == [[0, 2, 5]]
    assert same_code(codes[:0], 5) == []


@pytest.mark.parametrize("spec", ["PQ4x4", "QC16,RQ4x4", "SQ8"])
def test_every_part_is_counted(spec):
    world = vectors()
    found = health(train_codebooks(spec, world, targets(world)), world)
    assert set(found) == {"item", "query", "pair"}
    assert found["item"].coded == 60 and found["query"].coded == 20
    assert list(found["item"].distortion_by_channel) == ["A", "T", "I"]
    assert list(found["pair"].distortion_by_channel) == ["Q", "A", "T", "I"]
    for part in found.values():
        assert all(0 <= v < 1 for v in part.distortion_by_channel.values())
        if spec != "SQ8":
            assert (part.usage.sum(1) == part.coded).all() and part.dead == (part.usage == 0).sum()
            assert ((part.perplexity >= 1) & (part.perplexity <= 16.001)).all()


def test_few_items_leave_dead_codes_and_no_error():
    world = vectors(items=5, queries=3, absent=0)
    found = health(train_codebooks("PQ4x4", world, targets(world)), world)["item"]
    assert found.dead == 4 * (16 - 5)
    assert max(found.distortion_by_channel.values()) < 1e-9 and found.distortion_by_subspace.max() < 1e-9


def test_residual_stages_leave_less_and_less():
    world = vectors()
    found = health(train_codebooks("QC32,RQ6x4", world, targets(world)), world)["pair"]
    assert (np.diff(found.distortion_by_subspace) < 0).all()


def test_items_with_equal_vectors_share_a_code():
    world = vectors()
    world.item[[4, 9]] = world.item[2]
    world.item_present[[4, 9]] = world.item_present[2]
    found = health(train_codebooks("PQ8x8", world, targets(world)), world)["item"]
    assert found.sharing[0].tolist() == [2, 4, 9] and found.shared >= 3


def test_other_vectors_are_stale():
    world = vectors()
    books = train_codebooks("PQ4x4", world, targets(world))
    other = ChannelVectors(world.item + 1, world.item_present, world.query, world.query_present)
    with pytest.raises(StaleError):
        health(books, other)
