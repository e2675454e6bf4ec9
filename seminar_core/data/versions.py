"""Versions of a data set on disk: who may change one, how a new one takes its place, what its hash covers.

Data, import. A version is built under a partial name and takes its place by one rename and one replaced pointer, so a
reader sees the old version or the new one, and an import that fails or is killed leaves the old one as it was. Whoever
reads a version holds a lease on it, a lock that goes with the process: a replaced version stays until it is let go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq

from ..access import audited
from ..errors import SeminarError, StaleError
from ..files import is_free, locked, read_json, sha256_of, write_json
from ..sums import SUMS, seal, sealed_files, unseal
from ..workspace import Workspace, checked_name
from .intake.uploads import is_upload
from .stages import remove, scratch_directory

FORMAT_VERSION = 1
UNSAID_ACTIONS = (["browse"], ["browse", "search"], ["click", "purchase", "view"])
"""Names of actions that the hash leaves out: those of events without a column `action`, and the sample's.

So these data sets, the run that comes with the sample and the kept answers are of the hash that they had before names
were covered. No two of these lists are of one length, and the codes, which are covered, say the length.
"""


class Lease:
    """A hold on one version: no import removes it before this object or its process goes."""

    def __init__(self, version: Path):
        descriptor = os.open(version, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


_PINNED: dict[Path, tuple[str, Lease]] = {}
"""What this process goes on reading, by the directory of the data set."""


def current_version(directory: Path) -> str:
    """Name of the version that a reader of this data set is to open: the pinned one, else the current one."""
    if directory in _PINNED:
        return _PINNED[directory][0]
    return checked_name(str(read_json(directory / "dataset.json").get("current", "")), "version")


def pin(workspace: Workspace, name: str) -> None:
    """Let this process read the version that is current now until it ends, whatever is imported meanwhile."""
    directory = workspace.dataset_dir(name)
    if (directory / "dataset.json").is_file():
        version = current_version(directory)
        if (directory / version).is_dir():
            _PINNED[directory] = version, Lease(directory / version)


@contextmanager
def dataset_lock(workspace: Workspace, name: str) -> Iterator[None]:
    """Hold the right to change data set `name`; other processes wait. The lock goes when the process does."""
    workspace.dataset_dir(name)
    with locked(workspace.datasets / f".lock-{name}"):
        yield


@contextmanager
def importing(workspace: Workspace, name: str) -> Iterator[Path]:
    """What every import of data set `name` stands in: an operator's alone, locked, a line in the audit file, scratch.

    Raises:
        NotAllowedError: the person of the moment is no operator.
    """
    with (
        audited(workspace, "import", name),
        dataset_lock(workspace, name),
        scratch_directory(workspace, name) as scratch,
    ):
        yield scratch


def copy_truth(source: Path, target: Path) -> None:
    """Copy a planted answer: its Parquet, NumPy and JSON files, no folders and no links."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.suffix in (".parquet", ".npy", ".json") and path.is_file() and not path.is_symlink():
            shutil.copyfile(path, target / path.name)


def version_hash(version: Path, events_digest: str, actions: list[str]) -> str:
    """12 hex digits over the content: events, names, items, pictures, truth; equal content gives equal digits."""
    digest = hashlib.sha256(f"format {FORMAT_VERSION} {events_digest}".encode())
    if actions not in UNSAID_ACTIONS:
        digest.update(repr(actions).encode())
    for name in ("people", "queries", "items", "attribute_values"):
        table = pq.read_table(version / f"{name}.parquet")
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            digest.update(repr(row).encode("utf-8"))
    truth = sorted((version / "truth").glob("*")) if (version / "truth").is_dir() else []
    digest.update(sha256_of(version / "pictures.bin", version / "picture_offsets.npy", *truth).encode())
    return digest.hexdigest()[:12]


def publish(workspace: Workspace, name: str, version: Path, digest: str, *, offer: bool = False) -> Path:
    """Make `version` the current one of `name`; versions before it go, once nobody holds a lease on them.

    When the content is that of the version already there, that one takes over every file that was built, so that damage
    to it ends here, and stays with everything derived from it (encoder vectors).

    Args:
        workspace: of the data set.
        name: of the data set.
        version: the directory that was built.
        digest: its hash.
        offer: leave the version that is current, and this one beside it until `settle`; a first one is current at once.
    """
    directory = workspace.dataset_dir(name)
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / digest
    seal(version)
    if target.is_dir():
        _take_over(target, version)
    else:
        os.replace(version, target)
    pointer = directory / "dataset.json"
    current = str(read_json(pointer).get("current", "")) if offer and pointer.is_file() else digest
    write_json(pointer, {"current": current} | ({"offered": digest} if current != digest else {}))
    _remove_released(directory)
    return target


def _take_over(target: Path, version: Path) -> None:
    """Put the files of `version`, of the same content, in the place of those in `target`, each at once.

    A kill on the way leaves a version that opens and has no sums; the next import goes the same way.
    """
    unseal(target)
    for path in sealed_files(version):
        file = path.relative_to(version)
        (target / file).parent.mkdir(exist_ok=True)
        os.replace(path, target / file)
    os.replace(version / SUMS, target / SUMS)


def offered(workspace: Workspace, name: str) -> str | None:
    """Hash of the version that waits for `settle`; None where none does."""
    pointer = workspace.dataset_dir(name) / "dataset.json"
    return read_json(pointer).get("offered") if pointer.is_file() else None


def settle(workspace: Workspace, name: str, digest: str, *, accept: bool) -> None:
    """Make the version that was offered current, or let it go.

    Raises:
        StaleError: another one was offered or imported in the meantime.
    """
    action = "accept" if accept else "turn down"
    with audited(workspace, f"{action} version {digest}", name), dataset_lock(workspace, name):
        if (found := offered(workspace, name)) != digest:
            raise StaleError(
                f"version {digest} of data set {name!r} is not offered any more, {found or 'none'} is",
                hint="import the files again",
            )
        directory = workspace.dataset_dir(name)
        current = digest if accept else read_json(directory / "dataset.json")["current"]
        write_json(directory / "dataset.json", {"current": current})
        _remove_released(directory)


def remove_released(workspace: Workspace) -> None:
    """Remove versions that were replaced while somebody read them and that nobody reads any more."""
    for pointer in workspace.datasets.glob("[!.]*/dataset.json"):
        lock = workspace.datasets / f".lock-{pointer.parent.name}"
        # an import of it that is under way does this at its end; a damaged data set is told where it is opened
        with suppress(BlockingIOError, SeminarError), locked(lock, wait=False):
            _remove_released(pointer.parent)


def clear_killed(workspace: Workspace, path: Path, name: str, *, stages: bool) -> None:
    """Remove what an import of `name` from `path` left that was killed: its upload, and what it had not published.

    Args:
        workspace: of the data set.
        path: what was imported.
        name: of the data set.
        stages: also its finished stages, which the next import would take up; those of an upload go in any case.
    """
    uploaded = is_upload(workspace, path)
    if uploaded:
        remove(path)
    if stages or uploaded:
        for left in workspace.datasets.glob(f".partial-????????-{checked_name(name)}"):
            if is_free(left):
                remove(left)
    directory = workspace.dataset_dir(name)
    with dataset_lock(workspace, name):
        if (directory / "dataset.json").is_file():
            _remove_released(directory)
        elif directory.is_dir():
            remove(directory)


def _remove_released(directory: Path) -> None:
    """The same for one data set; the caller holds its lock."""
    kept = read_json(directory / "dataset.json").values()
    for other in directory.iterdir():
        if other.is_dir() and other.name not in kept and is_free(other):
            gone = directory / f".partial-{uuid.uuid4().hex[:8]}"
            os.replace(other, gone)  # out of sight at once: who opens it now finds nothing, and looks again
            shutil.rmtree(gone, ignore_errors=True)
