"""`make bench-quick`: what counts as a loss, and that every committed figure is still measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import quick
from benchmarks.quick import FIGURES, Size, gate, losses, searches
from benchmarks.training_shapes import EVALUATION, TRAINING
from seminar_core.files import read_json


def test_a_figure_may_lose_a_quarter_and_no_more():
    committed = {"scan": 8.0, "refined": 4.0, "recall": 1.0}
    assert losses({"scan": 6.0, "refined": 3.1, "recall": 1.2}, committed) == {}
    assert losses({"scan": 5.9, "refined": 4.0, "recall": 1.0}, committed) == {"scan": pytest.approx(0.2625)}
    assert losses({"scan": 8.0, "refined": 4.0}, committed) == {"recall": 1.0}


def test_what_lost_is_measured_again_and_fails_when_it_lost_twice():
    calls = []

    def noisy() -> dict[str, float]:
        calls.append("noisy")
        return {"scan": 1.0 if len(calls) == 1 else 8.0}

    found, lost = gate([noisy, lambda: {"step": 2.0}], {"scan": 8.0, "step": 4.0})
    assert found == {"scan": 8.0, "step": 2.0} and lost == {"step": 0.5} and calls == ["noisy", "noisy"]


def test_every_committed_figure_is_measured(monkeypatch):
    small = Size(items=2_500, training=300, rounds=tuple((length, 1) for length, _ in Size().rounds), targets=2)
    found = set(searches(small)())
    monkeypatch.setattr(quick, "measure", lambda row: {"ratio": 1.0})
    found |= set(quick.steps())
    assert found == set(read_json(FIGURES)["figures"])
    assert {row.phase for row in TRAINING + EVALUATION} == {"finetune", "pretrain", "evaluate"}


def test_the_makefile_runs_it():
    text = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert "bench-quick: setup\n\t$(BIN)/python benchmarks/quick.py\n" in text
