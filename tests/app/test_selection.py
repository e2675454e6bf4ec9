"""A selection comes back under its digest, and is refused on other data."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from app.stations.alignment import card
from app.stations.alignment import loaders as sources
from app.stations.alignment.selections import keep_selection, read_selection
from app.work import tasks
from seminar_core.alignment.map_store import MapRequest
from seminar_core.errors import StaleError, UnsafePathError
from seminar_core.progress import silent
from seminar_core.workspace import Workspace


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


def test_maps_go_longest_unused_first_and_selections_stay(tiny_workspace, tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root, ignore=shutil.ignore_patterns("answers", "maps"))
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
    digest = keep_selection(workspace, "abc", np.array([1, 2]))
    os.utime(workspace.maps / ".selections", (1, 1))

    def drawn(seed: int) -> str:
        request = MapRequest(method="pca", seed=seed)
        return tasks.umap(str(workspace.root), "run", ("after",), sources.version("run"), request, progress=silent)

    shown, unused = drawn(0), drawn(1)
    for at, key in enumerate((shown, unused)):
        os.utime(workspace.maps / key, (10 + at, 10 + at))
    assert sources.kept_layout("run", ("after",), MapRequest(method="pca", seed=0)) is not None
    size = sum(file.stat().st_size for file in (workspace.maps / unused).iterdir())
    monkeypatch.setattr(tasks, "MOST_OF_MAPS", int(2.5 * size))
    newest = drawn(2)
    assert {path.name for path in workspace.maps.glob("[!.]*")} == {shown, newest}
    assert read_selection(workspace, "abc", digest).tolist() == [1, 2]


def test_the_card_of_a_page_without_a_selection_opens_no_stage(monkeypatch):
    opened = []
    monkeypatch.setattr(card, "slice_rows", lambda: None)
    monkeypatch.setattr(card.sources, "stage_vectors", lambda *asked: opened.append(asked))
    assert card.measured_rows("run", "before", np.zeros(0, np.int32)) is None and opened == []
