"""The common ground: a catalogue with topics, four partly aligned channels and a modality gap, and lives drawn from it.

Retrieval's benchmark data. Figures of different days mean the same only on the same ground, so everything is NumPy and
follows from its seeds. An item has a latent vector: its topic's centre plus variation within the topic, both with a
decaying spectrum. Each channel sees the latent vector through a map, half shared and half its own, adds noise of
its own colour, more from channel to channel, an offset of its own (the modality gap), and is scaled to length one. A
person has a few topics with unequal shares, prefers the first items of each topic, and sometimes takes any item at all.

Targets are for half a person's topics and for half anywhere; channel weights are free, Dirichlet(4, 4, 4, 4), or fixed
at (.1, .2, .3, .4). Quantisers train on 20,000 random items, never on a person's life.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seminar_core.contracts import CHANNELS, ChannelVectors, Folded
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.exact import span

FIXED_WEIGHTS = (0.1, 0.2, 0.3, 0.4)
PRIOR = 4.0  # of the Dirichlet distribution that free weights are drawn from
TRAINING_ITEMS = 20_000


def catalogue(
    items: int = 50_000,
    *,
    topics: int = 200,
    width: int = 64,
    channels: int = 4,
    latent: int = 48,
    within: float = 0.7,
    noise: float = 0.35,
    gap: float = 0.6,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a catalogue.

    Returns:
        (items, channels, width) float32 unit vectors, and each item's topic (items,) int64.
    """
    rng = np.random.default_rng(seed)
    decay = np.arange(1, latent + 1) ** -0.5
    centre = rng.standard_normal((topics, latent)) * decay
    liked = 1 / np.arange(1, topics + 1) ** 0.5
    topic = rng.choice(topics, items, p=liked / liked.sum())
    hidden = centre[topic] + within * rng.standard_normal((items, latent)) * decay
    common = rng.standard_normal((latent, width))
    vectors = np.empty((items, channels, width), np.float32)
    for channel in range(channels):
        seen = hidden @ (0.7 * common + 0.7 * rng.standard_normal((latent, width)))
        blur = rng.standard_normal((items, width)) * (np.arange(1, width + 1) ** -0.25)
        blur = blur @ np.linalg.qr(rng.standard_normal((width, width)))[0]
        offset = rng.standard_normal(width)
        mixed = _unit_power(seen) + noise * (1 + 0.5 * channel / 3) * _unit_power(blur)
        mixed = mixed + gap * (offset / np.linalg.norm(offset))
        vectors[:, channel] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return vectors, topic


def _unit_power(rows: np.ndarray) -> np.ndarray:
    """Scale (n, width) so that the mean squared length of a row is one."""
    return rows / np.sqrt((rows**2).sum(1).mean())


def lives(
    topic: np.ndarray, people: int, length: int, *, topics_each: int = 8, seed: int = 1
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw lives: item indices (people, length) int64, and each person's topics."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(topic == t) for t in range(topic.max() + 1)]
    life = np.empty((people, length), np.int64)
    owned = []
    for person in range(people):
        mine = rng.choice(len(members), topics_each, replace=False)
        share = rng.dirichlet(np.ones(topics_each))
        owned.append(mine)
        source = rng.choice(topics_each + 1, length, p=np.r_[0.85 * share, 0.15])
        for place, one in enumerate(mine):
            own = members[one]
            liked = 1 / np.arange(1, len(own) + 1) ** 0.7
            chosen = source == place
            life[person, chosen] = own[rng.choice(len(own), int(chosen.sum()), p=liked / liked.sum())]
        anywhere = source == topics_each
        life[person, anywhere] = rng.integers(0, len(topic), int(anywhere.sum()))
    return life, owned


@dataclass(frozen=True)
class Ground:
    """The catalogue as retrieval sees it: the first channel plays the query, one query per item.

    Fields:
        x: (I, M, D) float32 the drawn vectors.
        topic: (I,) topics.
        vectors: the same with row 0 for absence; item and query rows are index + 1.
        training: (20,000,) indices of items that quantisers may train on.
    """

    x: np.ndarray
    topic: np.ndarray
    vectors: ChannelVectors
    training: np.ndarray

    def events(self, life: np.ndarray) -> EventSet:
        """The events of one life (L,) of item indices."""
        rows = (life + 1).astype(np.int32)
        return EventSet(rows, rows)

    def training_pairs(self) -> np.ndarray:
        """(20,000, 2) item and query rows of the training items."""
        return np.stack([self.training + 1] * 2, 1)

    def training_targets(self, weights: str = "free", *, count: int = 20_000, seed: int = 7) -> np.ndarray:
        """Folded targets (count, 1, M, D) of training items under `free` or `fixed` weights."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(self.training, count)
        return fold(self.x[chosen], draw_weights(weights, count, rng))[:, None]

    def fixed_basis(self) -> np.ndarray:
        """(M * D, D) what pre-multiplied search projects on."""
        targets = self.training_targets("fixed", count=2_000)
        return span(targets.reshape(len(targets), -1), self.x.shape[2])

    def asked(self, owned: list[np.ndarray], each: int, *, seed: int = 5) -> Asked:
        """`each` targets for every person: the first half from the person's topics, the others anywhere."""
        rng = np.random.default_rng(seed)
        members = [np.flatnonzero(self.topic == t) for t in range(self.topic.max() + 1)]
        rows = np.empty((len(owned), each), np.int64)
        for person, mine in enumerate(owned):
            rows[person, : each // 2] = [rng.choice(members[rng.choice(mine)]) for _ in range(each // 2)]
            rows[person, each // 2 :] = rng.integers(0, len(self.topic), each - each // 2)
        return Asked(self.x, rows, draw_weights("free", rows.size, rng).reshape(*rows.shape, -1))


@dataclass(frozen=True)
class Asked:
    """Targets of several people.

    Fields:
        x: (I, M, D) vectors that targets are taken from; another array of the same shape stands for coded targets.
        rows: (U, n) item indices.
        weights: (U, n, M) free weights.
    """

    x: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    def folded(self, person: int, kind: str = "free") -> list[Folded]:
        """One person's folded targets under `free` or `fixed` weights."""
        rows = self.rows[person]
        weights = self.weights[person] if kind == "free" else np.tile(FIXED_WEIGHTS, (len(rows), 1))
        return [Folded(u[None], 1.0) for u in fold(self.x[rows], weights)]


def draw_weights(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Channel weights (count, M): `fixed`, or `free` from the prior."""
    if kind == "fixed":
        return np.tile(np.array(FIXED_WEIGHTS), (count, 1))
    return rng.dirichlet([PRIOR] * len(CHANNELS), count)


def fold(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fold items (n, M, D) with weights (n, M) on both sides for the plain similarity: (n, M, D) float32."""
    fused = np.einsum("nm,nmd->nd", weights, x)
    return (weights[:, :, None] * fused[:, None]).astype(np.float32)


def ground(items: int = 50_000, *, topics: int = 200, width: int = 64, seed: int = 0) -> Ground:
    """Draw the catalogue and lay it out for retrieval."""
    x, topic = catalogue(items, topics=topics, width=width, seed=seed)
    return layout(x, topic, seed=seed)


def layout(x: np.ndarray, topic: np.ndarray, *, seed: int = 0) -> Ground:
    """Lay out vectors (I, M, D) for retrieval."""
    padded = np.concatenate([np.zeros((1, *x.shape[1:]), np.float32), x])  # (I + 1, M, D)
    there = np.arange(len(padded)) > 0
    vectors = ChannelVectors(
        np.ascontiguousarray(padded[:, 1:]),
        np.repeat(there[:, None], len(CHANNELS) - 1, 1),
        np.ascontiguousarray(padded[:, 0]),
        there,
    )
    count = min(TRAINING_ITEMS, len(x))
    training = np.random.default_rng((seed, 5)).choice(len(x), count, replace=False)
    return Ground(x, topic, vectors, training)
