"""What people write on their runs: a name to show, a note, tags, and whether a run is put away.

Training. `runs/<run>/note.json`, apart from the run's own files: a word about a run never makes it look changed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

from seminar_core.access import refuse_viewer
from seminar_core.errors import ConfigError, MissingFileError
from seminar_core.files import read_json, write_json
from seminar_core.sums import NOTE
from seminar_core.training.run_files import existing_run
from seminar_core.workspace import Workspace

LONGEST_NOTE = 4000
LONGEST_TAG = 40
LONGEST_NAME = 80
_changing = Lock()


@dataclass(frozen=True)
class Note:
    """Words on a run."""

    text: str = ""
    tags: tuple[str, ...] = ()
    archived: bool = False
    name: str = ""
    """Shown instead of the run's own name, which stays what commands and folders call it."""

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_NOTE:
            raise ConfigError(f"the note has {len(self.text)} signs, at most {LONGEST_NOTE} fit", hint="shorten it")
        if len(self.name) > LONGEST_NAME:
            raise ConfigError(f"the name has {len(self.name)} signs, at most {LONGEST_NAME} fit", hint="shorten it")
        for tag in self.tags:
            if not 0 < len(tag) <= LONGEST_TAG:
                raise ConfigError(f"tag {tag!r} has {len(tag)} signs; 1 to {LONGEST_TAG} fit", hint="shorten it")


def read_note(workspace: Workspace, run: str) -> Note:
    """The words on `run`; empty where nobody wrote any."""
    try:
        found = read_json(workspace.measured_dir(run) / NOTE)
    except MissingFileError:
        return Note()
    return Note(
        str(found.get("text", "")),
        tuple(found.get("tags", ())),
        bool(found.get("archived")),
        str(found.get("name", "")),
    )


def write_note(workspace: Workspace, run: str, note: Note) -> None:
    """Replace the words on `run`.

    Raises:
        UnknownRunError: there is no such run.
        NotAllowedError: the person of the moment is no operator.
    """
    refuse_viewer("a note on run", run)
    existing_run(workspace, run)
    write_json(workspace.measured_dir(run) / NOTE, asdict(note))


def change_note(workspace: Workspace, run: str, **fields: Any) -> bool:
    """Replace these fields of the note on `run` and leave the others as they are by now; False where nothing changes.

    Raises:
        ConfigError: a field is too long.
        UnknownRunError: there is no such run.
        NotAllowedError: the person of the moment is no operator.
    """
    with _changing:  # sessions of one server take turns: none writes over a field that another has just changed
        old = read_note(workspace, run)
        new = replace(old, **fields)
        if new != old:
            write_note(workspace, run, new)
        return new != old
