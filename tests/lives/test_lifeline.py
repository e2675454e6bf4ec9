"""What is drawn of a life is a stated part of what is there."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seminar_core.lives import interests, lifeline

TIMES = st.lists(st.integers(0, 10**6), max_size=60).map(lambda v: np.array(sorted(v), np.int64))


def test_a_session_ends_after_more_than_the_gap():
    assert lifeline.session_of(np.array([0, 1800, 3601, 3602]), gap_s=1800).tolist() == [0, 0, 1, 1]
    assert lifeline.session_of(np.zeros(0, np.int64)).tolist() == []


def test_the_longest_silence_comes_first():
    found = lifeline.silences(np.array([0, 10, 60, 100]), at_least_share=0.3)
    assert [(s.from_s, s.to_s) for s in found] == [(10, 60), (60, 100)]
    assert lifeline.silences(np.array([5, 5, 5])) == [] == lifeline.silences(np.array([5]))
    assert lifeline.Silence(0, 86_400).days == 1


@given(st.integers(0, 300), st.integers(2, 50))
def test_thinning_keeps_the_first_and_the_last_and_never_more_than_the_limit(count, limit):
    kept = lifeline.thin(count, limit)
    assert len(kept) == min(count, limit) and np.array_equal(kept, np.unique(kept))
    if count:
        assert kept[0] == 0 and kept[-1] == count - 1


def test_thinning_draws_the_wanted_events_first():
    kept = lifeline.thin(1000, 20, first=np.array([500, 501, 502]))
    assert {500, 501, 502} <= set(kept.tolist()) and len(kept) == 20


@given(TIMES)
def test_density_counts_every_event_once(times):
    search = times % 2 == 0
    edges, counts = lifeline.density(times, search, bins=7)
    assert counts.shape == (2, 7) and len(edges) == 8
    assert counts[1].sum() == search.sum() and counts.sum() == len(times)
    assert sum(lifeline.sparkline(times, 5)) == len(times)


def test_a_query_group_is_one_query_in_one_session():
    query, session = np.array([3, 3, 0, 0, 3, 3]), np.array([0, 0, 0, 0, 0, 1])
    assert lifeline.query_groups(query, session).tolist() == [0, 0, 1, 1, 2, 3]


def test_planted_interests_are_found_and_absent_items_have_none():
    rng = np.random.default_rng(0)
    centres = np.eye(3, 8) * 5
    truth = np.repeat([0, 1, 2], [30, 20, 10])
    vectors = (centres[truth] + rng.normal(size=(60, 8)) * 0.1).astype(np.float32)
    present = np.ones(60, bool)
    present[::7] = False
    labels = interests.interest_clusters(vectors, present, most=3)
    assert (labels[~present] == -1).all()
    assert np.array_equal(labels[present], truth[present])


def test_fewer_distinct_vectors_than_clusters_is_no_error():
    labels = interests.interest_clusters(np.ones((4, 3), np.float32), np.ones(4, bool))
    assert labels.tolist() == [0, 0, 0, 0]


def test_shares_of_interests_sum_to_one_where_there_are_events():
    times, label = np.array([0, 1, 2, 100]), np.array([0, 1, -1, 1])
    middle, shares = interests.interests_over_time(times, label, bins=4)
    assert len(middle) == 4 and shares[:, 0].tolist() == [0.5, 0.5] and shares[:, 3].tolist() == [0, 1]
    assert shares[:, 1].tolist() == [0, 0]
