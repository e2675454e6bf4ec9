"""What the server does once before it serves: it keeps its files private, clears away what kills left, and begins to
import what every first page needs, which the browser's own loading then hides.
"""

from __future__ import annotations

import threading
from importlib import import_module

from seminar_core.access import keep_files_private, make_private
from seminar_core.data.stages import remove_leftovers
from seminar_core.data.versions import remove_released
from seminar_core.workspace import default_workspace

FIRST = ("pandas", "seminar_core.data.intake.uploads", "plotly.graph_objects")  # no page is drawn without them


def prepare() -> None:
    """Make the workspace ready."""
    threading.Thread(target=lambda: [import_module(name) for name in FIRST], name="first-imports", daemon=True).start()
    workspace = default_workspace()
    keep_files_private(workspace)
    make_private(workspace)
    remove_leftovers(workspace)
    remove_released(workspace)
