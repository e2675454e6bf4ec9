"""Opening a run: its model with the weights of a stage, its data set, and what is known of it.

Training, the door through which retrieval, diagnostics and the app come to a trained model. A run whose data set has
been imported anew is not opened: its tables are indexed by rows that mean something else now.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import ChannelVectors
from ..data.dataset import Dataset
from ..data.opening import open_dataset
from ..errors import MissingFileError, NotReadyError, StaleError, UnknownNameError
from ..files import mapped_table
from ..model.fold import channel_vectors, in_memory
from ..model.psu import PSU
from ..model.ranker import Ranker
from ..runtime import resolve_device
from ..workspace import Workspace
from .assembly import MAPPED_FROM, Material, build_psu, build_ranker, gather_material
from .checkpoint import WEIGHTS, load_weights
from .loop import BEST, FIRST, LAST
from .quantised import attach_codec
from .recipe import FinetuneConfig, PretrainConfig
from .run_files import RunCard, existing_run, is_stale, list_runs, read_card, read_status, run_names, run_row
from .settings import from_dict

STAGES = {"before": FIRST, "best": BEST, "last": LAST}

__all__ = ["STAGES", "Run", "existing_run", "is_stale", "list_runs", "load_run", "run_names", "run_row"]


@dataclass(frozen=True)
class Run:
    """A run with its weights loaded.

    Fields:
        name, path: where it is.
        card: what it is (kind, model, parent, seed, encodings, ...).
        config: its settings.
        material: data set, split and encoder vectors.
        model: in evaluation mode on `device`.
        stage: which checkpoint the weights are of.
        weights: sha256 of that checkpoint's weights.
        step: training step of that checkpoint.
        status: how far the run is.
        device: where the model lives.
    """

    name: str
    path: Path
    card: RunCard
    config: PretrainConfig | FinetuneConfig
    material: Material
    model: PSU | Ranker
    stage: str
    weights: str
    step: int
    status: dict[str, Any]
    device: str

    @property
    def dataset(self) -> Dataset:
        return self.material.dataset

    @property
    def kind(self) -> str:
        return self.card.kind

    @property
    def parent(self) -> str | None:
        return self.card.parent

    @property
    def max_length(self) -> int:
        """Events the model reads before a target."""
        return self.config.batches.max_length

    def channel_vectors(self) -> ChannelVectors:
        """The model's vectors of the catalogue and the queries, with what they come from as their origin."""
        source = json.dumps([self.weights, self.card.dataset_hash, self.card.encodings], sort_keys=True)
        vectors = channel_vectors(self.model, self._table)
        return replace(vectors, origin=hashlib.sha256(source.encode()).hexdigest()[:12])

    def _table(self, shape: tuple[int, ...]) -> np.ndarray:
        """An empty table; a large one in a file without a name beside the run, which goes with the process."""
        if 4 * math.prod(shape) < MAPPED_FROM:
            return in_memory(shape)
        with tempfile.TemporaryFile(dir=self.path) as file:
            return mapped_table(file, shape)

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {self.card.model} on {self.card.dataset!r}, {self.stage} = step {self.step})"


def load_run(workspace: Workspace, name: str, *, stage: str = "best", device: str = "auto") -> Run:
    """Open run `name` with the weights of `stage`: "before" (step 0), "best", "last", or a kept "step-000100".

    Raises:
        UnknownRunError: the workspace has none of this name.
        UnknownNameError: no such stage.
        StaleError: the run's data set has changed since.
        NotReadyError: the run has no such checkpoint yet.
    """
    path = existing_run(workspace, name)
    card = read_card(path)
    checkpoint = path / "checkpoints" / checkpoint_name(path, stage)
    dataset = open_dataset(workspace, card.dataset)
    if dataset.hash != card.dataset_hash:
        raise StaleError(
            f"run {name!r} was trained on version {card.dataset_hash} of {card.dataset!r}, which is now {dataset.hash}",
            hint="train it again, or import the old data under another name",
        )
    where = resolve_device(device)
    config: PretrainConfig | FinetuneConfig
    if card.kind == "psu":
        config = from_dict(PretrainConfig, card.config)
        material = gather_material(dataset, config.encoders, config.split)
        model: PSU | Ranker = build_psu(material, config.model, config.objectives, config.seed)
    else:
        config = from_dict(FinetuneConfig, card.config)
        material = gather_material(dataset, config.encoders, config.split)
        model = build_ranker(material, card.model, config.model, config.seed, config.answers.count)
        attach_codec(model, material, config)
    try:
        state = load_weights(checkpoint, model, material.fingerprint)
    except MissingFileError as error:
        raise NotReadyError(
            f"run {name!r} has no checkpoint {checkpoint.name!r} yet",
            hint="wait until it is trained, or resume its job",
        ) from error
    model.to(where).eval()
    weights, step = state["sha256"][WEIGHTS], int(state["counters"]["step"])
    return Run(name, path, card, config, material, model, stage, weights, step, read_status(path), where)


def checkpoint_name(path: Path, stage: str) -> str:
    """Directory name of a stage's checkpoint.

    Raises:
        UnknownNameError: it is neither a stage nor a kept step; the known ones are listed.
    """
    kept = sorted(p.name for p in (path / "checkpoints").glob("step-*"))
    if stage not in STAGES and stage not in kept:
        raise UnknownNameError("stage", stage, [*STAGES, *kept])
    return STAGES.get(stage, stage)
