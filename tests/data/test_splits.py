"""Splits: which events are targets, and that nothing at or after the validation target's second is trained on."""

from __future__ import annotations

import numpy as np
import pytest
from memory_lives import random_catalogue, store_of

from seminar_core.data.splits import (
    count_before,
    last_usable,
    position_split,
    targets_at,
    time_split,
    usable_counts,
)
from seminar_core.errors import ConfigError, EmptyDataError


def test_worked_example_of_the_split_by_position():
    store = store_of(
        [(10, 1, 0, 1), (20, 2, 5, -1), (30, 3, 0, 0), (30, 4, 6, 1), (40, 5, 0, 1), (50, 6, 0, 0)],
        [(10, 1, 0, 1), (20, 2, 0, 0), (30, 3, 0, 1)],
    )
    split = position_split(store)
    assert split.left_out == 1
    assert split.test.person.tolist() == [0]
    assert (split.test.event[0], split.test.item[0], split.test.time_s[0]) == (4, 5, 40)
    assert (split.validation.event[0], split.validation.query[0]) == (3, 6)
    # The event at position 2 shares the validation target's second: it may not be trained on.
    assert split.train_end.tolist() == [2, 3]


def test_targets_never_have_label_zero_and_validation_comes_before_test():
    store = random_catalogue(3).store
    split = position_split(store)
    assert (split.test.label != 0).all() and (split.validation.label != 0).all()
    assert (split.validation.event < split.test.event).all()
    assert (split.test.person == split.validation.person).all()


@pytest.mark.parametrize("seed", range(5))
def test_split_by_position_equals_a_plain_loop(seed):
    store = random_catalogue(seed, people=25, longest=30).store
    split, left_out, row = position_split(store), 0, 0
    for person in range(25):
        life = slice(store.offsets[person], store.offsets[person + 1])
        usable = np.flatnonzero(store.label[life] != 0)
        if len(usable) < 3:
            left_out += 1
            assert split.train_end[person] == life.stop - life.start
            continue
        assert split.test.event[row] == usable[-1]
        assert split.validation.event[row] == usable[-2]
        assert split.train_end[person] == (store.time_s[life] < store.time_s[life][usable[-2]]).sum()
        row += 1
    assert (split.left_out, len(split.test)) == (left_out, row)


@pytest.mark.parametrize("seed", range(3))
def test_counting_equals_a_plain_loop(seed):
    store = random_catalogue(seed, people=20, longest=40).store
    rng = np.random.default_rng(seed)
    person, when = rng.integers(0, 20, 200), rng.integers(990, 1100, 200)
    lives = [slice(store.offsets[p], store.offsets[p + 1]) for p in range(20)]
    expected = [(store.time_s[lives[p]] < t).sum() for p, t in zip(person, when, strict=True)]
    assert count_before(store, person, when).tolist() == expected
    end = rng.integers(0, 45, 20)
    usable = [store.label[lives[p]][: end[p]] != 0 for p in range(20)]
    assert usable_counts(store, end).tolist() == [u.sum() for u in usable]
    assert last_usable(store, end).tolist() == [np.flatnonzero(u)[-1] if u.any() else -1 for u in usable]


def test_counting_does_not_depend_on_how_people_are_cut_into_blocks(monkeypatch):
    store = random_catalogue(1).store
    whole = position_split(store)
    monkeypatch.setattr("seminar_core.data.splits.PEOPLE_PER_BLOCK", 7)
    parts = position_split(store)
    assert (whole.train_end == parts.train_end).all() and (whole.test.event == parts.test.event).all()


def test_split_by_time_trains_only_before_the_first_cut_and_takes_the_next_target_of_each_person():
    store = random_catalogue(5).store
    split = time_split(store)
    first_cut = min(split.validation.time_s)
    for person in range(len(store.offsets) - 1):
        life = slice(store.offsets[person], store.offsets[person + 1])
        assert (store.time_s[life][: split.train_end[person]] < first_cut).all()
    assert split.validation.time_s.max() < split.test.time_s.min()
    assert len(np.unique(split.test.person)) == len(split.test)
    assert (count_before(store, split.test.person, split.test.time_s) > 0).all()
    assert split.left_out == len(store.offsets) - 1 - len(split.test)


def test_nobody_with_three_targets_is_an_error_with_the_rule():
    with pytest.raises(EmptyDataError, match="none of the 1 people has 3 targets"):
        position_split(store_of([(1, 1, 0, 1), (2, 2, 0, 0), (3, 2, 0, 1)]))


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(ConfigError, match=r"validation_fraction 0.5 and test_fraction 0.5"):
        time_split(random_catalogue().store, 0.5, 0.5)


def test_targets_print_and_are_taken_by_mask():
    targets = targets_at(store_of([(1, 7, 0, 1), (2, 8, 3, -1)]), np.array([0, 0]), np.array([0, 1]))
    assert repr(targets) == "Targets(n=2, with_query=1)"
    assert targets.take(targets.query > 0).item.tolist() == [8]
