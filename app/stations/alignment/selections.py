"""Selections of items are kept under a short digest, so that a link can name thousands of them.

Diagnostics, for the map. A selection is a list of catalogue rows of one data set; the digest covers both, so that a
link made on another version of the data is told instead of showing other items.
"""

from __future__ import annotations

import hashlib
import os
import uuid

import numpy as np

from seminar_core.errors import StaleError
from seminar_core.workspace import Workspace, checked_name


def keep_selection(workspace: Workspace, dataset_hash: str, rows: np.ndarray) -> str:
    """Keep catalogue rows (m,) and return their digest; the empty selection is the empty text."""
    chosen = np.unique(np.asarray(rows, dtype=np.int32))
    if not len(chosen):
        return ""
    digest = hashlib.sha256(dataset_hash.encode() + chosen.tobytes()).hexdigest()[:12]
    folder = workspace.maps / ".selections"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".partial-{uuid.uuid4().hex[:8]}.npy"
    np.save(partial, chosen, allow_pickle=False)
    os.replace(partial, folder / f"{digest}.npy")
    return digest


def read_selection(workspace: Workspace, dataset_hash: str, digest: str) -> np.ndarray:
    """Rows (m,) int32 that were kept under `digest`.

    Raises:
        StaleError: this workspace does not have it, or it was made on other data.
    """
    if not digest:
        return np.zeros(0, np.int32)
    path = workspace.maps / ".selections" / f"{checked_name(digest, 'selection')}.npy"
    rows = np.load(path, allow_pickle=False) if path.is_file() else None
    if rows is None or hashlib.sha256(dataset_hash.encode() + rows.tobytes()).hexdigest()[:12] != digest:
        raise StaleError(
            f"selection {digest!r} is not known here for this version of the data",
            hint="select the items again; selections stay in the workspace they were made in",
        )
    return rows
