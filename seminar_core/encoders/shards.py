"""Vectors made in shards: what was made before an interruption stays, and several processes may share the work.

Encoders, under `store`. A shard is a few thousand inputs (texts or pictures) in order, kept as one file beside the
place of the finished vectors. Whoever works takes a lock on the shard, which goes with the process: a shard whose
process died is made by another, or by the next attempt. The finished tables are written shard by shard, so that a
catalogue's vectors are never whole in memory.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from ..data.dataset import Dataset
from ..errors import NonFiniteError
from ..files import mapped_table
from ..progress import Progress
from .text import TextFunction, item_texts, query_texts

SIZE = 4_096
"""Inputs of a shard: a multiple of what any encoder computes at once, so that shards change no bit."""
POLL_S = 0.3


@runtime_checkable
class OfTexts(Protocol):
    """An encoder of texts, each on its own once it is ready."""

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction: ...


@runtime_checkable
class OfPictures(Protocol):
    """An encoder of pictures: vectors of rows, and what is done when all are there."""

    def of_pictures(self, dataset: Dataset, rows: list[int], progress: Progress) -> np.ndarray: ...

    def finished(self, vectors: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Work:
    """What is to be encoded, in order.

    Fields:
        tables: name of a table -> (its rows that have an input, its size); their inputs follow each other.
        vectors: (first, after the last) input -> (n, W) float32.
        finish: is applied to all vectors at once, None where each stands on its own.
    """

    tables: dict[str, tuple[list[int], int]]
    vectors: Callable[[int, int, Progress], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def inputs(self) -> int:
        """How many there are."""
        return sum(len(rows) for rows, _ in self.tables.values())

    @property
    def shards(self) -> int:
        """How many shards they make."""
        return -(-self.inputs // SIZE)


def work_of(encoder: object, modality: str, dataset: Dataset, progress: Progress) -> Work | None:
    """The work of an encoder in shards; None for one that cannot, and where one shard would hold it all."""
    if modality == "image" and isinstance(encoder, OfPictures):
        rows = np.flatnonzero(dataset.has_picture).tolist()
        if len(rows) <= SIZE:
            return None

        def pictures(first: int, stop: int, progress: Progress) -> np.ndarray:
            return encoder.of_pictures(dataset, rows[first:stop], progress)

        return Work({"items": (rows, dataset.n_items + 1)}, pictures, encoder.finished)
    if modality == "text" and isinstance(encoder, OfTexts):
        item_rows, texts = item_texts(dataset)
        query_rows, queries = query_texts(dataset)
        if len(texts) + len(queries) <= SIZE:
            return None
        texts += queries
        function = encoder.unseen(dataset, progress)
        tables = {"items": (item_rows, dataset.n_items + 1), "queries": (query_rows, dataset.n_queries + 1)}
        return Work(tables, lambda first, stop, progress: function(texts[first:stop]))
    return None


def make(folder: Path, work: Work, progress: Progress, is_done: Callable[[], bool]) -> None:
    """Make the shards that are missing, beside other processes that do the same; return when all are there.

    Args:
        folder: of the shards.
        work: to be done.
        progress: called after each shard.
        is_done: whether another process has finished the whole meanwhile.

    Raises:
        NonFiniteError: a vector holds NaN or infinity.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while not is_done():
        missing = [number for number in range(work.shards) if not shard(folder, number).is_file()]
        progress(min((work.shards - len(missing)) * SIZE, work.inputs), work.inputs, "encoding")
        if not missing:
            return
        if not any([_make_one(folder, number, work, progress) for number in missing]):
            time.sleep(POLL_S)  # the rest is in other hands


def _make_one(folder: Path, number: int, work: Work, progress: Progress) -> bool:
    """Make a shard unless somebody else does or did; whether it was made here."""
    first, stop = number * SIZE, min((number + 1) * SIZE, work.inputs)
    with claimed(folder, number) as mine:
        if not mine or shard(folder, number).is_file():
            return False
        vectors = work.vectors(first, stop, lambda done, total, message: progress(first + done, work.inputs, message))
        if not np.isfinite(vectors).all():
            raise NonFiniteError(
                f"a vector of inputs {first:,} to {stop - 1:,} holds NaN or infinity", hint="check the encoder's input"
            )
        partial = folder / f".partial-{uuid.uuid4().hex[:8]}.npy"
        np.save(partial, vectors.astype(np.float32), allow_pickle=False)
        os.replace(partial, shard(folder, number))
    progress(stop, work.inputs, "encoding")
    return True


def shard(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / f"{number:06d}.npy"


@contextmanager
def claimed(folder: Path, number: int) -> Iterator[bool]:
    """Hold the right to make a shard; False where another process has it, or where the folder has gone."""
    try:
        file = (folder / f"{number:06d}.lock").open("w")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def assemble(folder: Path, work: Work, target: Path) -> tuple[int, dict[str, int]]:
    """Write the tables of finished shards into `target` as NAME.npy and NAME_present.npy.

    Returns:
        W, and by table how many rows have a vector; one that is exactly zero says nothing and counts as absent.
    """
    parts: Iterator[np.ndarray] = (np.load(shard(folder, n), allow_pickle=False) for n in range(work.shards))
    if work.finish is not None:
        parts = iter([work.finish(np.concatenate(list(parts)))])
    pending = next(parts)
    width = pending.shape[1]
    counts = {}
    for name, (rows, size) in work.tables.items():
        with (target / f"{name}.npy").open("w+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (size, width)}
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            table = mapped_table(file, (size, width), file.tell())
        present = np.zeros(size, bool)
        at = 0
        while at < len(rows):
            if not len(pending):
                pending = next(parts)
            taken = pending[: len(rows) - at]
            pending = pending[len(taken) :]
            places = rows[at : at + len(taken)]
            table[places] = taken
            present[places] = (taken != 0).any(axis=1)
            at += len(taken)
        np.save(target / f"{name}_present.npy", present, allow_pickle=False)
        counts[name] = int(present.sum())
    return width, counts
