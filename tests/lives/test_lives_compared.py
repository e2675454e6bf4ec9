"""Two lives beside each other: interests with one name in both, and a sentence that says what differs."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.errors import ConfigError, UnknownPersonError
from seminar_core.lives.comparison import LivesCompared, compare_lives
from seminar_core.lives.lifeline import LifeFacts
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(Workspace(tmp_path_factory.mktemp("lives")), people=6)


def told(totals: list[list[float]]) -> LivesCompared:
    """Two lives of ten events with these shares of two interests."""
    one = LifeFacts(10, 2, 5, 3, 4.0)
    shares = np.array(totals)[:, :, None]
    return LivesCompared(
        ("a", "b"), (one, one), ["lamps", "tents"], np.array([5.0]), shares, np.array(totals), 3, "text"
    )


def test_the_overlap_is_the_sum_of_the_smaller_shares_and_the_sentence_names_the_widest_difference():
    found = told([[0.9, 0.1], [0.2, 0.8]])
    assert found.overlap == pytest.approx(0.3)
    assert found.says() == (
        "a has 10 events, b has 10. Their interests overlap by 30%; they differ most in lamps: 90% of the events of a, "
        "20% of those of b. They met 3 items in common."
    )
    assert "no interest differs by 10% of the events or more" in told([[0.5, 0.5], [0.52, 0.48]]).says()


def test_shares_are_those_of_a_count_by_hand(dataset):
    found = compare_lives(dataset, "p1", "p2", bins=4)
    store = dataset.store
    lives = [store.life(dataset.person_row(person)) for person in ("p1", "p2")]
    low = min(life.time_s[0] for life in lives)
    high = max(life.time_s[-1] for life in lives)
    for life, shares, facts in zip(lives, found.shares, found.facts, strict=True):
        assert facts.events == len(life)
        there = np.histogram(life.time_s, np.linspace(low, high, 5))[0] > 0
        assert np.allclose(shares.sum(0)[~there], 0)
        assert ((shares.sum(0) == 0) | np.isclose(shares.sum(0), 1)).all()
    assert np.allclose(found.totals.sum(1), 1) and found.shared_items == len(
        set(lives[0].item.tolist()) & set(lives[1].item.tolist())
    )
    table = found.table()
    assert len(table) == 2 * len(found.names) * 4 and set(table.person) == {"p1", "p2"}
    assert found.as_dict()["interests"][0]["name"] == found.names[0]


def test_two_orders_say_the_same_with_the_people_exchanged(dataset):
    one, other = compare_lives(dataset, "p1", "p2"), compare_lives(dataset, "p2", "p1")
    assert one.overlap == pytest.approx(other.overlap) and one.shared_items == other.shared_items


def test_the_same_person_and_a_person_who_is_not_there_are_refused(dataset):
    with pytest.raises(ConfigError, match="compared with itself"):
        compare_lives(dataset, "p1", "p1")
    with pytest.raises(UnknownPersonError):
        compare_lives(dataset, "p1", "nobody")
