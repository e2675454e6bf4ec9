"""The command `delete`: first what depends on a thing, then, with `--yes`, the thing itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import NotConfirmedError
from ..workspace import Workspace
from .main import command


def depends_on_it(kind: str, name: str, depending: dict[str, list[str]]) -> str:
    """One sentence: what depends on the thing."""
    listed = "; ".join(f"{what} {', '.join(names)}" for what, names in depending.items())
    what = f"these depend on it and will be stale: {listed}" if listed else "nothing depends on it"
    return f"{kind} {name!r}: {what}"


def delete(
    workspace: Workspace,
    kind: Annotated[str, typer.Argument(help="dataset, run, map, or checkpoints (a run's old ones).")],
    name: Annotated[str, typer.Argument(help="Its name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without, only say what depends on it.")] = False,
) -> dict[str, Any]:
    """Delete a data set, a run or a map, or prune the old checkpoints of a run."""
    from ..jobs import removal

    removal.targets(workspace, kind, name)
    sentence = depends_on_it(kind, name, removal.dependents(workspace, kind, name))
    if not yes:
        raise NotConfirmedError(f"nothing was deleted; {sentence}", hint="repeat the command with --yes to delete it")
    typer.echo(sentence, err=True)
    return removal.delete(workspace, kind, name)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "delete")(delete)
