"""A selection comes back under its digest, and is refused on other data."""

from __future__ import annotations

import numpy as np
import pytest

from app.stations.alignment.selections import keep_selection, read_selection
from seminar_core.errors import StaleError, UnsafePathError


def test_a_selection_comes_back_sorted_and_once(workspace):
    digest = keep_selection(workspace, "abc", np.array([5, 3, 5]))
    assert len(digest) == 12 and read_selection(workspace, "abc", digest).tolist() == [3, 5]
    assert keep_selection(workspace, "abc", np.array([3, 5])) == digest


def test_nothing_selected_needs_no_file(workspace):
    assert keep_selection(workspace, "abc", np.array([])) == ""
    assert len(read_selection(workspace, "abc", "")) == 0
    assert not workspace.maps.exists()


def test_other_data_and_unknown_digests_are_named_errors(workspace):
    digest = keep_selection(workspace, "abc", np.array([1]))
    with pytest.raises(StaleError, match=digest):
        read_selection(workspace, "other", digest)
    with pytest.raises(StaleError, match="not known here"):
        read_selection(workspace, "abc", "0123456789ab")
    with pytest.raises(UnsafePathError):
        read_selection(workspace, "abc", "../../x")
