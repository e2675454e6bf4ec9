"""An opened search: each item once, what was chosen, what was left, what followed."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.data.sequence_store import Life
from seminar_core.errors import ConfigError
from seminar_core.lives.searches import open_search


class Texts:
    """The part of a data set that a search is opened with."""

    query_texts = ("", "red lamp", "tent")


def life(rows: list[tuple[int, int, int, int]]) -> Life:
    """A life of (time, item, query, label)."""
    time_s, item, query, label = (np.array(column) for column in zip(*rows, strict=True))
    return Life(
        item.astype(np.int32), query.astype(np.int32), time_s, label.astype(np.int8), np.zeros(len(rows), np.uint8)
    )


SESSION = life(
    [
        (0, 9, 0, -1),
        (10, 1, 1, 0),  # seen and left
        (11, 2, 1, 0),  # left first,
        (12, 2, 1, 1),  # then chosen
        (13, 3, 1, -1),  # nothing is known
        (20, 2, 0, -1),
        (30, 8, 0, 0),
        (40, 5, 2, 1),  # the next search
        (50_000, 1, 0, 1),  # another day: the one that was left
    ]
)


def test_each_item_is_shown_once_with_what_became_of_it():
    found = open_search(Texts, SESSION, 12 - 10)
    assert found.query == "red lamp" and found.time_s == 10
    assert found.shown.tolist() == [1, 2, 4] and found.fate == ["left", "chosen", "seen"]
    assert found.again.tolist() == [1, 1, 0] and found.left_recorded
    assert found.following.tolist() == [5, 6] and found.followed == 2
    assert found.says() == (
        "The search showed 3 items: 1 chosen, 1 left, 1 without a label. 2 of 3 were met again later. "
        "2 events followed in the session before the next search."
    )


def test_any_event_of_a_search_opens_the_same_search():
    assert [open_search(Texts, SESSION, event).shown.tolist() for event in (1, 2, 3, 4)] == [[1, 2, 4]] * 4


def test_a_log_that_holds_only_what_was_chosen_is_told_as_such():
    found = open_search(Texts, SESSION, 7)
    assert found.fate == ["chosen"] and not found.left_recorded and found.followed == 0
    assert "No event followed" in found.says() and "left" not in found.says().split(".")[0]
    assert "names no item that was shown and left" in found.says()


@pytest.mark.parametrize("event", [0, 9, -1])
def test_an_event_that_is_no_search_is_refused_with_one_that_is(event: int):
    with pytest.raises(ConfigError, match=f"event {event} of this life of 9 events is no search") as caught:
        open_search(Texts, SESSION, event)
    assert "for example 7" in str(caught.value.hint)
