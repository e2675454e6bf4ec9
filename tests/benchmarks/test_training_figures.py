"""The speed benchmark's machinery on a shape of a few rows; the figures themselves are no test."""

import json

import numpy as np
import pytest

from benchmarks import training as speed_benchmark
from benchmarks import training_shapes as speed_shapes
from benchmarks.training import BenchmarkError, Calibration, measure, measure_apart
from benchmarks.training_shapes import (
    EVALUATION,
    EVALUATION_RIVALS,
    SHAPES,
    TRAINING,
    TRAINING_RIVALS,
    Row,
    Shape,
    batch_lengths,
    make_batch,
)

KEYS = {"shape", "phase", "model", "per_s", "reference_per_s", "calibration", "ratio", "peak_mb"}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two shapes of eight lives, a catalogue of 300 items, and a calibration measured here."""
    monkeypatch.setattr(speed_shapes, "ITEMS", 300)
    monkeypatch.setattr(speed_shapes, "QUERIES", 200)
    monkeypatch.setattr(speed_shapes, "FROZEN", 16)
    monkeypatch.setitem(SHAPES, "a", Shape(8, 12, 4, frozen=True, tokens=100))
    monkeypatch.setitem(SHAPES, "k", Shape(8, 12, 4, frozen=False, tokens=100, real_lengths=True, sparse=True))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"product_ms": 1.0, "gather_ms": 1.0}))
    monkeypatch.setattr(speed_benchmark, "CALIBRATION", path)


@pytest.mark.parametrize(
    "row",
    [
        Row("a", "finetune", "seminar", "examples", 100),
        Row("k", "finetune", "eta", "rows", 100),
        Row("k", "pretrain", "psu", "examples", 100),
        Row("a", "evaluate", "seminar", "people", 100),
    ],
    ids=lambda row: f"{row.phase}-{row.model}",
)
def test_a_row_has_every_key_and_its_ratio_is_corrected(tiny, row):
    measured = measure(row, batches=2)
    assert set(measured) >= KEYS
    per_step = 8 * (2 if row.unit == "rows" else 1)
    assert measured["per_s"] == pytest.approx(per_step / measured["step_ms"] * 1e3, rel=1e-6)
    assert measured["ratio"] == pytest.approx(measured["per_s"] * measured["calibration"]["factor"] / 100)
    assert measured["peak_mb"] > 50
    assert row.phase == "evaluate" or measured["batch_ms"] > 0


def test_a_machine_half_as_fast_has_factor_two(tiny):
    calibration = Calibration()
    calibration.product_ms, calibration.gather_ms = [2.0, 2.0], [2.0, 2.0]
    assert calibration.facts()["factor"] == pytest.approx(2.0)


def test_a_failed_child_is_a_named_error():
    with pytest.raises(BenchmarkError, match=r"timing finetune of nothing at shape a failed: .*UnknownNameError"):
        measure_apart(Row("a", "finetune", "nothing", "examples", 1))


def test_skewed_lengths_have_the_stated_mean_and_lie_in_batches_of_similar_length():
    lengths = batch_lengths(SHAPES["a-real-lengths"], 16)
    assert lengths.shape == (16, 256) and 8.6 < lengths.mean() < 10.6 and lengths.max() <= 100 and lengths.min() >= 1
    assert np.mean([batch.max() - batch.min() for batch in lengths]) < 10


def test_batches_are_full_of_distinct_queries_and_only_what_is_valid():
    life, targets = make_batch(SHAPES["k"], np.array([5, 1000]), 21, 0)
    assert life.item.shape == (2, 1000) and not life.item[0, 5:].any() and (life.query[1] > 0).all()
    assert targets.item.shape == (2, 1, 21) and targets.visible.tolist() == [[5], [1000]]
    assert (np.diff(life.time_s[1]) >= 0).all() and (targets.time_s[:, 0] > life.time_s.max(1)).all()


def test_the_rows_name_the_shapes_and_goals_to_reach():
    goals = {(row.shape, row.phase): (row.reference_per_s, row.goal) for row in TRAINING + EVALUATION}
    assert goals == {
        ("a", "finetune"): (465, 4),
        ("k", "finetune"): (78, 4),
        ("a-real-lengths", "finetune"): (465, 15),
        ("a-3m", "finetune"): (56, 10),
        ("k-3m", "finetune"): (11, 5),
        ("a", "pretrain"): (44, 12),
        ("k", "pretrain"): (19, 6),
        ("a", "evaluate"): (41, 35),
        ("k", "evaluate"): (5.8, 30),
        ("a-real-lengths", "evaluate"): (41, 35),
    }
    assert {row.model for row in TRAINING_RIVALS + EVALUATION_RIVALS} == {
        "sim-hard", "sim-soft", "eta", "twin", "din", "muse", "sdim",
    }  # fmt: skip
