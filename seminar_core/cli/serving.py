"""The command `app`: serve the Streamlit app, from a checkout or from the installed package."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from ..access import READ_ONLY
from ..beside import beside
from ..errors import MissingFileError
from ..workspace import Workspace
from .main import command


def serve(
    workspace: Workspace,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where the server listens.")] = 8501,
    read_only: Annotated[bool, typer.Option("--read-only", help="A demo: nobody may import, train or delete.")] = False,
) -> dict[str, Any]:
    """Serve the app on this machine until it is interrupted."""
    page = beside("app") / "streamlit_app.py"
    if not page.is_file():
        raise MissingFileError(f"the app is not at {page}", hint="install the package again, or use a whole checkout")
    # Streamlit reads its settings from the directory it is started in: the one that holds app/ and .streamlit/.
    os.environ["SEMINAR_WORKSPACE"] = str(workspace.root)
    if read_only:
        os.environ[READ_ONLY] = "1"
    os.chdir(page.parents[1])
    words = [sys.executable, "-m", "streamlit", "run", str(page), "--server.port", str(port)]
    sys.stdout.flush()
    os.execv(sys.executable, words)


def register(app: typer.Typer) -> None:
    """Add the command of this area."""
    command(app, "app")(serve)
