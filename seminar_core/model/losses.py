"""The losses of pretraining and ranking, each a function of scores and masks alone.

Model layer. Source: SEMINAR (arXiv 2407.10714), section 3.2. Departures: alignment is InfoNCE with hard targets over
distinct items (the released soft target un-aligns the modalities); relevance raises the positive over the negatives
(the released sign lowers it); what is absent is left out of every loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UnknownNameError

RANKING_LOSSES = ("softmax", "bce")


def heldout_items(n_items: int, seed: int, share: float = 0.1) -> np.ndarray:
    """Items that never enter the alignment loss, so that alignment is also measured on items it was not trained on.

    Returns:
        (I+1,) bool, `share` of the items (at least one where there are ten), row 0 false.
    """
    rng = np.random.default_rng([seed, n_items])
    held = np.zeros(n_items + 1, dtype=bool)
    held[1 + rng.permutation(n_items)[: round(share * n_items)]] = True
    return held


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` where `valid`; zero (with zero gradient) where nothing is valid."""
    return (values * valid).sum() / valid.sum().clamp(min=1)


def softmax_loss(logits: Tensor, valid: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Sampled softmax: candidate 0 against the others.

    Args:
        logits: (B, P, N).
        valid: (B, P) bool.
        allowed: (B, P, N) bool, candidates that take part; None = all.
    """
    logits = logits.float()
    if allowed is not None:
        logits = logits.masked_fill(~allowed, torch.finfo(logits.dtype).min)
    return masked_mean(torch.logsumexp(logits, -1) - logits[..., 0], valid)


def bce_loss(logits: Tensor, valid: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Binary cross-entropy: candidate 0 is a one, the others share the weight of a zero."""
    logits = logits.float()
    positive = F.softplus(-logits[..., 0])
    negative = F.softplus(logits[..., 1:])
    part = torch.ones_like(negative, dtype=torch.bool) if allowed is None else allowed[..., 1:]
    return masked_mean(positive + (negative * part).sum(-1) / part.sum(-1).clamp(min=1), valid)


def ranking_loss(kind: str, logits: Tensor, valid: Tensor, allowed: Tensor | None = None) -> Tensor:
    """`softmax_loss` or `bce_loss` by name."""
    if kind not in RANKING_LOSSES:
        raise UnknownNameError("loss", kind, RANKING_LOSSES)
    return (softmax_loss if kind == "softmax" else bce_loss)(logits, valid, allowed)


def hardest(logits: Tensor, count: int, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The positive and its `count` highest-scoring negatives: logits, allowed (B, P, N) -> both (B, P, 1 + count)."""
    allowed = torch.ones_like(logits, dtype=torch.bool) if allowed is None else allowed
    count = min(count, logits.shape[-1] - 1)
    negatives = logits[..., 1:].masked_fill(~allowed[..., 1:], -math.inf)
    place = 1 + negatives.detach().topk(count, -1).indices
    place = torch.cat([torch.zeros_like(place[..., :1]), place], -1)
    return logits.gather(-1, place), allowed.gather(-1, place)


def label_loss(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy of a further task on the positive itself: logits (B, P), label (B, P), -1 = no label."""
    losses = F.binary_cross_entropy_with_logits(logits.float(), label.clamp(min=0).float(), reduction="none")
    return masked_mean(losses, valid & (label >= 0))


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of all losses, each times its weight; one without a weight counts once."""
    return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()


def first_occurrence(rows: Tensor) -> Tensor:
    """Which of (m,) rows are the first of their kind: (m,) bool."""
    same = rows.unsqueeze(0) == rows.unsqueeze(1)  # (m, m)
    return ~torch.tril(same, diagonal=-1).any(1)


def info_nce(
    first: Tensor, second: Tensor, valid: Tensor, group: Tensor, temperature: Tensor | float, both: bool = True
) -> Tensor:
    """InfoNCE by cosine: row i of `first` belongs to row i of `second`.

    Args:
        first, second: (m, D).
        valid: (m,) bool, rows that take part.
        group: (m,) ids; another row of the same group is no negative.
        temperature: divides the cosine.
        both: average the two directions, or from `first` to `second` alone.
    """
    logits = F.normalize(first.float(), dim=-1) @ F.normalize(second.float(), dim=-1).t() / temperature  # (m, m)
    blocked = (group.unsqueeze(0) == group.unsqueeze(1)) | ~(valid.unsqueeze(0) & valid.unsqueeze(1))
    blocked.fill_diagonal_(False)
    logits = logits.masked_fill(blocked, -math.inf)
    own = logits.diagonal()
    loss = torch.logsumexp(logits, 1) - own
    if both:
        loss = (loss + torch.logsumexp(logits, 0) - own) / 2
    return masked_mean(loss, valid)


def neighbour_loss(
    pair: Tensor,
    item: Tensor,
    valid: Tensor,
    person: Tensor,
    rows: Tensor,
    log_q: Tensor,
    temperature: Tensor | float,
) -> Tensor:
    """InfoNCE of an event with the item of an event shortly after it, corrected for how often each item is drawn.

    Popular items are drawn as negatives in proportion to their popularity q, so log q is taken off their logits
    (the sampling correction of sampled softmax). Draws of the same person or of the same item are no negatives.

    Args:
        pair: (m, D) pair vectors of the events.
        item: (m, D) item vectors of what follows.
        valid: (m,) bool, rows that take part.
        person: (m,) whose events they are.
        rows: (m,) item rows of what follows.
        log_q: (m,) log-popularity of these items; a constant on all changes nothing.
        temperature: divides the cosine.
    """
    logits = F.normalize(pair.float(), dim=-1) @ F.normalize(item.float(), dim=-1).t() / temperature - log_q
    blocked = (person.unsqueeze(0) == person.unsqueeze(1)) | (rows.unsqueeze(0) == rows.unsqueeze(1))
    blocked = blocked | ~(valid.unsqueeze(0) & valid.unsqueeze(1))
    blocked.fill_diagonal_(False)
    logits = logits.masked_fill(blocked, -math.inf)
    own = logits.diagonal()
    return masked_mean((torch.logsumexp(logits, 1) + torch.logsumexp(logits, 0)) / 2 - own, valid)
