"""What a kept set means to the model: attention weights, the interest vector, the final logit and what it is made of.

Diagnostics, behind the first stage. The second stage reads exact scores of whatever the first stage kept, so exact and
approximate search differ here in the kept set alone; the short-term branch is the same for both. Works for the run's
own channel weights and for explicit ones: pair vectors are fused here with given weights, and a test says that with the
run's own they equal the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..contracts import Kept
from ..model.attention import log_age
from ..model.esu import Attended
from ..model.psu import PSU
from ..model.ranker import PARTS, Ranker
from ..model.search import Encoded, Search
from ..model.short_term import Recent, ShortTerm
from ..model.tensors import LifeTensors, TargetTensors


@dataclass(frozen=True)
class Weighting:
    """Channel weights as both sides of a score use them.

    Fields:
        weights: (M,) of Q, A, T, I.
        item_scale_without_query: factor on the item part where there is no query.
    """

    weights: np.ndarray
    item_scale_without_query: float


@dataclass(frozen=True)
class Outcome:
    """What one kept set leads to.

    Fields:
        weights: (H, K) float64, zero in empty slots, each row with an event sums to one.
        interest: (D,) float64.
        logit: of the final network.
        parts: what adds up to the logit, by the names of `model.ranker.PARTS`; a PSU has the first alone.
        short_weights: (H, K') attention of the short-term branch over the newest K' visible events, oldest first.
    """

    weights: np.ndarray
    interest: np.ndarray
    logit: float
    parts: dict[str, float]
    short_weights: np.ndarray


def softmax_weights(kept: Kept) -> tuple[np.ndarray, np.ndarray]:
    """Attention weights (H, K) of kept events by their scores, zero in empty slots, and mass (H,), zero without any."""
    real = kept.events >= 0
    scores = np.where(real, kept.scores, -np.inf).astype(np.float64)
    top = scores.max(1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    powers = np.where(real, np.exp(scores - top), 0.0)
    total = powers.sum(1, keepdims=True)
    mass = np.where(total > 0, top + np.log(np.where(total > 0, total, 1.0)), 0.0)
    return powers / np.maximum(total, 1e-300), mass[:, 0]


@torch.no_grad()
def channel_rows(model: PSU | Ranker, item: np.ndarray, query: np.ndarray) -> tuple[Tensor, Tensor]:
    """Channel vectors (n, M, D) before G, presence factors in them, of (n,) item and query rows; (n,) has a query."""
    channels = model.channels
    vectors, present = channels.items(torch.as_tensor(item, dtype=torch.int64))
    scale = model.fusion.item_scale(present)
    if scale is not None:
        vectors = vectors * scale.unsqueeze(-1)
    asked, has_query = channels.queries(torch.as_tensor(query, dtype=torch.int64))
    return torch.cat([asked.unsqueeze(1), vectors], 1), has_query


def weighted_parts(model: PSU | Ranker, rows: Tensor, has_query: Tensor, weighting: Weighting) -> Tensor:
    """What each channel adds to a pair vector: `channel_rows`, weighted, G applied (n, M, D)."""
    turns = model.encoder().turns()
    every = rows if turns is None else torch.einsum("nmd,med->nme", rows, turns)
    parts = every * torch.as_tensor(weighting.weights, dtype=every.dtype).view(1, -1, 1)
    share = torch.where(has_query, 1.0, float(weighting.item_scale_without_query))  # (n,)
    return torch.cat([parts[:, :1], parts[:, 1:] * share.view(-1, 1, 1)], 1)


@torch.no_grad()
def channel_parts(model: PSU | Ranker, item: np.ndarray, query: np.ndarray, weighting: Weighting) -> Tensor:
    """What each channel adds to a pair vector: (n,) item and query rows -> (n, M, D), weighted, G applied."""
    return weighted_parts(model, *channel_rows(model, item, query), weighting)


def pair_vectors(model: PSU | Ranker, item: np.ndarray, query: np.ndarray, weighting: Weighting) -> Tensor:
    """Fused pair vectors (n, D) of item and query rows (n,) under given channel weights, G applied."""
    return channel_parts(model, item, query, weighting).sum(1)


@torch.no_grad()
def outcome(
    model: PSU | Ranker,
    kept: Kept,
    *,
    item: np.ndarray,
    query: np.ndarray,
    time_s: np.ndarray,
    target: tuple[int, int, int],
    weighting: Weighting,
    max_length: int,
) -> Outcome:
    """Attend to a kept set and score the target.

    Args:
        model: a PSU, or a ranker with target attention.
        kept: events as positions in the visible life, with exact scores.
        item, query, time_s: (L,) the visible life.
        target: item row, query row, time in UTC seconds.
        weighting: channel weights of both sides.
        max_length: the ranker's context (how long, how recent) reads the newest this many events, as in training.
    """
    attention, mass = softmax_weights(kept)
    real = kept.events >= 0
    used, place = np.unique(kept.events[real], return_inverse=True)
    events = pair_vectors(model, item[used], query[used], weighting)  # (n, D)
    dense = np.zeros((len(kept.events), len(used)))
    dense[np.nonzero(real)[0], place] = attention[real]
    aggregates = torch.as_tensor(dense, dtype=torch.float32) @ events  # (H, D)
    interest = model.values(aggregates)
    wanted = channel_parts(model, np.array([target[0]]), np.array([target[1]]), weighting)[0]  # (M, D)
    if isinstance(model, PSU):
        parts = {**dict.fromkeys(PARTS, 0.0), "long": float(interest @ wanted.sum(0))}
        return Outcome(attention, interest.double().numpy(), parts["long"], parts, np.zeros((len(dense), 0)))
    recent = None
    if model.short is not None:
        newest = slice(max(len(item) - model.short.window, 0), None)
        recent = _recent(
            model.short, wanted, pair_vectors(model, item[newest], query[newest], weighting), time_s[newest], target[2]
        )
    search = _context(model, wanted.sum(0), time_s[used], target, time_s[-max_length:])
    weights = torch.zeros(1, 1, 1, len(dense), search.age.shape[-1])
    weights[..., -1 - len(used) : -1] = torch.as_tensor(dense, dtype=torch.float32)
    attended = Attended(interest.view(1, 1, 1, -1), weights, mass=torch.as_tensor(mass).float().view(1, 1, 1, -1))
    parts = {name: float(part) for name, part in model.parts(search, attended, recent).items()}
    short = np.zeros((len(dense), 0)) if recent is None else recent.weights[0, 0, 0].double().numpy()
    return Outcome(attention, interest.double().numpy(), sum(parts.values()), parts, short)


def _recent(short: ShortTerm, wanted: Tensor, events: Tensor, time_s: np.ndarray, when_s: int) -> Recent:
    """What the short-term branch says: target channels (M, D), window (K', D) and its times (K',)."""
    real = torch.ones(1, len(events), dtype=torch.bool)
    if not len(events):  # one place that is no event, so that an empty life has a shape
        events, time_s, real = wanted.new_zeros(1, wanted.shape[1]), np.array([when_s]), torch.zeros(1, 1).bool()
    age = log_age(torch.as_tensor(np.array(time_s, np.int64)).view(1, -1), torch.tensor([[when_s]]))[0]
    found = short.attend(wanted.sum(0).view(1, 1, -1), wanted[1:].sum(0).view(1, 1, -1), events[None], age, real)
    return Recent(*(field[None] for field in (found.interest, found.mass, found.likeness, found.weights)))


def _context(
    model: Ranker, wanted: Tensor, used_time_s: np.ndarray, target: tuple[int, int, int], all_time_s: np.ndarray
) -> Search:
    """What the ranker's context reads besides what was attended to.

    It reads the length and the last time of the whole visible life and the ages of what counts, so the life handed to
    it is: all visible events without weight, then the used events with theirs.
    """
    when = torch.tensor([[target[2]]])
    padding = torch.zeros(1, 1, 1)  # one place that nothing may see, so that an empty life has a shape
    seen = log_age(torch.as_tensor(np.array(all_time_s, np.int64)).view(1, -1), when)
    used = log_age(torch.as_tensor(np.array(used_time_s, np.int64)).view(1, -1), when)
    age = torch.cat([seen, used, padding], -1)  # (1, 1, V + n + 1)
    allowed = torch.zeros(age.shape, dtype=torch.bool)
    allowed[..., : seen.shape[-1]] = True
    rows = torch.tensor([[[target[0]]]]), torch.tensor([[[target[1]]]])
    true = torch.ones(1, 1, dtype=torch.bool)
    targets = TargetTensors(*rows, when, true.long(), true, true.to(torch.int8))
    nothing = torch.zeros(1, 0, dtype=torch.int64)
    life = LifeTensors(nothing, nothing, nothing, nothing.bool())
    pair = wanted.view(1, 1, 1, -1)
    candidates = Encoded(pair, torch.zeros_like(pair), rows[1] > 0, pair)
    return Search(life, targets, candidates, candidates, allowed, age, None, model.encoder(), None)
