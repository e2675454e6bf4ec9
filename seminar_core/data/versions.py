"""Versions of a data set on disk: who may change one, how a new one takes its place, what its hash covers.

Data, import. A version is built under a partial name and takes its place by one rename and one replaced pointer, so a
reader sees the old version or the new one, and an import that fails or is killed leaves the old one as it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from ..files import read_json, sha256_of, write_json
from ..sums import seal, unseal
from ..workspace import Workspace

FORMAT_VERSION = 1


@contextmanager
def dataset_lock(workspace: Workspace, name: str) -> Iterator[None]:
    """Hold the right to change data set `name`; other processes wait. The lock goes when the process does."""
    workspace.dataset_dir(name)
    workspace.datasets.mkdir(parents=True, exist_ok=True)
    with (workspace.datasets / f".lock-{name}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def copy_truth(source: Path, target: Path) -> None:
    """Copy a planted answer: its Parquet, NumPy and JSON files, no folders and no links."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.suffix in (".parquet", ".npy", ".json") and path.is_file() and not path.is_symlink():
            shutil.copyfile(path, target / path.name)


def version_hash(version: Path, events_digest: str) -> str:
    """12 hex digits over the content: events, names, items, pictures, truth; equal content gives equal digits."""
    digest = hashlib.sha256(f"format {FORMAT_VERSION} {events_digest}".encode())
    for name in ("people", "queries", "items", "attribute_values"):
        table = pq.read_table(version / f"{name}.parquet")
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            digest.update(repr(row).encode("utf-8"))
    truth = sorted((version / "truth").glob("*")) if (version / "truth").is_dir() else []
    digest.update(sha256_of(version / "pictures.bin", version / "picture_offsets.npy", *truth).encode())
    return digest.hexdigest()[:12]


def publish(workspace: Workspace, name: str, version: Path, digest: str) -> Path:
    """Make `version` the current one of `name`; the version before goes.

    When the content is that of the version already there, that one stays with everything derived from it (encoder
    vectors) and only takes over manifest and report.
    """
    directory = workspace.dataset_dir(name)
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / digest
    if (target / "manifest.json").is_file():
        unseal(target)  # a kill between these lines leaves a version that opens, and the next import seals it
        for left in target.glob(".partial-*"):
            left.unlink(missing_ok=True)
        for file in ("manifest.json", "report.json"):
            write_json(target / file, read_json(version / file))
        seal(target)
    else:
        seal(version)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(version, target)
    write_json(directory / "dataset.json", {"current": digest})
    for other in directory.iterdir():
        if other.is_dir() and other.name != digest:
            shutil.rmtree(other, ignore_errors=True)
    return target
