"""An import that kills itself, for tests: `python -m tests.data.killed_import WORKSPACE PATH MOMENT`.

MOMENT is one of `MOMENTS`, a percentage (killed when progress reaches it), or `never`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from seminar_core.data import build, stages, table_files, versions
from seminar_core.data.importers.table import import_table
from seminar_core.workspace import Workspace

MOMENTS = {
    "stage": (table_files, "text_sql"),  # parsed, and recorded as finished
    "mark": (stages, "write_json"),  # parsed, and not recorded yet
    "hash": (build, "version_hash"),
    "publish": (versions, "seal"),
    "unsealed": (versions, "sealed_files"),  # the version that is there is about to take over what was built
    "pointer": (versions, "write_json"),
}


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(workspace: str, path: str, moment: str) -> None:
    """Import, and die at the moment."""
    if moment in MOMENTS:
        setattr(*MOMENTS[moment], die)

    def progress(done: int, total: int, message: str) -> None:
        if moment.isdecimal() and done >= int(moment):
            die()

    import_table(Workspace(Path(workspace)), Path(path), "data", progress=progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
