"""Commands about damage: `verify`, `repair`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress

Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set or a run.")]
Kind = Annotated[str | None, typer.Option("--kind", help="dataset or run, where both have that name.")]


def verify(workspace: Workspace, name: Name, kind: Kind = None) -> dict[str, Any]:
    """Read every file of a data set or a run; end with status 1 and the list where some are not what they were."""
    from ..studies import integrity

    answer = integrity.verify(workspace, name, kind, report_progress())
    integrity.refuse_damage(answer, answer["problems"], "are not what was recorded")
    return answer


def repair(workspace: Workspace, name: Name, kind: Kind = None) -> dict[str, Any]:
    """Make what is damaged and can be derived again; end with status 1 and the list where something is lost."""
    from ..studies import integrity, rebuilding

    answer = rebuilding.repair(workspace, name, kind, report_progress())
    integrity.refuse_damage(answer, answer["lost"], "cannot be made again")
    return answer


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    command(app, "verify")(verify)
    command(app, "repair")(repair)
