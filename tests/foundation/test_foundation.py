"""Files are never half-written, names never leave the workspace, errors say what to do, batches check themselves."""

from __future__ import annotations

import errno
import json
import os
import time

import numpy as np
import pytest

from seminar_core.contracts import ChannelVectors, Folded, LifeBatch
from seminar_core.errors import ExistsError, NonFiniteError, ShapeError, UnknownNameError, UnsafePathError
from seminar_core.files import (
    append_line,
    as_os_error,
    atomic_directory,
    held,
    is_free,
    plain,
    read_json,
    read_lines,
    write_json,
)
from seminar_core.workspace import Workspace, default_workspace


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", ".hidden", "", "x" * 82, "a..b", "na\nme"])
def test_a_name_that_could_leave_the_workspace_is_refused(workspace: Workspace, name: str):
    with pytest.raises(UnsafePathError, match="letters, digits"):
        workspace.dataset_dir(name)


def test_the_workspace_is_the_option_then_the_variable_then_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(tmp_path / "v"))
    assert default_workspace(tmp_path / "o").root == tmp_path / "o"
    assert default_workspace().root == tmp_path / "v"
    monkeypatch.delenv("SEMINAR_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert default_workspace().root == tmp_path / "workspace"


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "thing"
    with pytest.raises(ValueError, match="half way"), atomic_directory(place) as partial:
        (partial / "a").write_text("1")
        raise ValueError("half way")
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(place) as partial:
        (partial / "a").write_text("1")
    assert (place / "a").read_text() == "1"
    with pytest.raises(ExistsError), atomic_directory(place):
        pass


def test_a_failed_replacement_leaves_the_old_directory(tmp_path):
    place = tmp_path / "thing"
    with atomic_directory(place) as partial:
        (partial / "a").write_text("old")
    with pytest.raises(ValueError, match="no"), atomic_directory(place, replace=True):
        raise ValueError("no")
    assert (place / "a").read_text() == "old"
    with atomic_directory(place, replace=True) as partial:
        (partial / "a").write_text("new")
    assert (place / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_what_killed_writers_of_a_directory_left_goes_with_the_next_one(tmp_path):
    long_ago = time.time() - 3600
    left = [tmp_path / name for name in (".partial-0123abcd-[thing]", ".partial-0123abcd-old-[thing]")]
    kept = [
        tmp_path / name
        for name in (".partial-0123abcd-my-[thing]", ".partial-1123abcd-[thing]", ".partial-2123abcd-[thing]")
    ]
    for path in (*left, *kept):
        path.mkdir()
        (path / "a").write_text("half")
        os.utime(path, (long_ago, long_ago))
    os.utime(kept[1])  # just begun
    with held(kept[2]), atomic_directory(tmp_path / "[thing]") as partial:
        (partial / "a").write_text("1")
        assert not is_free(partial) and not is_free(kept[2])
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "[thing]"}


def test_json_round_trips_numpy_and_turns_nan_into_null(tmp_path):
    write_json(tmp_path / "x.json", {"a": np.float32(1.5), "b": np.arange(3), "c": float("nan")})
    assert read_json(tmp_path / "x.json") == {"a": 1.5, "b": [0, 1, 2], "c": None}
    assert json.dumps(plain({1: np.nan}), allow_nan=False) == '{"1": null}'


def test_a_last_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_lines(path) == [{"step": 1}]


def test_an_unknown_name_lists_the_known_and_the_nearest():
    error = UnknownNameError("model", "semnar", ["seminar", "din"])
    assert "din, seminar" in error.message and "'seminar'" in error.hint


def test_a_batch_with_unequal_shapes_is_refused():
    ok = np.zeros((2, 3), np.int32)
    with pytest.raises(ShapeError, match=r"\(2, 2\), expected \(2, 3\)"):
        LifeBatch(item=ok, query=ok[:, :2], time_s=ok.astype(np.int64), valid=ok.astype(bool))


def test_vectors_that_are_not_finite_are_refused():
    item = np.zeros((3, 3, 4), np.float32)
    item[1, 0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="NaN"):
        ChannelVectors(item, np.ones((3, 3), bool), np.zeros((2, 4), np.float32), np.ones(2, bool))
    with pytest.raises(NonFiniteError):
        Folded(np.full((1, 4, 2), np.inf, np.float32), 1.0)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("I/O error: File too large (os error 27)", errno.EFBIG),
        ("788224 requested and 341984 written", errno.ENOSPC),
        ("invalid header", None),
    ],
)
def test_a_writers_words_become_the_operating_systems_number(tmp_path, words, number):
    error = as_os_error(RuntimeError(words), tmp_path / "there")
    assert error.errno == number and "there" in str(error)


def test_a_short_write_of_numpy_is_a_full_disk(tmp_path):
    with pytest.raises(OSError, match="there") as caught, atomic_directory(tmp_path / "there"):
        raise OSError("788224 requested and 341984 written")
    assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())
