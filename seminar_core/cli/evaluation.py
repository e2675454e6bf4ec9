"""`evaluate` on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..workspace import Workspace
from .main import command, report_progress


def read_negatives(text: str) -> int | str:
    """`full`, or a whole number.

    Raises:
        ConfigError: neither.
    """
    if text == "full":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConfigError(f"--negatives {text!r} is neither a whole number nor 'full'", hint="use --negatives 99")
    return int(text)


def evaluate(
    workspace: Workspace,
    run: Annotated[str, typer.Option("--run", help="Run to measure.")],
    mode: Annotated[str, typer.Option("--mode", help="recommendation, search or pair.")] = "recommendation",
    negatives: Annotated[str, typer.Option("--negatives", help="Rivals of each target, or full.")] = "99",
    sampler: Annotated[str, typer.Option("--sampler", help="uniform, popularity or category.")] = "uniform",
    pool: Annotated[str, typer.Option("--pool", help="Rivals from: met (by anybody) or catalogue.")] = "met",
    stage: Annotated[str, typer.Option("--stage", help="before, best or last checkpoint.")] = "best",
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> dict[str, Any]:
    """Test metrics of a run with intervals, beside chance, popularity and the oracle."""
    from ..training.assess import evaluate_run

    return evaluate_run(
        workspace,
        run,
        mode=mode,
        negatives=read_negatives(negatives),
        sampler=sampler,
        pool=pool,
        stage=stage,
        device=device,
        progress=report_progress(),
    )


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    command(app, "evaluate")(evaluate)
