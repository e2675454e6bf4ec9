"""SEMINAR with product quantisation: the codec that a `seminar-pq` model selects by, made from its own vectors.

Training, where model and retrieval meet. Two ways. "two-step", repeated: train codebooks on the model's present channel
vectors and folded training targets, decode the catalogue once, and let the first stage read the decoded vectors while
the weights go on learning; no gradient passes through the codes. "end-to-end": the centroids are the model's parameters
and learn by gradient for given codes, straight through to the vectors. Either way codes are made anew at every
validation and kept with the weights, so that what is measured, saved and resumed is what was selected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ..contracts import CHANNELS, ChannelVectors
from ..errors import ConfigError, NonFiniteError
from ..model.codec import CodedTable, TableCodec, TrainedCodec
from ..model.fold import channel_vectors, fold_many
from ..model.gsu import CodedTopScores
from ..model.ranker import Ranker
from ..retrieval.codebooks import Codebooks, train_codebooks
from ..retrieval.spec import parse
from ..retrieval.transform import Transform
from .assembly import Material
from .recipe import FinetuneConfig

FOLDED_TARGETS = 400
PAIRS = 20_000


def is_quantised(model: nn.Module) -> bool:
    """Whether the model selects by quantised events."""
    return isinstance(getattr(model, "gsu", None), CodedTopScores)


def attach_codec(model: Ranker, material: Material, config: FinetuneConfig) -> Callable[[], None]:
    """Give a model that selects by codes a codec that is saved and loaded with its weights; others stay as they are.

    Returns:
        what brings the codec up to the model's present weights, to be called before each validation.

    Raises:
        ConfigError: codebooks that cannot be trained by gradient.
    """
    if not is_quantised(model):
        return lambda: None
    if config.quantiser.codebooks == "end-to-end":
        return TrainedCodes(model, material, config).refresh
    width, channels = model.channels.width, model.channels
    items = torch.zeros(channels.n_items + 1, len(CHANNELS) - 1, width)
    assert isinstance(model.gsu, CodedTopScores)
    model.gsu.codec = TableCodec(items, torch.zeros(channels.n_queries + 1, width)).to(model.values.value.device)
    return lambda: decode_catalogue(model, material, config)


def decode_catalogue(model: Ranker, material: Material, config: FinetuneConfig) -> None:
    """Train codebooks on the model's present vectors and let its first stage select by what they give back.

    Raises:
        NonFiniteError: the model's vectors are not finite.
    """
    books, vectors = own_codebooks(model, material, seed=config.seed, spec=config.quantiser.spec)
    item = books.parts["item"].decode(books.codes["item"]).reshape(vectors.item.shape)  # (I+1, 3, D)
    item[~vectors.item_present.any(axis=1)] = 0
    query = books.parts["query"].decode(books.codes["query"]) if "query" in books.codes else vectors.query
    assert isinstance(model.gsu, CodedTopScores) and isinstance(model.gsu.codec, TableCodec)
    model.gsu.codec.item.copy_(torch.from_numpy(item))
    model.gsu.codec.query.copy_(torch.from_numpy(query))


def own_codebooks(model: Ranker, material: Material, *, seed: int, spec: str) -> tuple[Codebooks, ChannelVectors]:
    """Codebooks trained on the model's present vectors for folded training targets, and those vectors.

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
    model.train(was_training)
    if not np.isfinite(targets).all():
        raise NonFiniteError("folded targets hold NaN or infinity", hint="lower learning_rate or embedding_std")
    return train_codebooks(spec, vectors, targets, pairs=np.stack([item, query], axis=1), seed=seed), vectors


class TrainedCodes:
    """Centroids that learn with a model: begun as two-step codebooks, given new codes by `refresh`.

    Raises:
        ConfigError: a specification whose codes are not residual.
    """

    def __init__(self, model: Ranker, material: Material, config: FinetuneConfig):
        spec = parse(config.quantiser.spec)
        if spec.kind != "RQ" or spec.fused:
            raise ConfigError(
                f"codebooks = 'end-to-end' trains residual codes for free weights, not {config.quantiser.spec!r}",
                hint="set spec to residual codes, for example QC64,RQ32x4fs, or codebooks to two-step",
            )
        books, vectors = own_codebooks(model, material, seed=config.seed, spec=config.quantiser.spec)
        self.model = model
        self.parts = {name: part for name, part in books.parts.items() if name in ("item", "query")}
        width = vectors.query.shape[1]
        present = {"item": vectors.item_present.any(axis=1), "query": vectors.query_present}
        tables = {
            name: CodedTable(
                torch.from_numpy(books.codes[name].astype(np.int64)),
                torch.from_numpy(part.coder.centroids),  # type: ignore[union-attr]
                torch.from_numpy(np.ascontiguousarray(part.transform.search.T)),
                torch.from_numpy(part.transform.mean),
                torch.from_numpy(present[name]),
                torch.from_numpy(part.transform.encode),
            )
            for name, part in self.parts.items()
        }
        self.codec = TrainedCodec(tables["item"], tables.get("query"), width).to(model.values.value.device)
        assert isinstance(model.gsu, CodedTopScores)
        model.gsu.codec, model.gsu.straight_through = self.codec, True

    @torch.no_grad()
    def refresh(self) -> None:
        """Find the best codes of the present vectors among the present centroids, in the space saved with them.

        A resumed run may have made other transforms at its start: another machine turns eigenvectors another way.
        """
        was_training = self.model.training
        self.model.eval()
        vectors = channel_vectors(self.model)
        self.model.train(was_training)
        rows = {"item": vectors.item.reshape(len(vectors.item), -1), "query": vectors.query}
        for name, part in self.parts.items():
            table = getattr(self.codec, name)
            centroids, mean, encode, restore = (
                tensor.detach().cpu().numpy() for tensor in (table.centroids, table.mean, table.encode, table.restore)
            )
            coder, transform = replace(part.coder, centroids=centroids), Transform(mean, encode, restore.T)
            codes = replace(part, coder=coder, transform=transform).encode(rows[name])
            table.codes.copy_(torch.from_numpy(codes.astype(np.int64)))


def training_pairs(material: Material, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Item and query rows of at most `PAIRS` training events."""
    store, ends = material.dataset.store, material.split.train_end
    lengths = np.diff(np.asarray(store.offsets))
    position = np.arange(store.n_events) - np.repeat(np.asarray(store.offsets)[:-1], lengths)
    events = np.flatnonzero((position < np.repeat(ends, lengths)) & (np.asarray(store.item) > 0))
    events = np.sort(rng.permutation(events)[:PAIRS])
    return np.asarray(store.item)[events], np.asarray(store.query)[events]
