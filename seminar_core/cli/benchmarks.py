"""The command `bench`: the figures that the README claims, measured again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..beside import beside
from ..errors import ConfigError, NotReadyError, UnknownNameError
from ..workspace import Workspace
from .main import command, report_progress

AREAS = {
    "retrieval": ("benchmarks.retrieval", "run"),
    "training": ("benchmarks.training", "run_training"),
    "evaluation": ("benchmarks.training", "run_evaluation"),
    "import": ("benchmarks.importing", "run"),
}
GPU_MINUTES = 8.0


def bench(
    workspace: Workspace,
    area: Annotated[str, typer.Argument(help="retrieval, training, evaluation, import, app or gpu.")],
    full: Annotated[bool, typer.Option("--full", help="Every size; without it within two minutes.")] = False,
    minutes: Annotated[float | None, typer.Option("--minutes", help="gpu: begin no figure after them (8).")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="gpu: a JSON file for the answer.")] = None,
) -> dict[str, Any]:
    """Measure the figures that the README claims; `gpu` checks a CUDA device against the CPU first.

    Raises:
        ConfigError: `--minutes` or `--out` with another area, or no time at all.
    """
    if area == "gpu":
        return bench_gpu(GPU_MINUTES if minutes is None else minutes, out)
    if minutes is not None or out is not None:
        raise ConfigError(
            f"--minutes and --out belong to `bench gpu`, not to `bench {area}`",
            hint="leave them out: --full or nothing",
        )
    if area == "app":
        return bench_app(full)
    if area not in AREAS:
        raise UnknownNameError("benchmark", area, [*AREAS, "app", "gpu"])
    module, function = AREAS[area]
    sys.path.insert(0, str(beside("benchmarks").parent))
    answer = getattr(import_module(module), function)(full)
    assert isinstance(answer, dict)
    return answer


def bench_gpu(minutes: float, out: Path | None) -> dict[str, Any]:
    """Check the CUDA device against the CPU and measure it; on the CPU with tiny sizes where there is none.

    Raises:
        ConfigError: no time at all.
    """
    if not minutes > 0:
        raise ConfigError(f"--minutes is {minutes:g}, expected more than 0", hint=f"{GPU_MINUTES:g} is usual")
    sys.path.insert(0, str(beside("benchmarks").parent))
    answer = import_module("benchmarks.gpu").run(minutes, out, progress=report_progress())
    assert isinstance(answer, dict)
    return answer


def bench_app(full: bool) -> dict[str, Any]:
    """Drive the real app in a real browser, in processes of their own: the core knows no Streamlit.

    Raises:
        NotReadyError: it could not be measured, with its own words.
    """
    answer = measured(beside("benchmarks") / "app_speed.py", *(["--full"] if full else []))
    if full:
        answer["rows"] += measured(beside("benchmarks") / "alignment_speed.py")["rows"]
    return answer


def measured(script: Path, *words: str) -> dict[str, Any]:
    """The JSON that a benchmark script prints."""
    done = subprocess.run(
        [sys.executable, str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise NotReadyError(f"the app could not be measured: {reason}", hint="install Chromium, or set CHROMIUM to it")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "bench")(bench)
