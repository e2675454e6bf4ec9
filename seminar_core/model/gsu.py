"""First stages (GSU): which events of a life each target keeps.

Model layer, fifth step. Every class has the same call, `Search -> Selected`, so that a rival is another choice of
this one block. Sources: SEMINAR arXiv 2407.10714 and TWIN arXiv 2302.02352 (scores shared with the second stage), DIN
arXiv 1706.06978, SIM arXiv 2006.05639 (same category; own projections with an auxiliary loss), ETA arXiv 2108.04468
(SimHash), QIN (stage one by query), MUSE arXiv 2512.07216 (cosine of frozen multi-modal vectors).
Departure for all: exactly K kept, ties to the newer event, padding out before the top-K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ConfigError, NotReadyError
from .attention import bias_of, hide, keep_best, kept_softmax
from .codec import Codec
from .lookup import frozen_products
from .search import Search


@dataclass(frozen=True)
class Selected:
    """What the first stage hands to the second.

    Fields:
        masked: broadcastable to (B, P, N, H, L), minus infinity where not kept. Score rows up to a constant each where
            `is_scores`, else 0 where kept: a bias on the second stage's own scores.
        is_scores: what `masked` holds.
        scores: (B, P, N, H, L), replaces the search's own where the first stage changed the events.
        pair: (B, L, D), likewise.
        auxiliary_logits: (B, P, N) of a first stage that has a loss of its own.
        cosine: (B, P, N, L) of frozen vectors, where the first stage computed it.
    """

    masked: Tensor
    is_scores: bool = False
    scores: Tensor | None = None
    pair: Tensor | None = None
    auxiliary_logits: Tensor | None = None
    cosine: Tensor | None = None

    @property
    def kept(self) -> Tensor:
        """Bool, broadcastable to (B, P, N, H, L)."""
        return self.masked > -math.inf

    def mask(self, scores: Tensor) -> Tensor:
        """(B, P, N, H, L) `scores`, not differentiated, minus infinity where not kept."""
        return self.masked if self.is_scores else scores.detach() + self.masked


def shared(best: Tensor) -> Tensor:
    """One choice for all heads: (B, P, N, L) rows of `keep_best` -> (B, P, N, 1, L) of 0 and minus infinity."""
    return bias_of(best > -math.inf).unsqueeze(3)


class TopScores(nn.Module):
    """Per head the K best events of the target attention itself (SEMINAR, TWIN)."""

    def __init__(self, *, keep: int):
        super().__init__()
        self.keep = keep

    def forward(self, search: Search) -> Selected:
        assert search.scores is not None
        return Selected(keep_best(search.scores, search.allowed[:, :, None, None, :], self.keep), is_scores=True)


class CodedTopScores(nn.Module):
    """SEMINAR with product quantisation: the K best by approximate event vectors; the target is never quantised.

    Args:
        keep: K.
        straight_through: while training, let the second stage read the approximate vectors too; gradients pass to the
            exact vectors, G and the fusion as if nothing had been quantised, and to the codec where it can be trained.
    """

    codec: Codec | None

    def __init__(self, *, keep: int, straight_through: bool = False):
        super().__init__()
        self.keep, self.straight_through = keep, straight_through
        self.codec = None

    def forward(self, search: Search) -> Selected:
        assert search.score is not None
        if self.codec is None:
            raise NotReadyError(
                "seminar-pq has no codebooks attached",
                hint="train codebooks on the run's channel vectors and attach them",
            )
        item, query = search.life.item, search.life.query
        flat_item, flat_query = item.reshape(-1), query.reshape(-1)
        vectors = self.codec.reconstruct(flat_item, flat_query)
        near = search.encoder.approximate(*vectors, flat_query).view(*item.shape, -1)  # (B, L, D)
        pair = None
        if self.straight_through and self.training:
            items, queries = (vector.detach() for vector in vectors)
            fixed = search.encoder.approximate(items, queries, flat_query).view(*item.shape, -1)  # (B, L, D)
            exact = search.events.pair
            # two zeros: the codec's gradient alone (that of G and the fusion cancels), and the exact vectors' gradient
            pair = near.detach() + (near - fixed) + (exact - exact.detach())
        scores = search.score(search.candidates.pair, near.detach() if pair is None else pair, search.age)
        best = keep_best(scores, search.allowed[:, :, None, None, :], self.keep)
        if pair is None:
            return Selected(bias_of(best > -math.inf))
        return Selected(best, is_scores=True, scores=scores, pair=pair)


class Newest(nn.Module):
    """The newest K events, whatever the target (DIN)."""

    def __init__(self, *, keep: int):
        super().__init__()
        self.keep = keep

    def forward(self, search: Search) -> Selected:
        return Selected(bias_of(newest(search.allowed, self.keep))[:, :, None, None, :])


class Everything(nn.Module):
    """Every visible event (average pooling, hash-bucket pooling)."""

    def forward(self, search: Search) -> Selected:
        return Selected(bias_of(search.allowed)[:, :, None, None, :])


class SameCategory(nn.Module):
    """The newest K events whose item has the target's category (SIM, hard search).

    Args:
        keep: K.
        category: (I+1,) category row of each item, 0 = none; a target without a category keeps nothing.
    """

    category: Tensor

    def __init__(self, *, keep: int, category: Tensor):
        super().__init__()
        self.keep = keep
        self.register_buffer("category", torch.as_tensor(category).long().clone(), persistent=False)

    def forward(self, search: Search) -> Selected:
        wanted = self.category[search.targets.item].unsqueeze(-1)  # (B, P, N, 1)
        had = self.category[search.life.item][:, None, None, :]  # (B, 1, 1, L)
        same = (wanted == had) & (wanted != 0) & search.allowed.unsqueeze(2)
        return Selected(bias_of(newest(same, self.keep)).unsqueeze(3))


class OwnProjections(nn.Module):
    """The K best by projections of the first stage's own, trained by an auxiliary loss (SIM, soft search).

    Departure: the auxiliary interest is a softmax average, not a raw sum, so that its scale does not grow with the
    life.
    """

    def __init__(self, *, keep: int, width: int):
        super().__init__()
        self.keep = keep
        self.target = nn.Linear(width, width, bias=False)
        self.event = nn.Linear(width, width, bias=False)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, search: Search) -> Selected:
        events, targets = search.events.pair, search.candidates.pair
        b, p, n, d = targets.shape
        wanted = self.event.weight.t() @ self.target.weight  # (D, D), folded into the target
        folded = (targets.reshape(-1, d) @ wanted.t()).view(b, p * n, d)
        scores = (torch.bmm(folded, events.transpose(1, 2)).float() / math.sqrt(d)).view(b, p, n, -1)
        allowed = search.allowed.unsqueeze(2)
        kept = shared(keep_best(scores, allowed, self.keep))
        if not self.training:
            return Selected(kept)
        weights, _ = kept_softmax(scores, hide(scores, allowed))
        pooled = torch.bmm(weights.view(b, p * n, -1).to(events.dtype), events).view(b, p, n, d)
        return Selected(kept, auxiliary_logits=self.head(torch.cat([pooled, targets], -1))[..., 0])


class NearestHash(nn.Module):
    """The K smallest Hamming distances of SimHash codes from frozen random directions (ETA).

    Args:
        keep: K.
        width: D.
        bits: length of a code.
    """

    directions: Tensor

    def __init__(self, *, keep: int, width: int, bits: int = 64):
        super().__init__()
        self.keep, self.bits = keep, bits
        self.register_buffer("directions", torch.randn(width, bits))

    def codes(self, vectors: Tensor) -> Tensor:
        """(..., D) -> (..., bits) of -1 and 1."""
        return torch.where(vectors.detach() @ self.directions >= 0, 1.0, -1.0)

    def forward(self, search: Search) -> Selected:
        events, targets = self.codes(search.events.pair), self.codes(search.candidates.pair)
        b, p, n, _ = targets.shape
        agree = torch.bmm(
            targets.view(b, p * n, -1), events.transpose(1, 2)
        ).float()  # (B, P * N, L), bits - 2 distance
        length = agree.shape[-1]
        newer = torch.arange(length, device=agree.device) / length  # below one step of distance: decides ties cheaply
        scores = (agree + newer).view(b, p, n, length)
        return Selected(shared(keep_best(scores, search.allowed.unsqueeze(2), self.keep)))


class NearestToQuery(nn.Module):
    """The K events nearest to the target's query; a target without a query searches with its item (QIN, stage one)."""

    def __init__(self, *, keep: int):
        super().__init__()
        self.keep = keep

    def forward(self, search: Search) -> Selected:
        candidates = search.candidates
        wanted = torch.where(candidates.has_query.unsqueeze(-1), candidates.query, candidates.item).detach()
        b, p, n, d = wanted.shape
        scores = torch.bmm(wanted.reshape(b, p * n, d), search.events.pair.detach().transpose(1, 2)).float()
        scores = scores.view(b, p, n, -1)
        return Selected(shared(keep_best(scores, search.allowed.unsqueeze(2), self.keep)))


class NearestMeaning(nn.Module):
    """The K highest cosines of frozen text and image vectors (MUSE, stage one)."""

    def __init__(self, *, keep: int):
        super().__init__()
        self.keep = keep

    def forward(self, search: Search) -> Selected:
        cosine = semantic_cosine(search)
        return Selected(shared(keep_best(cosine, search.allowed.unsqueeze(2), self.keep)), cosine=cosine)


def newest(allowed: Tensor, keep: int) -> Tensor:
    """The last `keep` allowed places of each row: (..., L) bool -> (..., L) bool."""
    if allowed.shape[-1] <= keep:
        return allowed
    after = allowed.flip(-1).cumsum(-1, dtype=torch.int32).flip(-1)
    return allowed & (after <= keep)


@torch.no_grad()
def semantic_cosine(search: Search) -> Tensor:
    """Cosine of frozen multi-modal vectors of every candidate and event: (B, P, N, L) float32.

    An item's vector is its unit text vector beside its unit image vector, scaled to length one; zero where it has
    neither.
    """
    channels = search.encoder.channels
    names = [name for channel, name in (("T", "text"), ("I", "image")) if channel in channels.enabled]
    if not names:
        raise ConfigError(
            "muse needs frozen text or image vectors and the model has neither", hint="encode items first"
        )
    b, p, n = search.targets.item.shape
    candidates, events = search.targets.item.view(b, p * n), search.life.item
    total, mine, theirs = (torch.zeros((), device=events.device) for _ in range(3))
    for name in names:
        table, inverse = getattr(channels, f"{name}_items"), getattr(channels, f"{name}_inverse_length")
        here, there = inverse[candidates].unsqueeze(2), inverse[events].unsqueeze(1)  # (B, P * N, 1), (B, 1, L)
        total = total + frozen_products(table, candidates, events) * here * there
        mine, theirs = mine + (here > 0).float(), theirs + (there > 0).float()
    shared_length = (mine.clamp(min=1) * theirs.clamp(min=1)).sqrt()
    return (total / shared_length).view(b, p, n, -1)
