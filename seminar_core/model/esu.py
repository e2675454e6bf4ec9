"""Second stages (ESU): what the kept events say about a target.

Model layer, sixth step. Every class has the same call, `(Search, Selected, HeadValues) -> Attended`. Sources: SEMINAR
arXiv 2407.10714 and TWIN arXiv 2302.02352 (target attention with the first stage's own W^Q, W^K), average pooling
(YouTubeDNN), SDIM arXiv 2205.10249 (hash buckets), MUSE arXiv 2512.07216 (similarity histogram and semantic-aware
attention). A life without a visible event gives the zero vector everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import HeadValues, aggregate, kept_softmax
from .gsu import Selected, semantic_cosine
from .search import Search


@dataclass(frozen=True)
class Attended:
    """What the second stage hands to the ranker.

    Fields:
        interest: (B, P, N, D).
        weights: broadcastable to (B, P, N, H, L), or None where the stage has no weight per event.
        features: (B, P, N, F) further inputs of the ranker, or None.
        mass: (B, P, N, H) log of the sum of exp(score) over the kept events, or None where the stage has no scores.
    """

    interest: Tensor
    weights: Tensor | None
    features: Tensor | None = None
    mass: Tensor | None = None


class TargetAttention(nn.Module):
    """Multi-head target attention over the kept events, by the score row that the first stage used."""

    n_features = 0
    has_mass = True

    def forward(self, search: Search, selected: Selected, values: HeadValues) -> Attended:
        scores = search.scores if selected.scores is None else selected.scores
        assert scores is not None
        events = search.events.pair if selected.pair is None else selected.pair
        weights, mass = kept_softmax(scores, selected.mask(scores))
        return Attended(values(aggregate(weights, events)), weights, mass=mass)


class MeanPooling(nn.Module):
    """The plain mean of the kept events (YouTubeDNN); no target takes part."""

    n_features = 0
    has_mass = False

    def forward(self, search: Search, selected: Selected, values: HeadValues) -> Attended:
        kept = selected.kept[:, :, :, 0, :].float()  # (B, P, 1, L)
        weights = kept / kept.sum(-1, keepdim=True).clamp(min=1)
        b, p, _, length = weights.shape
        n = search.targets.item.shape[2]
        mean = torch.bmm(weights.view(b, p, length).to(search.events.pair.dtype), search.events.pair)  # (B, P, D)
        heads = mean.unsqueeze(2).expand(-1, -1, values.heads, -1)  # (B, P, H, D)
        interest = values(heads).unsqueeze(2).expand(-1, -1, n, -1)
        return Attended(interest, weights.unsqueeze(3))


class BucketPooling(nn.Module):
    """Sums of the events that fall into the target's hash bucket, normalised and averaged over groups of bits (SDIM).

    Args:
        width: D.
        groups: independent signatures.
        bits: bits of one signature; 2**bits buckets a group.
    """

    n_features = 0
    has_mass = False

    directions: Tensor

    def __init__(self, *, width: int, groups: int = 16, bits: int = 3):
        super().__init__()
        self.groups, self.bits = groups, bits
        self.register_buffer("directions", torch.randn(width, groups * bits))

    def signatures(self, vectors: Tensor) -> Tensor:
        """(..., D) -> (..., groups) bucket numbers over all groups, 0 .. groups * 2**bits - 1."""
        signs = (vectors.detach() @ self.directions >= 0).view(*vectors.shape[:-1], self.groups, self.bits)
        powers = 2 ** torch.arange(self.bits, device=vectors.device)
        first = torch.arange(self.groups, device=vectors.device) * 2**self.bits
        return (signs * powers).sum(-1) + first

    def forward(self, search: Search, selected: Selected, values: HeadValues) -> Attended:
        events, targets = search.events.pair, search.candidates.pair
        b, p, n, d = targets.shape
        length, buckets = events.shape[1], self.groups * 2**self.bits
        member = torch.zeros(b, length, buckets, device=events.device, dtype=events.dtype)
        member.scatter_(2, self.signatures(events), 1.0)  # (B, L, buckets), `groups` ones a row
        member = search.allowed.unsqueeze(-1) * member.unsqueeze(1)  # (B, P, L, buckets)
        sums = torch.matmul(member.transpose(2, 3), events.unsqueeze(1))  # (B, P, buckets, D)
        sums = F.normalize(sums, dim=-1, eps=1e-6)
        hits = self.signatures(targets).view(b, p, n * self.groups, 1).expand(-1, -1, -1, d)
        found = torch.gather(sums, 2, hits).view(b, p, n, self.groups, d)
        pooled = found.mean(3)  # (B, P, N, D)
        return Attended(values(pooled.unsqueeze(3).expand(-1, -1, -1, values.heads, -1)), None)


class SemanticAttention(nn.Module):
    """Target attention mixed with the frozen cosine, and a histogram of the kept cosines (MUSE, stage two).

    The logit is c_0 score + c_1 cosine + c_2 score * cosine with learned c. The histogram (SimTier) counts kept
    events by cosine and goes to the ranker as log counts.

    Args:
        bins: tiers of the histogram over [-1, 1].
    """

    has_mass = True

    def __init__(self, *, bins: int = 20):
        super().__init__()
        self.n_features = bins
        self.mix = nn.Parameter(torch.tensor([1.0, 1.0, 0.0]))

    def histogram(self, cosine: Tensor, kept: Tensor) -> Tensor:
        """Counts by tier: cosine (B, P, N, L), kept (B, P, N, L) -> (B, P, N, bins)."""
        tier = ((cosine + 1) * (self.n_features / 2)).long().clamp_(0, self.n_features - 1)
        counts = torch.zeros(*cosine.shape[:-1], self.n_features, device=cosine.device)
        return counts.scatter_add_(-1, tier, kept.float())

    def forward(self, search: Search, selected: Selected, values: HeadValues) -> Attended:
        assert search.scores is not None
        cosine = semantic_cosine(search) if selected.cosine is None else selected.cosine
        kept = selected.kept[:, :, :, 0, :].expand_as(cosine)
        near = cosine.unsqueeze(3)
        logits = search.scores * (self.mix[0] + self.mix[2] * near) + self.mix[1] * near
        weights, mass = kept_softmax(logits, logits.detach() + selected.masked)
        interest = values(aggregate(weights, search.events.pair))
        return Attended(interest, weights, torch.log1p(self.histogram(cosine, kept)), mass)
