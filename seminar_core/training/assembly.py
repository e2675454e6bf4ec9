"""From a data set and settings to what the loop needs: arrays for the model, batches, optimisers.

Training, between data, encoders and model, which do not know each other. Every model is assembled here by the same
lines and trained on the same batches, so that what differs between two runs is what their settings say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..contracts import PAD, LifeBatch, TargetBatch
from ..data.batches import TrainingBatches
from ..data.dataset import Dataset
from ..data.negatives import TrainingNegatives
from ..data.pools import item_counts
from ..data.splits import Split, position_split, time_split
from ..encoders.store import Encodings, load_encodings
from ..errors import DeviceError
from ..evaluation.metrics import mean_metrics
from ..evaluation.protocol import Measured, ScoreFunction, rank_model
from ..evaluation.questions import Questions, ask
from ..model.baselines import build_model
from ..model.channels import Channels
from ..model.fusion import Fusion
from ..model.losses import heldout_items
from ..model.psu import PSU
from ..model.ranker import NEXT_TASK, Ranker
from ..model.scoring import scoring
from ..model.tensors import to_tensors
from ..progress import Progress, silent
from .checkpoint import Fingerprint
from .recipe import BatchConfig, EncoderConfig, ModelConfig, ObjectiveConfig, OptimiserConfig
from .row_adam import RowAdam

HIDE_STREAM = 7
VALIDATION_SEED = 12345
QUERY_TOKENS = 1 << 15
MAPPED_FROM = 1 << 28
"""Bytes from which the vectors of a catalogue are read as a memory map instead of being copied into memory."""


@dataclass(frozen=True)
class Material:
    """A data set with its split and encoder vectors.

    Fields:
        dataset: opened.
        split: what may be trained on and what is held out.
        encodings: frozen vectors of items and queries.
    """

    dataset: Dataset
    split: Split
    encodings: Encodings

    @cached_property
    def trained(self) -> np.ndarray:
        """(I+1,) int64 training events of each item."""
        return item_counts(self.dataset.store, self.dataset.n_items, self.split.train_end)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.dataset.hash, self.dataset.n_items, self.dataset.n_queries)


def gather_material(dataset: Dataset, encoders: EncoderConfig, split: str = "position") -> Material:
    """Open what training on `dataset` needs; encoder vectors are made first where they are missing."""
    chosen = position_split(dataset.store) if split == "position" else time_split(dataset.store)
    return Material(dataset, chosen, load_encodings(dataset, text=encoders.text, image=encoders.image))


def channel_arrays(material: Material, config: ModelConfig) -> dict[str, Any]:
    """Arguments of `model.channels.Channels`.

    The id embedding of an item that no training event has is never trained, so it counts as absent.
    """
    dataset, encodings = material.dataset, material.encodings

    def tensor(array: np.ndarray | None) -> Tensor | None:
        if array is None:
            return None
        mapped = isinstance(array, np.memmap) and array.mode == "c" and array.nbytes >= MAPPED_FROM
        return torch.from_numpy(np.asarray(array) if mapped else np.array(array))

    return {
        "width": config.width,
        "n_items": dataset.n_items,
        "attributes": tensor(dataset.attributes),
        "n_attribute_values": dataset.n_attribute_values,
        "query_tokens": tensor(dataset.query_tokens),
        "n_query_tokens": QUERY_TOKENS,
        "text_items": tensor(encodings.text_items),
        "text_present": tensor(encodings.text_items_present),
        "text_queries": tensor(encodings.text_queries),
        "image_items": tensor(encodings.image_items),
        "image_present": tensor(encodings.image_items_present),
        "embedding_std": config.embedding_std,
        "id_std": config.id_std,
        "sparse": config.sparse,
        "known_items": tensor(material.trained > 0),
        "disabled": tuple(config.disabled),
    }


def build_psu(material: Material, config: ModelConfig, objectives: ObjectiveConfig, seed: int) -> PSU:
    """A new PSU, its parameters drawn from `seed`."""
    torch.manual_seed(seed)
    channels = Channels(**channel_arrays(material, config))
    return PSU(
        channels=channels,
        fusion=build_fusion(channels, config),
        heads=config.heads,
        keep=config.keep,
        objectives=objectives.weights(),
        heldout=torch.from_numpy(heldout_items(material.dataset.n_items, seed, objectives.held_out)),
        next_loss=objectives.next_loss,
        hard_negatives=objectives.hard_negatives,
        in_batch_negatives=objectives.in_batch_negatives,
        temperature=objectives.temperature,
        learn_temperature=objectives.learn_temperature,
        sample=objectives.sample,
        recency=config.recency == "on",
        gain=config.gain,
        hide_ids=objectives.hide_ids,
        popularity=torch.from_numpy(material.trained),
    )


def build_ranker(material: Material, name: str, config: ModelConfig, seed: int, tasks: int = 1) -> Ranker:
    """A new downstream model with `tasks` logits per candidate, its parameters drawn from `seed`.

    Raises:
        UnknownNameError: `name` is not a model.
    """
    torch.manual_seed(seed)
    channels = Channels(**channel_arrays(material, config))
    return build_model(
        name,
        channels=channels,
        fusion=build_fusion(channels, config),
        heads=config.heads,
        keep=config.keep,
        hidden=config.hidden,
        tasks=tasks,
        category=torch.from_numpy(np.array(material.dataset.category)),
        item_prior=torch.from_numpy(popularity_prior(material.trained)) if config.prior else None,
        recency={"model": None, "on": True, "off": False}[config.recency],
        gain=config.gain,
        short_window=config.short_window,
        mass=config.mass,
        likeness=config.likeness,
    )


def popularity_prior(trained: np.ndarray) -> np.ndarray:
    """(I+1,) float32 log training count of each item, centred; zero for items that training has not seen.

    An unseen item is new rather than unpopular: counted as log(1) it would stand behind every other.
    """
    prior = np.log(np.maximum(trained, 1)).astype(np.float32)
    seen = trained > 0
    return np.where(seen, prior - prior[seen].mean(), 0).astype(np.float32)


def build_fusion(channels: Channels, config: ModelConfig) -> Fusion:
    """Fusion of the channels that are enabled."""
    return Fusion(
        enabled=channels.enabled,
        alpha=config.alpha,
        learn_alpha=config.learn_alpha,
        query_absent=config.query_absent,
        item_absent=config.item_absent,
    )


class HidingNegatives:
    """Negatives that ask a share of the targets without their query: the recommendation question.

    Such a target's rivals are items without a query too, so that presence gives nothing away.

    Args:
        inner: draws the rivals.
        share: of targets whose query is hidden, within 0 and 1.
    """

    def __init__(self, inner: TrainingNegatives, share: float):
        self.inner, self.share = inner, share

    def pairs(
        self, rng: np.random.Generator, item: np.ndarray, query: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `TrainingNegatives.pairs`: item and query rows, both (..., 1 + count)."""
        hidden = rng.random(query.shape) < self.share
        return self.inner.pairs(rng, item, np.where(hidden, PAD, query), count)


def training_batches(material: Material, config: BatchConfig, seed: int, labels_per_life: int = 0) -> TrainingBatches:
    """Batches by step number, the same for every model with the same settings and seed.

    Raises:
        EmptyDataError: labelled events are wanted and training holds one kind of label alone.
    """
    negatives = TrainingNegatives(material.dataset, material.split, sampler=config.sampler)
    return TrainingBatches(
        material.dataset.store,
        material.split,
        HidingNegatives(negatives, config.hide_query),  # type: ignore[arg-type]
        batch_size=config.batch_size,
        max_length=min(config.window, config.max_length),
        targets_per_life=config.targets_per_life,
        negatives_per_target=config.negatives,
        last_only=config.last_only,
        labels_per_life=labels_per_life,
        seed=seed,
    )


def validation_questions(material: Material, people: int, seed: int, mode: str = "recommendation") -> Questions:
    """Validation targets of a fixed, seeded subset of people with 99 rivals each (fewer in a small catalogue)."""
    dataset, targets = material.dataset, material.split.validation
    chosen = np.unique(targets.person)
    if len(chosen) > people:
        chosen = np.sort(np.random.default_rng((seed, VALIDATION_SEED)).choice(chosen, people, replace=False))
    return ask(
        dataset,
        material.split,
        part="validation",
        mode=mode,
        seed=VALIDATION_SEED,
        people=chosen,
    )


@contextmanager
def scorer(model: PSU | Ranker, device: str, task: int = NEXT_TASK) -> Iterator[ScoreFunction]:
    """The model as the evaluation sees it: a function from batches to logits (B, P, N) of a task, higher is better."""
    if isinstance(model, Ranker):
        with scoring(model, device, task=task) as score:
            yield score
        return

    def score_pairs(lives: LifeBatch, targets: TargetBatch) -> np.ndarray:
        with torch.inference_mode():
            search = model.search(*to_tensors(lives, targets, device))
            interest = model.esu(search, model.gsu(search), model.values).interest
            return (interest * search.candidates.pair).sum(-1).float().cpu().numpy()

    was_training = model.training
    model.eval()
    yield score_pairs
    model.train(was_training)


def measure(
    model: PSU | Ranker,
    dataset: Dataset,
    questions: Questions,
    *,
    max_length: int,
    device: str,
    progress: Progress = silent,
) -> Measured:
    """Rank the questions' positives by the model."""
    with scorer(model, device) as score:
        return rank_model(score, dataset, questions, max_length=max_length, progress=progress)


def validator(
    model: PSU | Ranker, material: Material, questions: Questions, *, max_length: int, device: str
) -> Callable[[], dict[str, float]]:
    """Metrics on the validation people, as the loop calls them."""

    def validate() -> dict[str, float]:
        measured = measure(model, material.dataset, questions, max_length=max_length, device=device)
        metrics = mean_metrics(measured.ranks)
        return {name: metrics[name] for name in ("MRR", "HIT@10", "NDCG@10", "AUC")}

    return validate


def optimisers(model: nn.Module, config: OptimiserConfig, *, sparse: bool, device: str) -> list[Optimizer]:
    """Fused Adam over what is trained; tables with sparse gradients go to `RowAdam`.

    Raises:
        DeviceError: nothing is trained.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise DeviceError("everything is frozen, there is nothing to train", hint="leave one of the three freezes off")
    tables = [(name, p) for name, p in named if name.rpartition(".")[2].endswith("embedding")]
    table_ids = {id(p) for _, p in tables}
    scattered = [p for name, p in tables if sparse and not name.endswith("attribute_embedding")]
    scattered_ids = {id(p) for p in scattered}
    values = [p for name, p in named if name.startswith(("values.", "short.values."))]
    value_ids = {id(p) for p in values}
    rest = [p for _, p in named if id(p) not in table_ids | value_ids]
    dense = [p for _, p in tables if id(p) not in scattered_ids]
    groups: list[dict[str, Any]] = [
        {"params": params, "lr": rate, "weight_decay": decay}
        for params, rate, decay in (
            (rest, config.learning_rate, config.weight_decay),
            (values, config.value_learning_rate, config.weight_decay),
            (dense, config.embedding_learning_rate, 0.0),
        )
        if params
    ]
    found: list[Optimizer] = [torch.optim.AdamW(groups, fused=True)] if groups else []
    if scattered:
        found.append(RowAdam(scattered, lr=config.embedding_learning_rate))
    return found


def uses_bfloat16(config: OptimiserConfig, device: str) -> bool:
    """Whether products run in bfloat16: asked for, or "auto" on CUDA."""
    return config.precision == "bfloat16" or (config.precision == "auto" and device.startswith("cuda"))
