"""`reproduce` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress


def reproduce(
    workspace: Workspace,
    dataset: Annotated[str, typer.Option("--dataset", help="Data set to compare on.")],
    seeds: Annotated[int, typer.Option("--seeds", help="Training seeds per model.")] = 3,
    budget: Annotated[
        str, typer.Option("--budget", help="Steps of finetuning a model and seed: small 250, medium 1000, full 2500.")
    ] = "small",
    only: Annotated[str | None, typer.Option("--only", help="Rows to measure, separated by ';'.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of finetune settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A finetune setting as key=value; repeatable. steps and seconds can lower --budget."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The first training seed.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Directory for the table as Markdown and JSON.")] = None,
) -> dict[str, Any]:
    """Train and measure every model and ablation; one table with intervals over seeds and people."""
    from ..studies.reproduce import reproduce as compare
    from ..training.recipe import FinetuneConfig, PretrainConfig, shared_settings
    from ..training.settings import load_config

    finetune = load_config(FinetuneConfig, config, settings or (), seed=seed, device=device)
    return compare(
        workspace,
        dataset,
        seeds=seeds,
        budget=budget,
        only=only,
        pretrain=shared_settings(PretrainConfig(), finetune),
        finetune=finetune,
        out=out,
        progress=report_progress(),
    )


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    command(app, "reproduce")(reproduce)
