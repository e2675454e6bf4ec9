"""Curves are read as they grow, superseded lines vanish, and trouble is told in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seminar_core.files import append_line
from seminar_core.training.curves import Curves, alerts, thinned


def write(path: Path, *losses: float, first: int = 0) -> None:
    for i, loss in enumerate(losses):
        append_line(path, {"step": first + i, "time_s": float(first + i), "loss/total": loss})


def test_only_what_is_new_is_read(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    assert curves.update() == 0
    write(path, 3, 2)
    assert curves.update() == 2 and curves.update() == 0
    write(path, 1, first=2)
    assert curves.update() == 1
    assert curves.series("loss/total")["value"].tolist() == [3, 2, 1]


def test_a_half_written_line_waits(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss/total": 1}\n{"step": 1, "lo')
    curves = Curves(path)
    assert curves.update() == 1
    with path.open("a") as file:
        file.write('ss/total": 2}\n')
    assert curves.update() == 1 and curves.series("loss/total")["value"].tolist() == [1, 2]


def test_lines_after_the_last_checkpoint_are_superseded_by_the_next_attempt(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    write(path, 9, 8, 7, 6)
    curves.update()
    write(path, 70, 60, 50, first=2)
    curves.update()
    assert curves.series("loss/total")["value"].tolist() == [9, 8, 70, 60, 50]


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    write(path, 9, 8, 7)
    curves.update()
    other = tmp_path / "other"
    write(other, 1, 2, 3, 4)
    other.replace(path)
    curves.update()
    assert curves.series("loss/total")["value"].tolist() == [1, 2, 3, 4]


def test_a_run_that_was_deleted_and_trained_anew_is_read_anew_also_at_the_same_inode(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    write(path, 1, 9, 8)
    curves.update()
    path.write_text("")  # the same inode, as a file system gives it again
    write(path, 1, 2, 3, 4)
    assert curves.update() == 4 and curves.series("loss/total")["value"].tolist() == [1, 2, 3, 4]
    path.unlink()
    assert curves.update() == 0 and not curves.lines


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=500), st.integers(10, 50))
def test_thinning_keeps_ends_and_extremes(values: list[float], points: int):
    series = pd.DataFrame({"step": np.arange(len(values)), "time_s": 0.0, "value": values})
    thin = thinned(series, points)
    assert len(thin) <= points
    assert thin["step"].iloc[0] == 0 and thin["step"].iloc[-1] == len(values) - 1
    assert thin["value"].max() == max(values) and thin["value"].min() == min(values)


@pytest.mark.parametrize(
    ("losses", "kinds"),
    [([3 - 0.1 * i for i in range(20)], []), ([1.0] * 5 + [5.0] * 10, ["diverging"]), ([1, 9], [])],
)
def test_a_rising_loss_is_told(tmp_path: Path, losses: list[float], kinds: list[str]):
    path = tmp_path / "metrics.jsonl"
    write(path, *losses)
    curves = Curves(path)
    curves.update()
    assert [alert.kind for alert in alerts(curves, None)] == kinds


def test_a_failure_is_told_with_its_suggested_change(tmp_path: Path):
    error = {"kind": "diverged", "message": "the loss at step 7 is not finite", "hint": "lower learning_rate"}
    (alert,) = alerts(Curves(tmp_path / "none"), error)
    assert (alert.says, alert.change) == (error["message"], error["hint"])
    assert alerts(Curves(tmp_path / "none"), {"kind": "exists", "message": "", "hint": ""}) == []


def test_a_validation_that_no_longer_improves_is_told(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    for step, value in enumerate([0.1, 0.4, 0.3, 0.2, 0.1]):
        append_line(path, {"step": step, "time_s": 0.0, "validation/MRR": value})
    curves = Curves(path)
    curves.update()
    (alert,) = alerts(curves, None)
    assert alert.kind == "no_better" and "best 3 validations ago (0.400, now 0.100)" in alert.says
