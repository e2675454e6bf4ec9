"""Encoder vectors on disk: made once per data set version, written whole or not at all, memory-mapped when read.

Encoders, the only part of them that the model's side uses. Layout, beside the version's columns:
`encodings/<modality>-<encoder>/{items.npy, items_present.npy[, queries.npy, queries_present.npy], meta.json}`.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import check_shape
from ..data.dataset import Dataset
from ..errors import CorruptFileError, MissingFileError, StaleError
from ..files import atomic_directory, locked, read_json, write_json
from ..progress import Progress, silent
from ..sums import require_whole, seal
from . import shards
from .encoded import Encoded
from .registry import DEFAULT_IMAGE, DEFAULT_TEXT, Named, find_encoder

log = logging.getLogger(__name__)

VERSION = 1


@dataclass(frozen=True)
class Encodings:
    """Frozen vectors of both modalities, memory-mapped.

    Fields:
        text_items: (I+1, Wt) float32, zero where absent.
        text_items_present: (I+1,) bool.
        text_queries: (Q+1, Wt) float32 in the same space.
        text_queries_present: (Q+1,) bool.
        image_items: (I+1, Wi) float32.
        image_items_present: (I+1,) bool.
        text_id, image_id: names of the encoders, as given.
    """

    text_items: np.ndarray
    text_items_present: np.ndarray
    text_queries: np.ndarray
    text_queries_present: np.ndarray
    image_items: np.ndarray
    image_items_present: np.ndarray
    text_id: str
    image_id: str

    def __post_init__(self) -> None:
        check_shape("Encodings.text_items_present", self.text_items_present, self.text_items.shape[:1])
        check_shape("Encodings.image_items", self.image_items, (len(self.text_items), None))
        check_shape("Encodings.image_items_present", self.image_items_present, self.image_items.shape[:1])
        check_shape("Encodings.text_queries", self.text_queries, (None, self.text_items.shape[1]))
        check_shape("Encodings.text_queries_present", self.text_queries_present, self.text_queries.shape[:1])

    def __repr__(self) -> str:
        return (
            f"Encodings(text={self.text_id} W={self.text_items.shape[1]}, "
            f"image={self.image_id} W={self.image_items.shape[1]}, items={len(self.text_items) - 1})"
        )


def encode(
    dataset: Dataset, *, text: str = DEFAULT_TEXT, image: str = DEFAULT_IMAGE, progress: Progress = silent
) -> dict[str, Any]:
    """Make the vectors of both modalities where they are missing, and say what there is.

    Returns:
        `text`: {`encoder`, `width`, `items`, `queries`}, `image`: {`encoder`, `width`, `items`}, `seconds`; for
        `given:FILE` also `unknown`, the rows that named ids which the data set does not have.

    Raises:
        UnknownNameError: no such encoder.
        MissingWeightsError: its package or weights are not there.
        SeminarError: what a given file has wrong.
    """
    started = time.perf_counter()
    chosen = {"text": find_encoder("text", text), "image": find_encoder("image", image)}
    answer: dict[str, Any] = {}
    for modality, named in chosen.items():
        facts = read_json(_ensure(dataset, modality, named, progress) / "meta.json")
        wanted = ("width", "items", "queries", "unknown")
        answer[modality] = {"encoder": named.name} | {key: facts[key] for key in wanted if key in facts}
    return answer | {"seconds": round(time.perf_counter() - started, 3)}


def is_encoded(dataset: Dataset, *, text: str = DEFAULT_TEXT, image: str = DEFAULT_IMAGE) -> bool:
    """Whether the vectors of both modalities are there, so that `load_encodings` only opens them."""
    chosen = (("text", find_encoder("text", text)), ("image", find_encoder("image", image)))
    return all(_is_current(dataset.path / "encodings" / f"{kind}-{named.folder}") for kind, named in chosen)


def load_encodings(
    dataset: Dataset, *, text: str = DEFAULT_TEXT, image: str = DEFAULT_IMAGE, progress: Progress = silent
) -> Encodings:
    """The vectors of both modalities, made first where they are missing.

    Raises:
        SeminarError: as `encode`; CorruptFileError when stored vectors do not fit the data set.
    """
    texts, images = find_encoder("text", text), find_encoder("image", image)
    text_folder, image_folder = (
        _ensure(dataset, modality, named, progress) for modality, named in (("text", texts), ("image", images))
    )
    return Encodings(
        text_items=_load(text_folder, "items", dataset.n_items),
        text_items_present=_load(text_folder, "items_present", dataset.n_items),
        text_queries=_load(text_folder, "queries", dataset.n_queries),
        text_queries_present=_load(text_folder, "queries_present", dataset.n_queries),
        image_items=_load(image_folder, "items", dataset.n_items),
        image_items_present=_load(image_folder, "items_present", dataset.n_items),
        text_id=text,
        image_id=image,
    )


def _load(folder: Path, name: str, rows: int) -> np.ndarray:
    """One stored table of `rows` + 1 rows, memory-mapped; what is written into it stays in this process."""
    path = folder / f"{name}.npy"
    hint = f"delete the folder {folder} and encode again"
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read: {error}", hint=hint) from error
    if len(array) != rows + 1:
        raise CorruptFileError(f"{path} has {len(array)} rows, the data set needs {rows + 1}", hint=hint)
    return array


def _is_current(folder: Path) -> bool:
    meta = folder / "meta.json"
    return meta.is_file() and read_json(meta).get("version") == VERSION


def _ensure(dataset: Dataset, modality: str, named: Named, progress: Progress) -> Path:
    """Folder of one encoder's vectors, made when it is not there."""
    folder = dataset.path / "encodings" / f"{modality}-{named.folder}"
    if _is_current(folder):
        require_whole(folder, f"the {modality} vectors of data set {dataset.name!r} were changed or damaged")
        return folder
    started = time.perf_counter()
    encoder = named.make()
    work = shards.work_of(encoder, modality, dataset, progress)
    made = folder.parent / f".shards-{VERSION}-{folder.name}"
    if work is not None:
        shards.make(made, work, progress, lambda: _is_current(folder))
    with locked(folder.parent / f".lock-{folder.name}"):  # the right to make it
        if not _is_current(folder):  # another process may have been first
            if work is None:
                _write(folder, modality, named, encoder.encode(dataset, progress), time.perf_counter() - started)
            else:
                _write_shards(folder, modality, named, work, made, time.perf_counter() - started)
            log.info("encoded %s of %s with %s", modality, dataset.name, named.name)
    shutil.rmtree(made, ignore_errors=True)
    return folder


def make_again(dataset: Dataset, folder: str, progress: Progress = silent) -> None:
    """Make the vectors in `encodings/<folder>` again, by the encoder that their card names.

    Raises:
        StaleError: that encoder now gives other vectors.
        SeminarError: as `encode`; what was there stays.
    """
    path = dataset.path / "encodings" / folder
    modality, _, made_by = folder.partition("-")
    try:
        name = str(read_json(path / "meta.json")["encoder"])
    except (MissingFileError, CorruptFileError, KeyError, TypeError):
        name = made_by
    named = find_encoder(modality, name)
    if named.folder != made_by:
        raise StaleError(
            f"{name} now gives the vectors {named.folder}, those in {path} were {made_by}",
            hint="encode again, and train again what was trained on them",
        )
    aside = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{folder}")
    os.replace(path, aside)
    try:
        _ensure(dataset, modality, named, progress)
    finally:
        if path.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.replace(aside, path)


def _write_shards(folder: Path, modality: str, named: Named, work: shards.Work, made: Path, seconds: float) -> None:
    """Write vectors that were made in shards, and their card, by rename."""
    with atomic_directory(folder, replace=True) as partial:
        width, facts = shards.assemble(made, work, partial)
        card = {"version": VERSION, "modality": modality, "encoder": named.name, "width": width}
        write_json(partial / "meta.json", card | facts | {"seconds": round(seconds, 3)})
        seal(partial)


def _write(folder: Path, modality: str, named: Named, encoded: Encoded, seconds: float) -> None:
    """Write vectors and their card by rename."""
    with atomic_directory(folder, replace=True) as partial:
        tables = {"items": encoded.items, "items_present": encoded.items_present}
        facts = {"items": int(encoded.items_present.sum())}
        if encoded.queries is not None and encoded.queries_present is not None:
            tables |= {"queries": encoded.queries, "queries_present": encoded.queries_present}
            facts["queries"] = int(encoded.queries_present.sum())
        for name, array in tables.items():
            np.save(partial / f"{name}.npy", array, allow_pickle=False)
        card = {"version": VERSION, "modality": modality, "encoder": named.name, "width": encoded.width}
        write_json(partial / "meta.json", card | facts | encoded.notes | {"seconds": round(seconds, 3)})
        seal(partial)
