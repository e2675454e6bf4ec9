"""Batches: nothing at or after a target's second is ever visible, and a batch depends on (seed, step) alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from memory_lives import MemoryCatalogue, random_catalogue, store_of

from seminar_core.data.batches import TrainingBatches, evaluation_batches, life_windows
from seminar_core.data.negatives import TrainingNegatives, evaluation_candidates
from seminar_core.data.splits import count_before, position_split
from seminar_core.errors import ConfigError, EmptyDataError

DATA = random_catalogue(0)
SPLIT = position_split(DATA.store)


def training(data=DATA, split=SPLIT, **settings):
    settings = {"batch_size": 6, "max_length": 40, "targets_per_life": 4, "negatives_per_target": 3} | settings
    return TrainingBatches(data.store, split, TrainingNegatives(data, split), **settings)


def test_worked_example_of_a_life_window():
    store = store_of([(1, 11, 0, 1), (2, 12, 7, 1), (3, 13, 0, 1)], [(5, 14, 0, 1)])
    batch = life_windows(store, np.array([0, 1]), np.array([3, 0]), 2)
    assert batch.item.tolist() == [[12, 13], [0, 0]]
    assert batch.query.tolist() == [[7, 0], [0, 0]]
    assert batch.time_s.tolist() == [[2, 3], [0, 0]]
    assert batch.valid.tolist() == [[True, True], [False, False]]


def test_evaluation_shows_exactly_the_newest_events_strictly_before_the_target():
    store, candidates = DATA.store, evaluation_candidates(DATA, SPLIT, SPLIT.test, count=9)
    targets, seen = candidates.targets, []
    for rows, lives, batch in evaluation_batches(
        store, targets, candidates.item, candidates.query, max_length=25, batch_size=7
    ):
        assert batch.item.shape[1:] == (1, 10) and (batch.item[:, 0] == candidates.item[rows]).all()
        for i, row in enumerate(rows):
            life = slice(store.offsets[targets.person[row]], store.offsets[targets.person[row] + 1])
            earlier = store.time_s[life] < targets.time_s[row]
            expected = store.item[life][earlier][-25:]
            assert batch.visible[i, 0] == len(expected) == lives.valid[i].sum()
            assert (lives.item[i, : len(expected)] == expected).all()
            assert (lives.time_s[i][lives.valid[i]] < batch.time_s[i, 0]).all()
        seen.extend(rows.tolist())
    assert sorted(seen) == list(range(len(targets)))


def test_evaluation_batches_grow_in_length():
    candidates = evaluation_candidates(DATA, SPLIT, SPLIT.test, count=2)
    batches = evaluation_batches(
        DATA.store, candidates.targets, candidates.item, candidates.query, max_length=1000, batch_size=5
    )
    widths = [lives.item.shape[1] for _, lives, _ in batches]
    assert widths == sorted(widths) and widths[0] < widths[-1]


@pytest.mark.parametrize("max_length", [5, 40, 1000])
def test_training_targets_see_only_events_strictly_before_them_and_as_many_as_promised(max_length):
    store, batches = DATA.store, training(max_length=max_length)
    for step in range(20):
        lives, targets = batches.batch(step)
        assert lives.item.shape[1] <= max_length
        for b, p in zip(*np.nonzero(targets.valid), strict=True):
            visible = targets.visible[b, p]
            assert lives.valid[b, :visible].all() and visible >= 1
            assert (lives.time_s[b, :visible] < targets.time_s[b, p]).all()
            # Find the target in the store: its person is known by the window's first event.
            events = np.flatnonzero((store.item == targets.item[b, p, 0]) & (store.time_s == targets.time_s[b, p]))
            fits = [e for e in events if _window_fits(store, e, lives, targets, b, p, batches)]
            assert fits


def _window_fits(store, event, lives, targets, b, p, batches):
    person = np.searchsorted(store.offsets, event, side="right") - 1
    position = event - store.offsets[person]
    earlier = int(count_before(store, np.array([person]), targets.time_s[b, p : p + 1])[0])
    visible = int(targets.visible[b, p])
    shown = lives.item[b, :visible]
    same = (store.item[store.offsets[person] + earlier - visible : store.offsets[person] + earlier] == shown).all()
    enough = visible == earlier or visible >= batches.max_length + 1 - batches.span - (position - earlier)
    return same and enough and position < SPLIT.train_end[person] and store.label[event] == targets.label[b, p] != 0


def test_changing_what_lies_at_or_after_a_target_changes_nothing_that_it_sees():
    store, batches = DATA.store, training(seed=5)
    lives, targets = batches.batch(3)
    latest = targets.time_s.max(axis=1)
    row = int(np.argmax(targets.valid.sum(axis=1)))
    changed = dataclasses.replace(store, item=np.where(store.time_s >= latest[row], 1, store.item).astype(np.int32))
    other_lives, other = TrainingBatches(
        changed,
        SPLIT,
        batches.negatives,
        batch_size=6,
        max_length=40,
        targets_per_life=4,
        negatives_per_target=3,
        seed=5,
    ).batch(3)
    newest = int(np.flatnonzero(targets.valid[row])[-1])
    visible = targets.visible[row, newest]
    assert other.visible[row, newest] == visible
    assert (other_lives.item[row, :visible] == lives.item[row, :visible]).all()


def test_a_batch_depends_on_seed_and_step_alone():
    one, two = training(seed=4), training(seed=4)
    two.batch(0), two.batch(1)
    for a, b in zip(one.batch(2), two.batch(2), strict=True):
        assert all((getattr(a, f.name) == getattr(b, f.name)).all() for f in dataclasses.fields(a))
    stream = iter(training(seed=4))
    next(stream), next(stream)
    assert (next(stream)[1].item == one.batch(2)[1].item).all()
    assert training(seed=5).batch(2)[1].item.tolist() != one.batch(2)[1].item.tolist()


def test_many_positions_of_each_life_become_targets():
    store = store_of([(t, t + 1, 0, 1) for t in range(200)], [(t, t + 1, 0, 1) for t in range(30)])
    data = MemoryCatalogue(store, 200, np.zeros(201, np.int32))
    batches = training(data, position_split(store), max_length=50)
    items = np.concatenate([t.item[..., 0][t.valid] for _, t in (batches.batch(s) for s in range(300))])
    counts = np.bincount(items, minlength=201)[2:199]  # items 1 (no history) and the last two are no targets
    assert counts.min() > 0
    assert counts[60:150].max() < 3 * counts[60:150].min()


def test_targets_of_a_window_are_distinct_positions_in_time_order():
    for step in range(10):
        _, targets = training(targets_per_life=6).batch(step)
        for row in range(len(targets.item)):
            times = targets.time_s[row][targets.valid[row]]
            assert (np.diff(times) >= 0).all()


def test_padded_target_slots_are_empty_and_the_first_candidate_is_the_positive():
    store = store_of([(t, t % 7 + 1, 0, 1) for t in range(5)], [(t, t % 5 + 1, t % 2, 1) for t in range(6)])
    data = MemoryCatalogue(store, 8, np.zeros(9, np.int32))
    _, targets = training(data, position_split(store), targets_per_life=10).batch(0)
    assert targets.item.shape == (6, 10, 4)
    assert not targets.item[~targets.valid].any() and not targets.query[~targets.valid].any()
    assert (targets.item[targets.valid] > 0).all()
    assert (targets.item[..., 1:] != targets.item[..., :1])[targets.valid].all()
    present = targets.query > 0
    assert (present == present[..., :1]).all()


def test_the_last_position_alone_is_an_option():
    batches = training(targets_per_life=1, last_only=True)
    for step in range(5):
        _, targets = batches.batch(step)
        assert targets.item.shape[1] == 1 and targets.valid.all()
    store = store_of([(t, t, 0, t != 6) for t in range(1, 10)])  # the event at position 5 has label 0
    data = MemoryCatalogue(store, 9, np.zeros(10, np.int32))
    _, targets = training(data, position_split(store), targets_per_life=1, last_only=True).batch(0)
    assert set(targets.item[:, 0, 0].tolist()) == {7}


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="batch_size is 0, it must be at least 1"):
        training(batch_size=0)
    with pytest.raises(ConfigError, match="span 60 is above max_length 40"):
        training(span=60)
    with pytest.raises(ConfigError, match="last_only uses one target a life, targets_per_life is 4"):
        training(last_only=True)


def test_lives_without_a_history_cannot_be_trained_on():
    store = store_of([(1, 1, 0, 1), (2, 2, 0, 1), (3, 3, 0, 1)], [(1, 4, 0, 1), (2, 2, 0, 1), (3, 3, 0, 1)])
    data = MemoryCatalogue(store, 4, np.zeros(5, np.int32))
    with pytest.raises(EmptyDataError, match="no event before the validation targets can be a training target"):
        training(data, position_split(store))


def test_labelled_events_see_only_what_lies_strictly_before_them():
    store, batches = DATA.store, training(labels_per_life=5, max_length=40)
    seen = set()
    for step in range(20):
        lives, _, labelled = batches.with_labels(step)
        assert labelled.item.shape == (6, 5, 1) and lives.item.shape[1] <= 40
        for b, p in zip(*np.nonzero(labelled.valid), strict=True):
            visible = labelled.visible[b, p]
            assert visible >= 1 and lives.valid[b, :visible].all()
            assert (lives.time_s[b, :visible] < labelled.time_s[b, p]).all()
            events = np.flatnonzero((store.item == labelled.item[b, p, 0]) & (store.time_s == labelled.time_s[b, p]))
            assert any(_window_fits_label(store, e, lives, labelled, b, p) for e in events)
            seen.add(int(labelled.label[b, p]))
        assert (labelled.label[~labelled.valid] == -1).all() and not labelled.item[~labelled.valid].any()
    assert seen == {0, 1}


def _window_fits_label(store, event, lives, labelled, b, p):
    person = np.searchsorted(store.offsets, event, side="right") - 1
    first = store.offsets[person]
    earlier = int(count_before(store, np.array([person]), labelled.time_s[b, p : p + 1])[0])
    visible = int(labelled.visible[b, p])
    same = (store.item[first + earlier - visible : first + earlier] == lives.item[b, :visible]).all()
    return same and event - first < SPLIT.train_end[person] and store.label[event] == labelled.label[b, p]


def test_labelled_events_leave_the_batch_as_it_is():
    plain, both = training(seed=4), training(seed=4, labels_per_life=3)
    for step in range(10):
        for a, b in zip(plain.batch(step), both.batch(step), strict=True):
            assert all((getattr(a, f.name) == getattr(b, f.name)).all() for f in dataclasses.fields(a))
        lives, targets = plain.batch(step)
        wider, same, labelled = both.with_labels(step)
        assert all((getattr(targets, f.name) == getattr(same, f.name)).all() for f in dataclasses.fields(targets))
        assert (wider.item[:, : lives.item.shape[1]] == lives.item).all()
        assert not (targets.label[targets.valid] == 0).any()
        assert (both.with_labels(step)[2].item == labelled.item).all()
    assert (
        both.with_labels(0)[2].time_s.tolist() != training(seed=5, labels_per_life=3).with_labels(0)[2].time_s.tolist()
    )


def test_labelled_events_need_both_labels_with_a_history():
    rest = [(t, t, 0, 1) for t in range(4, 10)]

    def batches(time_s: int, label: int) -> TrainingBatches:
        store = store_of([(0, 1, 0, 1), (time_s, 2, 0, label), *rest])
        data = MemoryCatalogue(store, 9, np.zeros(10, np.int32))
        return training(data, position_split(store), labels_per_life=2)

    for time_s, label in ((1, -1), (1, 1), (0, 0)):  # the last one is of the first second: nothing lies before it
        with pytest.raises(EmptyDataError, match=f"label 1 and with label 0, there are {5 if label == 1 else 4} and 0"):
            batches(time_s, label)
    drawn = [batches(1, 0).with_labels(step)[2] for step in range(20)]
    assert any((labelled.label == 0).any() for labelled in drawn)
