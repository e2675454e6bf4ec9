"""`bench gpu`: checks that a CUDA device computes what the CPU computes, then measures how fast it is, in one command.

Training and retrieval. Every figure stands beside its floor: the bytes that must be moved (embedding rows that are
gathered, what the optimiser reads and writes, one read of the codes) at the measured bandwidth, or the products that
must be made at the measured rate, whichever takes longer. Without a CUDA device the same code runs on the CPU with tiny
sizes, says that the device is the CPU, and lists what needs CUDA as not run: it shows that the command works, not how
fast anything is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_checks import NO_CUDA, STEPS, check_all, random_books
from benchmarks.training_shapes import (
    CANDIDATES,
    HEADS,
    SHAPES,
    TOKENS_PER_QUERY,
    WIDTH,
    Shape,
    batch_lengths,
    make_batch,
    make_channels,
)
from seminar_core.contracts import Folded
from seminar_core.files import write_json
from seminar_core.model.baselines import build_model
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import softmax_loss
from seminar_core.model.psu import PSU
from seminar_core.model.scoring import scoring
from seminar_core.model.tensors import to_tensors
from seminar_core.progress import Progress, silent
from seminar_core.retrieval.events import DistinctPairs
from seminar_core.retrieval.packed import Group, PackedLife
from seminar_core.retrieval.torch_lookup import TorchLookup
from seminar_core.runtime import device_use_percent, machine_facts, resolve_device

PRECISIONS = ("fp32", "bf16", "compiled fp32", "compiled bf16")
KEEP = 100
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Fields:
        shapes: of trainings and evaluations.
        steps: of the trainings that the checks compare.
        lengths, batches: events of the lives that are scanned, and targets at once.
        spec, width: codes that are scanned, and D.
        copied: bytes that a copy moves when bandwidth is measured.
        product: rows and columns of the square product when the matrix rate is measured.
        seconds: least time that one figure is measured for.
        backend: of torch.compile.
        compiles_models: whether trainings are compiled; tracing one takes 20 s of a CPU and shows nothing there.
    """

    shapes: dict[str, Shape]
    steps: int
    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    spec: str
    width: int
    copied: int
    product: int
    seconds: float
    backend: str
    compiles_models: bool


FULL = Size(
    {name: SHAPES[name] for name in ("a", "k")}, STEPS, (10_000, 100_000, 1_000_000, 10_000_000), (1, 32, 1_024),
    "QC64,RQ32x4fs", WIDTH, 2**30, 8_192, 2.0, "inductor", True,
)  # fmt: skip
TINY_SHAPE = Shape(4, 12, 4, frozen=True, tokens=50, items=60, queries=40, frozen_width=8)
TINY = Size(
    {"a": TINY_SHAPE}, 3, (500,), (1, 4), "QC16,RQ8x4fs", 8, 2**20, 64, 0.0, "eager", False
)  # fmt: skip


def run(
    minutes: float = 8.0, out: Path | None = None, *, device: str = "auto", progress: Progress = silent
) -> dict[str, Any]:
    """Check, measure, and write the answer to `out`.

    Args:
        minutes: after them no new figure is begun; what is left is listed under `not_run`.
        out: a JSON file, or None.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: told before each check and figure.

    Returns:
        machine, device, size (`full` or `tiny`), checks, failed (how many), rates, rows, not_run.
    """
    ends = time.monotonic() + 60 * minutes
    device = resolve_device(device)
    size = FULL if device.startswith("cuda") else TINY
    checks = []
    for check in check_all(device, size.steps):
        progress(len(checks), len(checks) + 1, check["what"])
        checks.append(check)
    bench = Bench(size, device, ends, progress)
    bench.measure()
    answer = {
        "machine": machine_facts(),
        "device": device_facts(device),
        "size": "full" if size is FULL else "tiny",
        "checks": checks,
        "failed": sum(check["passed"] is False for check in checks),
        "rates": bench.rates,
        "rows": bench.rows,
        "not_run": bench.not_run,
    }
    if out is not None:
        write_json(out, answer)
    return answer


def device_facts(device: str) -> dict[str, Any]:
    """What computed."""
    if not device.startswith("cuda"):
        return {"name": "cpu", "reason": NO_CUDA}
    facts = torch.cuda.get_device_properties(torch.device(device))
    return {
        "name": facts.name,
        "memory_mb": facts.total_memory // 2**20,
        "capability": f"{facts.major}.{facts.minor}",
        "cuda": torch.version.cuda,
    }


class Bench:
    """Figures of one device, while there is time."""

    def __init__(self, size: Size, device: str, ends: float, progress: Progress):
        self.size, self.device, self.ends, self.progress = size, device, ends, progress
        self.rows: list[Row] = []
        self.not_run: list[dict[str, str]] = []
        self.rates = self._rates()

    def measure(self) -> None:
        """Every figure, what matters most first."""
        if not self.device.startswith("cuda"):
            for what in ("device memory", "device use by NVML", "bandwidth and matrix rate of a CUDA device"):
                self.not_run.append({"what": what, "reason": NO_CUDA})
        for precision in PRECISIONS:
            compiled = precision.startswith("compiled")
            if compiled and not self.size.compiles_models:
                self.not_run.append(
                    {"what": f"trainings in {precision}", "reason": "models are compiled for CUDA only"}
                )
            for name in self.size.shapes:
                for phase in ("finetune", "pretrain") if self.size.compiles_models or not compiled else ():
                    self._attempt(f"{phase} {name} {precision}", partial(self._train, phase, name, precision))
                if not compiled:  # what evaluation runs is not compiled in the project either
                    self._attempt(f"evaluate {name} {precision}", partial(self._evaluate, name, precision))
            if precision.endswith("fp32"):
                for length in self.size.lengths:
                    self._attempt(f"scan {length} {precision}", partial(self._scan, length, precision))

    def _attempt(self, what: str, measure: Callable[[], list[Row]]) -> None:
        self.progress(len(self.rows), len(self.rows) + 1, what)
        if time.monotonic() > self.ends:
            self.not_run.append({"what": what, "reason": "the minutes were used up"})
            return
        try:
            self.rows += measure()
        except RuntimeError as error:  # out of memory, or torch.compile gives up: the other figures still count
            self.not_run.append({"what": what, "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
        torch._dynamo.reset()

    def _time(self, call: Callable[[], object]) -> dict[str, Any]:
        """Milliseconds of a call on the device, the memory it took, and how busy the device was."""
        there = self.device.startswith("cuda")
        for _ in range(3):
            call()
        if there:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        began, calls = time.perf_counter(), 0
        while calls < 3 or time.perf_counter() - began < self.size.seconds:
            call()
            calls += 1
        use = device_use_percent(self.device)
        if there:
            torch.cuda.synchronize(self.device)
        return {
            "ms": (time.perf_counter() - began) / calls * 1e3,
            "calls": calls,
            "device_memory_mb": torch.cuda.max_memory_allocated(self.device) / 2**20 if there else None,
            "device_use_percent": use,
        }

    def _rates(self) -> dict[str, float]:
        """Measured gigabytes per second of a copy (read and written), and products per second by precision."""
        source = torch.ones(self.size.copied // 4, device=self.device)
        target = torch.empty_like(source)
        copied = self._time(lambda: target.copy_(source))["ms"]
        rates = {"gigabytes_per_s": 2 * self.size.copied / copied / 1e6}
        for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            square = torch.ones((self.size.product, self.size.product), device=self.device, dtype=kind)
            took = self._time(lambda square=square: square @ square)["ms"]
            rates[f"teraflops_{precision}"] = 2 * self.size.product**3 / took / 1e9
        return rates

    def _row(self, what: str, timed: dict[str, Any], moved: float, flops: float, precision: str, **more: Any) -> Row:
        """A figure beside its floor."""
        rate = self.rates["teraflops_bf16" if precision.endswith("bf16") else "teraflops_fp32"]
        bytes_ms, flops_ms = moved / self.rates["gigabytes_per_s"] / 1e6, flops / rate / 1e9
        floor = max(bytes_ms, flops_ms)
        return {
            "what": what,
            "precision": precision,
            **more,
            **timed,
            "flops": flops,
            "floor_ms": floor,
            "times_floor": timed["ms"] / floor,
            "share_of_bandwidth": bytes_ms / timed["ms"],
            "share_of_matrix_rate": flops_ms / timed["ms"],
        }

    def _data(self, shape: Shape, phase: str) -> list[Any]:
        return [make_batch(shape, row, CANDIDATES[phase], i) for i, row in enumerate(batch_lengths(shape, 4))]

    def _train(self, phase: str, name: str, precision: str) -> list[Row]:
        """Training steps a second, moving each batch to the device included."""
        shape, channels = self.size.shapes[name], make_channels(self.size.shapes[name])
        model: Any
        if phase == "pretrain":
            model = PSU(channels=channels, fusion=Fusion(enabled=channels.enabled), heads=HEADS, keep=shape.keep)
        else:
            model = build_model("seminar", channels=channels, heads=HEADS, keep=shape.keep)
        model.to(self.device).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        data, turn = self._data(shape, phase), iter(range(10**9))
        call = torch.compile(model, backend=self.size.backend) if precision.startswith("compiled") else model

        def step() -> None:
            life, targets = to_tensors(*data[next(turn) % len(data)], self.device)
            half = precision.endswith("bf16")
            with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=half):
                output = call(life, targets)
                if phase == "pretrain":
                    loss = output.total
                else:
                    loss = sum(output.auxiliary.values(), softmax_loss(output.logits, targets.valid))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

        flops = 0.0
        if not precision.startswith("compiled"):
            with FlopCounterMode(display=False) as counter:
                step()
            flops = float(counter.get_total_flops())
        else:  # the same products as without compiling
            flops = next((r["flops"] for r in self.rows if (r["what"], r.get("shape")) == (phase, name)), 0.0)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        moved = rows_read(shape, CANDIDATES[phase]) + 7 * 4 * trained  # read p, g, m, v; written p, m, v
        timed = self._time(step)
        per_s = shape.people / timed["ms"] * 1e3
        return [self._row(phase, timed, moved, flops, precision, shape=name, per_s=per_s, unit="examples")]

    def _evaluate(self, name: str, precision: str) -> list[Row]:
        """People a second, 1 + 99 candidates each, logits brought back to the CPU."""
        shape = self.size.shapes[name]
        model = build_model("seminar", channels=make_channels(shape), heads=HEADS, keep=shape.keep).to(self.device)
        data, turn = self._data(shape, "evaluate"), iter(range(10**9))
        with scoring(model, self.device) as score:

            def ask() -> None:
                kind = torch.device(self.device).type
                with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
                    score(*data[next(turn) % len(data)])

            with FlopCounterMode(display=False) as counter:
                ask()
            timed = self._time(ask)
        fused = (
            shape.people * (shape.length + CANDIDATES["evaluate"]) * 2 * WIDTH * 4
        )  # one item and one query row each
        per_s = shape.people / timed["ms"] * 1e3
        flops = float(counter.get_total_flops())
        return [self._row("evaluate", timed, fused, flops, precision, shape=name, per_s=per_s, unit="people")]

    def _scan(self, length: int, precision: str) -> list[Row]:
        """Targets a second against one life of distinct pairs, tables made on the CPU and kept events brought back."""
        life = random_life(self.size.spec, self.size.width, length)
        lookup = TorchLookup(life, self.device, self.size.backend if precision.startswith("compiled") else None)
        rng = np.random.default_rng(0)
        rows = []
        for batch in self.size.batches:
            u = rng.standard_normal((batch, 1, 4, self.size.width)).astype(np.float32)
            asked = [Folded(one, 1.0) for one in u]
            timed = self._time(lambda asked=asked: lookup.search_batch(asked, min(KEEP, length)))
            more = {"length": length, "batch": batch, "per_s": batch / timed["ms"] * 1e3, "unit": "targets"}
            rows.append(self._row("scan", timed, length * life.bytes_per_event, 0.0, precision, **more))
        return rows


def rows_read(shape: Shape, candidates: int) -> float:
    """Bytes of the embedding and frozen rows that a batch of full lives gathers."""
    frozen = 2 * (shape.frozen_width or 512) if shape.frozen else 0
    per_pair = 4 * (WIDTH + TOKENS_PER_QUERY * WIDTH + frozen)
    return float(shape.people * (shape.length + candidates) * per_pair)


def random_life(spec: str, width: int, length: int) -> PackedLife:
    """A life of `length` distinct pairs with codes drawn at random: what a scan costs does not depend on them."""
    books = random_books(spec, width)
    part = books.parts["item"]
    codes = np.random.default_rng(0).integers(0, 16, (length, books.codes["item"].shape[1]), dtype=np.uint8)
    every = np.arange(length)
    distinct = DistinctPairs(every, every, every, np.arange(length + 1), every.astype(np.int32))
    return PackedLife(books, (Group((part,), every[::-1].copy(), codes, False),), distinct, "packed")
