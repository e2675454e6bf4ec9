"""`bench gpu` on the CPU with tiny sizes: every check and every figure is made, and a wrong device would be noticed."""

from __future__ import annotations

import json
import time

import pytest
import torch

from benchmarks import gpu, gpu_checks
from benchmarks.gpu import TINY, Bench, Size
from benchmarks.gpu_checks import attempt, kept_apart, logits_apart, training_apart
from benchmarks.training_shapes import SHAPES
from seminar_core.cli.benchmarks import bench as bench_command
from seminar_core.errors import ConfigError
from seminar_core.files import read_json
from seminar_core.model.baselines import MODELS
from seminar_core.progress import silent
from seminar_core.retrieval import torch_lookup
from seminar_core.workspace import Workspace


@pytest.fixture(scope="module")
def answer(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    found = gpu.run(5, out, device="cpu")
    assert read_json(out) == json.loads(json.dumps(found))
    return found


def test_every_model_is_checked_and_what_needs_cuda_is_listed_with_its_reason(answer):
    checks = {check["what"]: check for check in answer["checks"]}
    for name in (*MODELS, "psu"):
        assert checks[f"logits of {name}"]["passed"] and checks[f"{TINY.steps} training steps of {name}"]["passed"]
    nccl = checks.pop("one process through nccl")
    assert nccl["passed"] is None and "no CUDA device" in nccl["reason"]
    assert all(check["passed"] for check in checks.values()) and answer["failed"] == 0
    kept = [what for what in checks if what.startswith("kept sets")]
    assert len(kept) == 4 and sum("checkpoint" in what for what in checks) == 2 and "one process through gloo" in checks


def test_the_device_is_named_and_no_figure_of_a_gpu_is_invented(answer):
    assert answer["device"]["name"] == "cpu" and answer["size"] == "tiny"
    left_out = " ".join(row["what"] for row in answer["not_run"])
    assert "device memory" in left_out and "NVML" in left_out and "trainings in compiled fp32" in left_out
    assert all(row["device_memory_mb"] is None and row["device_use_percent"] is None for row in answer["rows"])


def test_every_figure_stands_beside_its_floor(answer):
    made = {(row["what"], row["precision"]) for row in answer["rows"]}
    assert made == {
        *((what, kind) for what in ("finetune", "pretrain", "evaluate") for kind in ("fp32", "bf16")),
        ("scan", "fp32"), ("scan", "compiled fp32"),
    }  # fmt: skip
    for row in answer["rows"]:
        assert row["per_s"] > 0 and row["floor_ms"] > 0
        assert row["times_floor"] == pytest.approx(row["ms"] / row["floor_ms"])
        best = max(row["share_of_bandwidth"], row["share_of_matrix_rate"])
        assert best == pytest.approx(1 / row["times_floor"])


def test_a_device_that_computes_something_else_fails(monkeypatch):
    plain = torch_lookup.sums_of_tables
    monkeypatch.setattr(torch_lookup, "sums_of_tables", lambda tables, codes: -plain(tables, codes))
    assert kept_apart("PQ4x8", "packed", "cpu") > 0.5
    honest, other = gpu_checks.to_tensors, gpu_checks.batches(count=3)[2]

    def wrong_on_the_device(life, targets, device=None):
        return honest(life, targets) if device is None else honest(*other)

    monkeypatch.setattr(gpu_checks, "to_tensors", wrong_on_the_device)
    assert logits_apart("din", "cpu") > gpu_checks.LOGITS


def test_bfloat16_is_another_training_within_the_band():
    assert 0 < training_apart("seminar", "cpu", other="cpu", bfloat16=True, steps=2) < gpu_checks.BFLOAT16_BAND


def test_what_a_device_cannot_do_fails_with_its_words():
    def broken() -> float:
        raise torch.OutOfMemoryError("out of memory\nand more")

    found = attempt("training", 0.1, "cuda", broken)
    assert found["passed"] is False and found["reason"] == "OutOfMemoryError: out of memory"
    apart = attempt("training", 0.1, "cuda", lambda: 0.2)
    assert apart["passed"] is False and "apart by 0.2, at most 0.1" in apart["reason"]
    assert attempt("training", 0.1, "cuda", lambda: float("nan"))["passed"] is False


def test_figures_that_no_time_is_left_for_are_listed():
    bench = Bench(TINY, "cpu", time.monotonic() - 1, silent)
    bench.measure()
    assert bench.rows == [] and {row["reason"] for row in bench.not_run} >= {"the minutes were used up"}
    assert any(row["what"] == "finetune a fp32" for row in bench.not_run)


def test_on_cuda_the_shapes_of_the_readme_and_the_long_lives_are_measured():
    assert isinstance(gpu.FULL, Size) and gpu.FULL.shapes == {"a": SHAPES["a"], "k": SHAPES["k"]}
    assert gpu.FULL.lengths[-1] == 10_000_000 and gpu.FULL.batches[-1] == 1_024 and gpu.FULL.compiles_models


def test_options_of_the_gpu_belong_to_it(tmp_path):
    with pytest.raises(ConfigError, match="belong to `bench gpu`"):
        bench_command(Workspace(tmp_path), "training", minutes=1.0)
    with pytest.raises(ConfigError, match="expected more than 0"):
        bench_command(Workspace(tmp_path), "gpu", minutes=0.0)


@pytest.mark.slow
def test_compiled_trainings_are_measured_too():
    bench = Bench(TINY, "cpu", time.monotonic() + 600, silent)
    assert bench._train("finetune", "a", "compiled fp32")[0]["per_s"] > 0
