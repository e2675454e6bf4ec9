"""Negatives: never met, distinct, fixed by (seed, person), and equal to the positive in query presence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_lives import MemoryCatalogue, random_catalogue, store_of

from seminar_core.data.negatives import (
    MODES,
    SAMPLERS,
    TrainingNegatives,
    evaluation_candidates,
    evaluation_negatives,
)
from seminar_core.data.pools import item_counts, training_events
from seminar_core.data.splits import position_split
from seminar_core.errors import ConfigError, EmptyDataError, UnknownNameError

DATA = random_catalogue(0)
SPLIT = position_split(DATA.store)


def met(store, person):
    return set(store.item[store.offsets[person] : store.offsets[person + 1]].tolist())


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("mode", MODES)
def test_negatives_are_distinct_and_never_met(mode, sampler):
    found = evaluation_candidates(DATA, SPLIT, SPLIT.test, mode=mode, sampler=sampler, count=30, seed=3)
    assert (found.item[:, 0] == found.targets.item).all()
    for person, row in zip(found.targets.person, found.item, strict=True):
        assert len(set(row.tolist())) == 31
        assert not met(DATA.store, person) & set(row[1:].tolist())
        assert row.min() >= 1 and row.max() <= DATA.n_items


@pytest.mark.parametrize("mode", MODES)
def test_query_presence_gives_nothing_away(mode):
    found = evaluation_candidates(DATA, SPLIT, SPLIT.test, mode=mode, count=30)
    present = found.query > 0
    assert (present == present[:, :1]).all()
    if mode == "recommendation":
        assert not present.any() and found.left_out == 0
    else:
        assert present.all()
        assert found.left_out == int((SPLIT.test.query == 0).sum())


def test_search_shares_the_query_and_pair_takes_training_events_whole():
    search = evaluation_candidates(DATA, SPLIT, SPLIT.test, mode="search", count=10)
    assert (search.query == search.targets.query[:, None]).all()
    pair = evaluation_candidates(DATA, SPLIT, SPLIT.test, mode="pair", count=10)
    events = training_events(DATA.store, SPLIT.train_end)
    known = set(zip(DATA.store.item[events].tolist(), DATA.store.query[events].tolist(), strict=True))
    drawn = zip(pair.item[:, 1:].ravel().tolist(), pair.query[:, 1:].ravel().tolist(), strict=True)
    assert set(drawn) <= known


def test_candidates_are_fixed_by_seed_and_person_not_by_who_else_is_asked_for():
    whole = evaluation_negatives(DATA, SPLIT.test, count=20, seed=1)
    alone = evaluation_negatives(DATA, SPLIT.test.take(np.array([7])), count=20, seed=1)
    assert (alone[0] == whole[7]).all()
    assert (whole != evaluation_negatives(DATA, SPLIT.test, count=20, seed=2)).mean() > 0.9


def test_negatives_are_what_somebody_met_unless_the_catalogue_is_asked_for():
    store = store_of([(t, 1 + t % 2, 0, 1) for t in range(6)], [(t, 3 + t % 3, 0, 1) for t in range(6)])
    data = MemoryCatalogue(store, 500, np.zeros(501, np.int32))
    split = position_split(store)
    first = split.test.take(split.test.person == 0)
    assert set(evaluation_negatives(data, first, count=3)[0].tolist()) == {3, 4, 5}
    assert evaluation_negatives(data, first, count=400, pool="catalogue").min() > 0
    with pytest.raises(UnknownNameError, match="pool of rivals 'everything'"):
        evaluation_negatives(data, first, count=3, pool="everything")


def test_who_has_met_almost_everything_gets_fewer_rivals_and_is_counted():
    everything = [(t, t, 0, 1) for t in range(1, 9)]
    store = store_of(everything[:7], everything[:3], everything)
    data = MemoryCatalogue(store, 8, np.zeros(9, np.int32))
    found = evaluation_candidates(data, position_split(store), position_split(store).test, count=4)
    assert found.targets.person.tolist() == [0, 1]  # the third has met all: no rival, left out
    assert (found.left_out, found.fewer) == (1, 1)
    assert found.item[0].tolist() == [7, 8, 0, 0, 0] and (found.item[1] > 0).all()
    with pytest.raises(EmptyDataError, match="none of the 1 targets has a rival"):
        evaluation_candidates(data, position_split(store), position_split(store).test.take(np.array([2])), count=4)


def test_category_negatives_fill_uniformly_where_the_category_is_small_and_state_the_share():
    store = store_of([(1, 1, 0, 1), (2, 2, 0, 1), (3, 3, 0, 1), (4, 4, 0, 1)])
    data = MemoryCatalogue(store, 20, np.array([0] + [1] * 7 + [2] * 13, np.int32))
    split = position_split(store)
    found = evaluation_candidates(data, split, split.test, sampler="category", count=6, pool="catalogue")
    assert set(found.item[0, 1:].tolist()) >= {5, 6, 7}  # all that is left of category 1
    assert found.same_category == pytest.approx(3 / 6)


def test_everything_that_is_left_can_be_drawn():
    store = store_of([(t, t, 0, 1) for t in range(1, 41)])
    data = MemoryCatalogue(store, 50, np.zeros(51, np.int32))
    split = position_split(store)
    assert set(evaluation_negatives(data, split.test, count=10, pool="catalogue")[0].tolist()) == set(range(41, 51))
    assert sorted(evaluation_negatives(data, split.test, count=11, pool="catalogue")[0]) == [0, *range(41, 51)]


def test_uniform_draws_are_uniform_and_popular_ones_follow_popularity():
    lives = [[(t, 1 if t % 4 else 2, 0, 1) for t in range(40)]] * 20 + [[(t, 3 + t % 3, 0, 1) for t in range(9)]] * 400
    store = store_of(*lives)
    data = MemoryCatalogue(store, 8, np.zeros(9, np.int32))
    split = position_split(store)
    rare = split.test.take(split.test.person >= 20)
    uniform = evaluation_negatives(data, rare, count=1, pool="catalogue")[:, 0]
    share = np.bincount(uniform, minlength=9) / len(uniform)
    assert share[[1, 2, 6, 7, 8]] == pytest.approx(0.2, abs=0.08)
    popular = evaluation_negatives(data, rare, count=1, sampler="popularity")[:, 0]
    weight = item_counts(store, 8)[[1, 2]] ** 0.75
    share = np.bincount(popular, minlength=9)[[1, 2]]
    assert share[0] / share.sum() == pytest.approx(weight[0] / weight.sum(), abs=0.08)


def test_unknown_mode_and_sampler_list_the_known_ones():
    with pytest.raises(UnknownNameError, match="query mode 'serach' is not known; known: pair, recommendation, search"):
        evaluation_candidates(DATA, SPLIT, SPLIT.test, mode="serach")
    with pytest.raises(UnknownNameError, match="sampler 'unifrom' is not known"):
        evaluation_negatives(DATA, SPLIT.test, sampler="unifrom")
    with pytest.raises(UnknownNameError, match="training sampler 'category'"):
        TrainingNegatives(DATA, SPLIT, sampler="category")
    with pytest.raises(ConfigError, match="0 negatives were asked for"):
        evaluation_negatives(DATA, SPLIT.test, count=0)


def test_a_mode_that_no_target_fits_is_an_error():
    with pytest.raises(EmptyDataError, match="mode 'search' uses none of the"):
        evaluation_candidates(DATA, SPLIT, SPLIT.test.take(SPLIT.test.query == 0), mode="search")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), sampler=st.sampled_from(["uniform", "popularity"]))
def test_training_negatives_copy_presence_and_never_equal_the_positive(seed, sampler):
    rng = np.random.default_rng(seed)
    item = rng.integers(1, DATA.n_items + 1, (5, 3)).astype(np.int32)
    query = np.where(rng.random((5, 3)) < 0.5, 9, 0).astype(np.int32)
    negatives = TrainingNegatives(DATA, SPLIT, sampler=sampler)
    items, queries = negatives.draw(rng, item, query, 40)
    assert items.shape == queries.shape == (5, 3, 40)
    assert (items != item[..., None]).all() and items.min() >= 1
    assert ((queries > 0) == (query[..., None] > 0)).all()


def test_training_negatives_are_training_events_and_cold_items_are_never_drawn():
    negatives = TrainingNegatives(DATA, SPLIT)
    events = training_events(DATA.store, SPLIT.train_end)
    seen = set(DATA.store.item[events].tolist())
    known = set(zip(DATA.store.item[events].tolist(), DATA.store.query[events].tolist(), strict=True))
    positive = np.array([DATA.store.item[0]])
    items, queries = negatives.draw(np.random.default_rng(0), positive, np.array([5]), 3000)
    assert set(zip(items[0].tolist(), queries[0].tolist(), strict=True)) <= known
    items, _ = negatives.draw(np.random.default_rng(0), positive, np.array([0]), 20000)
    assert set(items[0].tolist()) == seen - {int(positive[0])}


def test_queries_are_hidden_where_no_negative_could_copy_them():
    store = store_of([(1, 1, 4, 1), (2, 2, 0, 1), (3, 3, 0, 1), (4, 2, 0, 1), (5, 3, 0, 1)])
    negatives = TrainingNegatives(MemoryCatalogue(store, 3, np.zeros(4, np.int32)), position_split(store))
    item, query = negatives.pairs(np.random.default_rng(0), np.array([1, 2]), np.array([4, 0]), 5)
    assert item[:, 0].tolist() == [1, 2] and not query.any()


def test_training_on_one_item_is_an_error():
    store = store_of([(t, 1, 0, 1) for t in range(6)])
    with pytest.raises(EmptyDataError, match="1 items occur in training; a negative needs at least 2"):
        TrainingNegatives(MemoryCatalogue(store, 1, np.zeros(2, np.int32)), position_split(store))
