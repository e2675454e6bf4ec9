"""`compare RUN RUN ...`: runs beside each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress


def compare(
    workspace: Workspace,
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="The first is subtracted from the others.")],
    mode: Annotated[str, typer.Option("--mode", help="recommendation, search or pair")] = "recommendation",
) -> dict[str, Any]:
    """Differences of configuration, and metrics with paired intervals."""
    from ..studies.compare import compare as carry_out

    return carry_out(workspace, runs, mode=mode, progress=report_progress())


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    command(app, "compare")(compare)
