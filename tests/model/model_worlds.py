"""Small worlds for the model's tests: channels with gaps, batches with gaps, every model on them."""

from __future__ import annotations

import numpy as np
import torch

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.model.baselines import build_model
from seminar_core.model.channels import Channels
from seminar_core.model.codec import TableCodec
from seminar_core.model.fusion import Fusion
from seminar_core.model.psu import PSU
from seminar_core.model.ranker import Ranker

ITEMS, QUERIES, WIDTH, HEADS, KEEP = 40, 15, 16, 4, 4
VALUES, TOKENS = 12, 30
NOW_S = 1_700_000_000


def channel_arrays(seed: int = 0) -> dict:
    """A catalogue in which some items lack attributes, text or image, and item 5 everything but its id."""
    rng = np.random.default_rng(seed)
    attributes = rng.integers(0, VALUES + 1, (ITEMS + 1, 3))
    tokens = rng.integers(0, TOKENS + 1, (QUERIES + 1, 4))
    tokens[:, 0] = rng.integers(1, TOKENS + 1, QUERIES + 1)
    text, image = rng.normal(size=(ITEMS + 1, 12)), rng.normal(size=(ITEMS + 1, 9))
    queries = rng.normal(size=(QUERIES + 1, 12))
    text_there, image_there = rng.random(ITEMS + 1) < 0.8, rng.random(ITEMS + 1) < 0.7
    text_there[5] = image_there[5] = False
    for table in (attributes, tokens, text, image, queries):
        table[0] = 0
    attributes[5] = 0
    text[~text_there] = 0
    image[~image_there] = 0
    text_there[0] = image_there[0] = False

    def vectors(table: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(table.astype(np.float32) / 3)

    return {
        "width": WIDTH,
        "n_items": ITEMS,
        "attributes": torch.from_numpy(attributes),
        "n_attribute_values": VALUES,
        "query_tokens": torch.from_numpy(tokens),
        "n_query_tokens": TOKENS,
        "text_items": vectors(text),
        "text_present": torch.from_numpy(text_there),
        "text_queries": vectors(queries),
        "image_items": vectors(image),
        "image_present": torch.from_numpy(image_there),
        "embedding_std": 0.4,
    }


def make_channels(seed: int = 0, **changes) -> Channels:
    torch.manual_seed(seed)
    return Channels(**{**channel_arrays(), **changes})


def make_batch(
    seed: int = 0,
    lengths: tuple[int, ...] = (12, 0, 7, 3, 12),
    positions: int = 3,
    candidates: int = 5,
    width: int = 12,
    query_share: float = 0.5,
) -> tuple[LifeBatch, TargetBatch]:
    """Lives of the given lengths; each later target sees more of its life, the last sees all of it."""
    rng = np.random.default_rng(seed)
    people = len(lengths)
    length = np.array(lengths)
    valid = np.arange(width) < length[:, None]
    item = np.where(valid, rng.integers(1, ITEMS + 1, (people, width)), 0)
    query = np.where(valid & (rng.random((people, width)) < query_share), rng.integers(1, QUERIES + 1, valid.shape), 0)
    time_s = np.where(valid, NOW_S - 86_400 * (width - np.arange(width)) * 3, 0)
    visible = (length[:, None] * (1 + np.arange(positions)) // positions).astype(np.int32)
    shape = (people, positions, candidates)
    asked = rng.random((people, positions, 1)) < query_share
    wanted = np.where(asked, rng.integers(1, QUERIES + 1, shape), 0)
    ends = np.where(visible > 0, np.take_along_axis(time_s, np.maximum(visible - 1, 0), 1), NOW_S) + 3600
    return (
        LifeBatch(item.astype(np.int32), query.astype(np.int32), time_s.astype(np.int64), valid),
        TargetBatch(
            rng.integers(1, ITEMS + 1, shape).astype(np.int32),
            wanted.astype(np.int32),
            ends.astype(np.int64),
            visible,
            np.ones((people, positions), bool),
            rng.integers(-1, 2, (people, positions)).astype(np.int8),
        ),
    )


def categories() -> torch.Tensor:
    """Category rows 1..4 of the items, item 7 without one."""
    rows = torch.arange(ITEMS + 1) % 4 + 1
    rows[0] = rows[7] = 0
    return rows


def make_model(name: str, seed: int = 0, channels: Channels | None = None, **changes) -> Ranker:
    """A model whose weights are shaken so that no symmetry of the start hides a mistake."""
    channels = make_channels(seed) if channels is None else channels
    torch.manual_seed(seed + 1)
    model = build_model(name, channels=channels, **{"heads": HEADS, "keep": KEEP, "category": categories(), **changes})
    shake(model, seed)
    if name == "seminar-pq":
        attach_codec(model, seed)
    return model


def attach_codec(model: Ranker, seed: int = 0) -> None:
    """Approximate vectors: the exact ones, rounded."""
    vectors = model.channel_vectors()
    item = torch.from_numpy(np.round(vectors.item * 2) / 2)
    query = torch.from_numpy(np.round(vectors.query * 2) / 2)
    model.gsu.codec = TableCodec(item, query)


def make_psu(seed: int = 0, channels: Channels | None = None, **changes) -> PSU:
    channels = make_channels(seed) if channels is None else channels
    torch.manual_seed(seed + 1)
    fusion = changes.pop("fusion", None) or Fusion(enabled=channels.enabled)
    psu = PSU(channels=channels, fusion=fusion, **{"heads": HEADS, "keep": KEEP, **changes})
    shake(psu, seed)
    return psu


@torch.no_grad()
def shake(model: torch.nn.Module, seed: int = 0, size: float = 0.3) -> None:
    """Add noise to every trained tensor except row 0 of the tables."""
    generator = torch.Generator().manual_seed(seed + 99)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator) * size
        if name.endswith("embedding"):
            noise[0] = 0
        parameter.add_(noise)
