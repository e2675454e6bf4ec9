"""Commands about damage: `verify`, `repair`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress

Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set or a run.")]
Kind = Annotated[str | None, typer.Option("--kind", help="dataset or run, where both have that name.")]


def verify(workspace: Workspace, name: Name, kind: Kind = None) -> dict[str, Any]:
    """Read every file of a data set or a run and say which are not what they were."""
    from ..studies import integrity

    return integrity.verify(workspace, name, kind, report_progress())


def repair(workspace: Workspace, name: Name, kind: Kind = None) -> dict[str, Any]:
    """Take away what is damaged and can be made again, and say what cannot."""
    from ..studies import integrity

    return integrity.repair(workspace, name, kind, report_progress())


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    command(app, "verify")(verify)
    command(app, "repair")(repair)
