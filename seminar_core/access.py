"""Who may do what, and what was done: roles, a read-only mode, and the audit file of a workspace.

Foundation. `audited` stands where a thing is done (an import, a job, a training, a deletion), so that a page that
forgot to hide a button changes nothing. On the command line and in a job the person is the one who started it; the
app answers with who is signed in.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from .errors import NotAllowedError, SeminarError
from .files import HeldDirectory, append_line
from .workspace import Workspace

log = logging.getLogger(__name__)

OPERATOR, VIEWER, NOBODY = "operator", "viewer", "nobody"
READ_ONLY = "SEMINAR_READ_ONLY"
USER = "SEMINAR_USER"
"""Names in the environment: everyone is a viewer; and on whose behalf a process of ours works."""
AUDIT = "audit.jsonl"


@dataclass(frozen=True)
class Person:
    """Someone who asks for something, and their role."""

    name: str
    role: str


def read_only() -> bool:
    """Whether `SEMINAR_READ_ONLY` is set, to anything but 0."""
    return os.environ.get(READ_ONLY, "0") not in ("", "0")


def local_person() -> Person:
    """Whoever runs this process, or on whose behalf it was started."""
    name = os.environ.get(USER)
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a container's user need not have a name
            name = str(os.getuid())
    return Person(name, OPERATOR)


_ask: list[Callable[[], Person]] = [local_person]


def ask_with(who: Callable[[], Person]) -> None:
    """From now on this process asks `who` for the person of the moment."""
    _ask[0] = who


def person() -> Person:
    """The person of the moment; in read-only mode an operator is a viewer."""
    found = _ask[0]()
    return replace(found, role=VIEWER) if read_only() and found.role == OPERATOR else found


def may_operate() -> bool:
    """Whether the person of the moment may change what the workspace holds: import, train, delete, tell stories."""
    return person().role == OPERATOR


def refuse_viewer(action: str, what: str) -> None:
    """Raise unless the person of the moment is an operator.

    Raises:
        NotAllowedError: they are not.
    """
    who = person()
    if who.role != OPERATOR:
        raise NotAllowedError(
            f"{action} {what!r} was refused: {who.name} is a {who.role}, only an operator may change things here",
            hint=f"this is a read-only demo; start it without --read-only and {READ_ONLY}"
            if read_only()
            else "ask an operator, or the one who keeps [roles] in .streamlit/secrets.toml",
        )


@contextmanager
def audited(workspace: Workspace, action: str, what: str) -> Iterator[None]:
    """Do something that only an operator may, and append a line on it to the workspace's audit file.

    The line says when (UTC), who, their role, what was done to what, and the outcome: done, refused, or failed and how.
    A workspace that is moved meanwhile has it at its new place; one that is deleted is not made again for it.

    Raises:
        NotAllowedError: the person of the moment is no operator.
    """
    who = person()
    root = workspace.root
    held = HeldDirectory(root, "the workspace", "look for it elsewhere") if root.is_dir() else None
    line = {"when": "", "who": who.name, "role": who.role, "action": action, "what": what, "outcome": "failed: crash"}
    try:
        refuse_viewer(action, what)
        yield
        line["outcome"] = "done"
    except SeminarError as error:
        line["outcome"] = "refused" if isinstance(error, NotAllowedError) else f"failed: {error.kind}"
        raise
    finally:
        line["when"] = datetime.now(UTC).isoformat(timespec="seconds")
        place: Path | None = root
        if held is not None:
            place = root if held.error() is None else held.present()
            held.close()
        if place is not None:
            write_line(Workspace(place), line)


def write_line(workspace: Workspace, line: dict[str, str]) -> None:
    """Append one line to the audit file; where that cannot be, the process's log has it: what was done is done."""
    try:
        make_private(workspace)
        append_line(workspace.root / AUDIT, line)
    except OSError as error:
        log.error("the audit file of %s was not written (%s): %s", workspace.root, error, json.dumps(line))


def make_private(workspace: Workspace) -> None:
    """Make the workspace's directory where there is none, for its owner alone (0700).

    One that exists keeps its mode: a team may share it by its group. Where it is open to others, the log says so, once.
    """
    try:
        workspace.root.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if (open_to := who_else(workspace)) and workspace.root not in _TOLD:
            _TOLD.add(workspace.root)
            log.warning("the workspace %s is open to %s; it keeps its mode", workspace.root, open_to)


_TOLD: set[Path] = set()


def who_else(workspace: Workspace) -> str:
    """Who besides its owner may look into an existing workspace, in words; empty where nobody may."""
    mode = stat.S_IMODE(workspace.root.stat().st_mode)
    kinds = [kind for kind, bits in (("its group", 0o070), ("everyone on this machine", 0o007)) if mode & bits]
    return f"{' and '.join(kinds)} (mode {mode:04o})" if kinds else ""


def keep_files_private(workspace: Workspace | None = None) -> None:
    """What this process makes from now on is its owner's alone: directories 0700, files 0600.

    In a workspace that its group may write to, which nobody gets by accident, it is also the group's: 0770 and 0660.
    """
    shared = workspace is not None and workspace.root.is_dir() and workspace.root.stat().st_mode & stat.S_IWGRP
    os.umask(0o007 if shared else 0o077)
