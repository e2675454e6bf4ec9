"""What the server does once before it serves: it keeps its files private and clears away what kills left."""

from __future__ import annotations

from seminar_core.access import keep_files_private, make_private
from seminar_core.data.stages import remove_leftovers
from seminar_core.data.versions import remove_released
from seminar_core.workspace import default_workspace


def prepare() -> None:
    """Make the workspace ready."""
    workspace = default_workspace()
    keep_files_private(workspace)
    make_private(workspace)
    remove_leftovers(workspace)
    remove_released(workspace)
