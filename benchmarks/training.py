"""How fast a training step and an evaluation are: `bench training` and `bench evaluation`.

Training. Each row runs in a process of its own (never a fork), on one thread, in process CPU time; between its steps a
fixed fp32 product and a fixed gather are timed. Their values on a quiet machine are committed in
`benchmarks/calibration.json`; by how much they are slower or faster in this run corrects the ratio, because a shared
machine changes from minute to minute and the reference's figures are constants.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.training_shapes import (
    CANDIDATES,
    EVALUATION,
    EVALUATION_RIVALS,
    HEADS,
    SHAPES,
    TRAINING,
    TRAINING_RIVALS,
    Row,
    Shape,
    batch_lengths,
    category_rows,
    make_batch,
    make_channels,
    training_batches,
)
from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.errors import SeminarError, UnknownNameError
from seminar_core.files import read_json, write_json
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import softmax_loss
from seminar_core.model.psu import PSU
from seminar_core.model.scoring import scoring
from seminar_core.model.tensors import to_tensors
from seminar_core.progress import Progress, silent
from seminar_core.runtime import machine_facts, peak_memory_mb, set_threads
from seminar_core.training.row_adam import RowAdam

CALIBRATION = Path(__file__).with_name("calibration.json")
BATCHES = 16
Batch = tuple[LifeBatch, TargetBatch]


class BenchmarkError(SeminarError):
    """A benchmark's child process failed."""

    kind = "benchmark"


class Calibration:
    """A fixed fp32 product (1024 x 512 by 512 x 512) and a fixed gather (20,000 of 60,000 rows of 64)."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.left = torch.from_numpy(rng.random((1024, 512), dtype=np.float32))
        self.right = torch.from_numpy(rng.random((512, 512), dtype=np.float32))
        self.table = torch.from_numpy(rng.random((60_000, 64), dtype=np.float32))
        self.rows = torch.from_numpy(rng.integers(0, 60_000, 20_000))
        self.product, self.gathered = torch.empty(1024, 512), torch.empty(20_000, 64)
        self.product_ms: list[float] = []
        self.gather_ms: list[float] = []

    def measure(self, times: int = 4, warm_up: int = 3) -> None:
        """Time both `times` more times, after `warm_up` that bring their arrays back into the cache."""
        for turn in range(warm_up + times):
            began = time.process_time()
            torch.mm(self.left, self.right, out=self.product)
            between = time.process_time()
            torch.index_select(self.table, 0, self.rows, out=self.gathered)
            ended = time.process_time()
            if turn >= warm_up:
                self.product_ms.append((between - began) * 1e3)
                self.gather_ms.append((ended - between) * 1e3)

    def facts(self) -> dict[str, float]:
        """Medians of this run, the reference machine's values, and `factor`: how many times slower this run is."""
        reference = read_json(CALIBRATION)
        product, gather = float(np.median(self.product_ms)), float(np.median(self.gather_ms))
        factor = float(np.sqrt(product / reference["product_ms"] * gather / reference["gather_ms"]))
        return {
            "factor": factor,
            "product_ms": product,
            "gather_ms": gather,
            "reference_product_ms": reference["product_ms"],
            "reference_gather_ms": reference["gather_ms"],
        }


def calibrate(times: int = 400) -> dict[str, Any]:
    """Measure this machine and write the reference values: the median of `times`, on a quiet machine."""
    set_threads(1)
    calibration = Calibration()
    calibration.measure(times)
    values = {
        "product_ms": float(np.median(calibration.product_ms)),
        "gather_ms": float(np.median(calibration.gather_ms)),
        "machine": machine_facts(),
    }
    write_json(CALIBRATION, values)
    return values


def run_training(full: bool = False, progress: Progress = silent) -> dict[str, Any]:
    """Every training row; with `full` more steps and the rival models."""
    return _run(TRAINING + (TRAINING_RIVALS if full else ()), full, progress)


def run_evaluation(full: bool = False, progress: Progress = silent) -> dict[str, Any]:
    """Every evaluation row; with `full` more people and the rival models."""
    return _run(EVALUATION + (EVALUATION_RIVALS if full else ()), full, progress)


def _run(rows: tuple[Row, ...], full: bool, progress: Progress) -> dict[str, Any]:
    measured = []
    for i, row in enumerate(rows):
        progress(i, len(rows), f"{row.phase} {row.model} at shape {row.shape}")
        measured.append(measure_apart(row, full))
    progress(len(rows), len(rows), "done")
    return {"machine": {**machine_facts(), "threads": 1}, "rows": measured}


def measure_apart(row: Row, full: bool = False) -> dict[str, Any]:
    """`measure` in a process of its own.

    Raises:
        BenchmarkError: the process failed; the message ends with its last words.
    """
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    words = [sys.executable, "-m", "benchmarks.training", json.dumps({**asdict(row), "full": full})]
    root = str(CALIBRATION.parents[1])
    finished = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **quiet}, cwd=root, check=False)
    if finished.returncode:
        last = finished.stderr.strip().splitlines()[-1:] or ["no message"]
        raise BenchmarkError(
            f"timing {row.phase} of {row.model} at shape {row.shape} failed: {last[0]}",
            hint="free memory and try again",
        )
    return json.loads(finished.stdout)


def measure(row: Row, full: bool = False, batches: int = BATCHES) -> dict[str, Any]:
    """One row in this process.

    Returns:
        the keys of a `bench` row, `step_ms`, and for training `batch_ms`, what preparing one batch takes.
    """
    if row.model not in (*MODELS, "psu"):
        raise UnknownNameError("model", row.model, [*MODELS, "psu"])
    set_threads(1)
    shape = SHAPES[row.shape]
    count = batches if shape.real_lengths else 4
    data = [
        make_batch(shape, lengths, CANDIDATES[row.phase], seed)
        for seed, lengths in enumerate(batch_lengths(shape, count))
    ]
    more: dict[str, float] = {}
    if row.phase == "evaluate":
        seconds, steps, calibration, more = _time_evaluation(row, data, full)
    else:
        seconds, steps, calibration = _time_steps(_step(row, data), count, full)
        more = {"batch_ms": _batch_ms(shape, row.phase)}
    per_step = shape.people * (CANDIDATES[row.phase] if row.unit == "rows" else 1)
    per_s = per_step * steps / seconds
    facts = calibration.facts()
    return {
        "shape": row.shape,
        "phase": row.phase,
        "model": row.model,
        "unit": row.unit,
        "per_s": per_s,
        "reference": row.reference,
        "reference_per_s": row.reference_per_s,
        "calibration": facts,
        "ratio": per_s * facts["factor"] / row.reference_per_s,
        "goal": row.goal,
        "step_ms": seconds / steps * 1e3,
        "steps": steps,
        "peak_mb": peak_memory_mb(),
        "reference_mb": row.reference_mb or None,
        **more,
    }


def _step(row: Row, data: list[Batch]) -> Callable[[int], None]:
    """A function that does training step i, moving the batch to tensors included."""
    shape = SHAPES[row.shape]
    channels = make_channels(shape)
    if row.model == "psu":
        model: Any = PSU(channels=channels, fusion=Fusion(enabled=channels.enabled), heads=HEADS, keep=shape.keep)
    else:
        category = category_rows() if row.model == "sim-hard" else None
        model = build_model(row.model, channels=channels, heads=HEADS, keep=shape.keep, category=category)
    tables = [channels.id_embedding, channels.token_embedding] if shape.sparse else []
    apart = {id(table) for table in tables}
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.Adam([p for p in model.parameters() if id(p) not in apart], lr=1e-3, fused=True)
    ]
    if tables:
        optimisers.append(RowAdam([table for table in tables if table is not None], lr=1e-3))

    def loss(number: int) -> Tensor:
        life, targets = to_tensors(*data[number % len(data)])
        if row.model == "psu":
            return model(life, targets).total
        output = model(life, targets)
        return sum(output.auxiliary.values(), softmax_loss(output.logits, targets.valid))

    def step(number: int) -> None:
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss(number).backward()
        for optimiser in optimisers:
            optimiser.step()

    return step


def _time_steps(step: Callable[[int], None], count: int, full: bool) -> tuple[float, int, Calibration]:
    """CPU seconds of whole rounds of `count` batches, after one round to warm up (two steps where it is long)."""
    calibration = Calibration()
    for i in range(min(count, 4)):
        step(i)
    rounds = max(1, (48 if full else 16) // count)
    seconds = 0.0
    for i in range(rounds * count):
        began = time.process_time()
        step(i)
        seconds += time.process_time() - began
        calibration.measure()
    return seconds, rounds * count, calibration


def _batch_ms(shape: Shape, phase: str, times: int = 12) -> float:
    """CPU milliseconds that preparing one batch takes."""
    batches = training_batches(shape, phase)
    batches.batch(0)
    began = time.process_time()
    for step in range(1, 1 + times):
        batches.batch(step)
    return (time.process_time() - began) / times * 1e3


def _time_evaluation(row: Row, data: list[Batch], full: bool) -> tuple[float, int, Calibration, dict[str, float]]:
    """CPU seconds of scoring; preparing the tables of fused vectors, once an evaluation, is told apart."""
    shape = SHAPES[row.shape]
    category = category_rows() if row.model == "sim-hard" else None
    model = build_model(row.model, channels=make_channels(shape), heads=HEADS, keep=shape.keep, category=category)
    calibration = Calibration()
    began = time.process_time()
    with scoring(model) as score:
        prepare_s = time.process_time() - began
        score(*data[0])
        seconds, rounds = 0.0, max(1, (32 if full else 8) // len(data))
        for batch in data * rounds:
            began = time.process_time()
            score(*batch)
            seconds += time.process_time() - began
            calibration.measure()
    return seconds, rounds * len(data), calibration, {"prepare_s": prepare_s}


def main(words: list[str]) -> None:
    """Entry point of the child process: one row as JSON in, its measures as JSON out; or `calibrate`."""
    if words == ["calibrate"]:
        sys.stdout.write(json.dumps(calibrate()) + "\n")
        return
    given = json.loads(words[0])
    full = given.pop("full")
    sys.stdout.write(json.dumps(measure(Row(**given), full)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
