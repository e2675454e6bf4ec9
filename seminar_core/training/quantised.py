"""SEMINAR with product quantisation: the codec that a `seminar-pq` model selects by, made from its own vectors.

Training, where model and retrieval meet. Two steps, repeated: train codebooks on the model's present channel vectors
and folded training targets, decode the catalogue once, and let the first stage read the decoded vectors while the
weights go on learning. The codec is made anew at every validation and once more for the weights that are kept, so that
what is measured is what was selected. No gradient passes through the codes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..contracts import CHANNELS
from ..errors import NonFiniteError
from ..model.fold import channel_vectors, fold_many
from ..model.gsu import CodedTopScores, TableCodec
from ..model.ranker import Ranker
from ..retrieval.codebooks import train_codebooks
from .assembly import Material

FOLDED_TARGETS = 400
PAIRS = 20_000


def is_quantised(model: nn.Module) -> bool:
    """Whether the model selects by quantised events."""
    return isinstance(getattr(model, "gsu", None), CodedTopScores)


def attach_codec(model: Ranker, material: Material, *, seed: int, spec: str) -> None:
    """Train codebooks on the model's present vectors and let its first stage select by them.

    Raises:
        NonFiniteError: the model's vectors are not finite.
    """
    was_training = model.training
    model.eval()
    vectors = channel_vectors(model)
    rng = np.random.default_rng((seed, 11))
    item, query = training_pairs(material, rng)
    chosen = rng.permutation(len(item))[:FOLDED_TARGETS]
    targets, _ = fold_many(model, item[chosen], np.where(rng.random(len(chosen)) < 0.5, query[chosen], 0))
    if not np.isfinite(targets).all():
        raise NonFiniteError("folded targets hold NaN or infinity", hint="lower learning_rate or embedding_std")
    books = train_codebooks(spec, vectors, targets, pairs=np.stack([item, query], axis=1), seed=seed)
    width = vectors.query.shape[1]
    decoded = books.parts["item"].decode(books.codes["item"]).reshape(-1, len(CHANNELS) - 1, width)  # (I+1, 3, D)
    asked = books.parts["query"].decode(books.codes["query"]) if "query" in books.codes else vectors.query
    decoded[~vectors.item_present.any(axis=1)] = 0
    device = model.values.value.device
    assert isinstance(model.gsu, CodedTopScores)
    model.gsu.codec = TableCodec(
        torch.from_numpy(np.ascontiguousarray(decoded, np.float32)).to(device),
        torch.from_numpy(np.ascontiguousarray(asked, np.float32)).to(device),
    )
    model.train(was_training)


def training_pairs(material: Material, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Item and query rows of at most `PAIRS` training events."""
    store, ends = material.dataset.store, material.split.train_end
    lengths = np.diff(np.asarray(store.offsets))
    position = np.arange(store.n_events) - np.repeat(np.asarray(store.offsets)[:-1], lengths)
    events = np.flatnonzero((position < np.repeat(ends, lengths)) & (np.asarray(store.item) > 0))
    events = np.sort(rng.permutation(events)[:PAIRS])
    return np.asarray(store.item)[events], np.asarray(store.query)[events]
