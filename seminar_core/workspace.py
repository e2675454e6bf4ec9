"""The workspace: one directory that holds everything the tool makes.

Foundation. `datasets/<name>/`, `runs/<name>/`, `jobs/<job>/`, `maps/`, `stories/`, `answers/`. Names come from people,
so they are checked here, once: no name can point outside the workspace.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .beside import bundled_runs
from .errors import ExistsError, UnsafePathError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def checked_name(name: str, what: str = "name") -> str:
    """Return `name` when it is safe as one path component.

    Raises:
        UnsafePathError: not only letters, digits, dot, dash and underscore, over 81 characters, or a leading dot.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise UnsafePathError(
            f"{what} {name!r} is not allowed: letters, digits, '.', '_' and '-' only, starting with a letter or digit, "
            "at most 81 characters",
            hint="choose a plain name such as 'my-data'",
        )
    return name


@dataclass(frozen=True)
class Workspace:
    """Paths inside one workspace directory."""

    root: Path

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def maps(self) -> Path:
        return self.root / "maps"

    @property
    def stories(self) -> Path:
        return self.root / "stories"

    @property
    def answers(self) -> Path:
        """What the app worked out and can work out again."""
        return self.root / "answers"

    def dataset_dir(self, name: str) -> Path:
        """Directory of data set `name`; it need not exist."""
        return self.datasets / checked_name(name, "data set")

    def run_dir(self, name: str) -> Path:
        """Directory of run `name`; it need not exist. A run that comes with the sample lies there, read-only."""
        return bundled_runs().get(checked_name(name, "run"), self.runs / name)

    def measured_dir(self, name: str) -> Path:
        """Where what is measured of run `name` is kept: with the run, or in the workspace for one that is read-only."""
        return self.root / "measured" / name if name in bundled_runs() else self.run_dir(name)

    def job_dir(self, name: str) -> Path:
        """Directory of job `name`; it need not exist."""
        return self.jobs / checked_name(name, "job")


def default_workspace(path: str | Path | None = None) -> Workspace:
    """The workspace at `path`, else at `$SEMINAR_WORKSPACE`, else `./workspace`."""
    return Workspace(Path(path or os.environ.get("SEMINAR_WORKSPACE") or "workspace").absolute())


def refuse_bundled(name: str) -> None:
    """Refuse to write to, replace or delete a run that comes with the sample.

    Raises:
        ExistsError: `name` is one.
    """
    if name in bundled_runs():
        raise ExistsError(
            f"run {name!r} comes with the sample and is read-only", hint="choose another name for a run of your own"
        )
