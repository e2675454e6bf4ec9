"""Event files hold what metrics.jsonl holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from seminar_core.errors import NotReadyError
from seminar_core.files import append_line
from seminar_core.training.tensorboard import write_events


def test_every_scalar_is_read_back_by_tensorboard(tmp_path: Path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for step in range(5):
        append_line(tmp_path / "metrics.jsonl", {"step": step, "time_s": float(step), "loss/total": 3.0 - step})
    append_line(tmp_path / "metrics.jsonl", {"step": 4, "time_s": 4.0, "validation/MRR": 0.5})
    write_events(tmp_path)
    events = loader.EventAccumulator(str(write_events(tmp_path)))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss/total", "validation/MRR"]
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(s, 3.0 - s) for s in range(5)]


def test_a_run_without_metrics_is_a_named_error(tmp_path: Path):
    with pytest.raises(NotReadyError, match="has written no metrics yet"):
        write_events(tmp_path)
