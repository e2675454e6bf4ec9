"""Small worlds with a planted answer, and the same without one."""

from __future__ import annotations

import numpy as np
import torch

from seminar_core.contracts import LifeBatch, TargetBatch
from seminar_core.model.baselines import build_model
from seminar_core.model.channels import Channels
from seminar_core.model.codec import TableCodec
from seminar_core.model.losses import ranking_loss
from seminar_core.model.ranker import Ranker
from seminar_core.model.scoring import scoring
from seminar_core.model.tensors import to_tensors

KINDS, PER_KIND, LATENT = 12, 20, 8
ITEMS = KINDS * PER_KIND
INTERESTS = np.arange(KINDS // 2)  # kinds that people look for; the others fill the days between
OLD, RECENT = 15, 1_000
NOW_S = 1_700_000_000


def kind_of(item: np.ndarray) -> np.ndarray:
    """Kind 0..KINDS-1 of item rows 1..ITEMS."""
    return (item - 1) // PER_KIND


def planted_channels(seed: int = 0, width: int = 16, queries: bool = False) -> Channels:
    """Items of twelve kinds; text and image are different rotations of what the item is, so the modalities lie apart.

    With `queries`, query row k + 1 is the word for kind k.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(KINDS, LATENT)) * 2
    latent = centres[kind_of(np.arange(1, ITEMS + 1))] + rng.normal(size=(ITEMS, LATENT))
    tables = []
    for _ in range(2):
        turn = np.linalg.qr(rng.normal(size=(24, 24)))[0][:LATENT]
        table = np.zeros((ITEMS + 1, 24), np.float32)
        table[1:] = latent @ turn + 0.2 * rng.normal(size=(ITEMS, 24))
        table[1:] /= np.linalg.norm(table[1:], axis=1, keepdims=True)
        tables.append(torch.from_numpy(table))
    torch.manual_seed(seed)
    return Channels(
        width=width,
        n_items=ITEMS,
        attributes=None,
        n_attribute_values=0,
        query_tokens=torch.arange(KINDS + 1).unsqueeze(1) if queries else None,
        n_query_tokens=KINDS if queries else 0,
        text_items=tables[0],
        image_items=tables[1],
        embedding_std=0.1,
    )


def draw(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """One item row of each given kind."""
    return 1 + kind * PER_KIND + rng.integers(0, PER_KIND, kind.shape)


def old_interest_batch(
    seed: int, people: int = 16, candidates: int = 6, planted: bool = True
) -> tuple[LifeBatch, TargetBatch]:
    """Fifteen events of one interest, then 1,000 events of other things; the target is of that interest.

    The other candidates are of the other interests, one each. Without the plant the old events are of an interest of
    their own, independent of the target's.
    """
    rng = np.random.default_rng((seed, planted))
    interest = rng.integers(0, len(INTERESTS), people)
    had = interest if planted else rng.integers(0, len(INTERESTS), people)
    old = draw(rng, np.repeat(had[:, None], OLD, 1))
    recent = draw(rng, rng.integers(len(INTERESTS), KINDS, (people, RECENT)))
    item = np.concatenate([old, recent], 1).astype(np.int32)
    length = item.shape[1]
    order = (interest[:, None] + np.arange(len(INTERESTS))) % len(INTERESTS)  # the own interest first
    wanted = draw(rng, order[:, :candidates])[:, None].astype(np.int32)  # (B, 1, N)
    one = np.ones((people, 1), bool)
    time_s = np.broadcast_to(NOW_S - 3600 * np.arange(length, 0, -1), item.shape)
    life = LifeBatch(item, np.zeros_like(item), time_s.astype(np.int64), np.ones(item.shape, bool))
    return life, TargetBatch(
        wanted,
        np.zeros_like(wanted),
        np.full((people, 1), NOW_S),
        np.full((people, 1), length, np.int32),
        one,
        one.astype(np.int8),
    )


def make_ranker(name: str, seed: int = 0, keep: int = 20) -> Ranker:
    """A new model on the planted catalogue, exact codes for seminar-pq."""
    channels = planted_channels(seed)
    category = torch.cat([torch.zeros(1, dtype=torch.long), torch.arange(ITEMS) // PER_KIND + 1])
    torch.manual_seed(seed + 1)
    model = build_model(name, channels=channels, heads=2, keep=keep, hidden=32, category=category)
    refresh_codes(model)
    return model


def refresh_codes(model: Ranker) -> None:
    """Coarse codes of the present vectors, where the model selects by codes."""
    if hasattr(model.gsu, "codec"):
        vectors = model.channel_vectors()
        rounded = (torch.from_numpy(np.round(part * 8) / 8) for part in (vectors.item, vectors.query))
        model.gsu.codec = TableCodec(*rounded)


def train(model: Ranker, steps: int, planted: bool = True, lr: float = 0.01) -> None:
    """A few steps on old interests."""
    optimiser = torch.optim.Adam(model.train().parameters(), lr=lr)
    for step in range(steps):
        if step % 10 == 0:
            refresh_codes(model)
        life, targets = to_tensors(*old_interest_batch(step, planted=planted))
        output = model(life, targets)
        loss = ranking_loss("softmax", output.logits, targets.valid) + sum(output.auxiliary.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    refresh_codes(model)


def share_of_first(model: Ranker, planted: bool = True, batches: int = 6) -> float:
    """How often the positive is ranked first among six; chance is 1/6."""
    hits = []
    with scoring(model) as score:
        for seed in range(10_000, 10_000 + batches):
            logits = score(*old_interest_batch(seed, planted=planted))[:, 0]
            hits.append(logits.argmax(1) == 0)
    return float(np.mean(hits))
