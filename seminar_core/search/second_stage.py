"""What a kept set means to the model: attention weights, the interest vector, the final logit.

Diagnostics, behind the first stage. The second stage reads exact scores of whatever the first stage kept, so exact and
approximate search differ here in the kept set alone. Works for the run's own channel weights and for explicit ones:
pair vectors are fused here with given weights, and a test says that with the run's own they equal the model's.
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
from ..model.ranker import Ranker
from ..model.search import Encoded, Search
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
    """

    weights: np.ndarray
    interest: np.ndarray
    logit: float


def softmax_weights(kept: Kept) -> np.ndarray:
    """(H, K) attention weights of kept events by their scores; zero in empty slots."""
    scores = np.where(kept.events >= 0, kept.scores, -np.inf).astype(np.float64)
    top = scores.max(1, keepdims=True, initial=-np.inf)
    powers = np.where(kept.events >= 0, np.exp(scores - np.where(np.isfinite(top), top, 0.0)), 0.0)
    return powers / np.maximum(powers.sum(1, keepdims=True), 1e-300)


@torch.no_grad()
def channel_parts(model: PSU | Ranker, item: np.ndarray, query: np.ndarray, weighting: Weighting) -> Tensor:
    """What each channel adds to a pair vector: (n,) item and query rows -> (n, M, D), weighted, G applied."""
    channels = model.channels
    vectors, present = channels.items(torch.as_tensor(item, dtype=torch.int64))
    scale = model.fusion.item_scale(present)
    if scale is not None:
        vectors = vectors * scale.unsqueeze(-1)
    asked, has_query = channels.queries(torch.as_tensor(query, dtype=torch.int64))
    every = torch.cat([asked.unsqueeze(1), vectors], 1)  # (n, M, D)
    turns = model.encoder().turns()
    if turns is not None:
        every = torch.einsum("nmd,med->nme", every, turns)
    parts = every * torch.as_tensor(weighting.weights, dtype=every.dtype).view(1, -1, 1)
    share = torch.where(has_query, 1.0, float(weighting.item_scale_without_query))  # (n,)
    return torch.cat([parts[:, :1], parts[:, 1:] * share.view(-1, 1, 1)], 1)


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
    attention = softmax_weights(kept)
    real = kept.events >= 0
    used, place = np.unique(kept.events[real], return_inverse=True)
    events = pair_vectors(model, item[used], query[used], weighting)  # (n, D)
    dense = np.zeros((len(kept.events), len(used)))
    dense[np.nonzero(real)[0], place] = attention[real]
    aggregates = torch.as_tensor(dense, dtype=torch.float32) @ events  # (H, D)
    interest = model.values(aggregates)
    wanted = pair_vectors(model, np.array([target[0]]), np.array([target[1]]), weighting)[0]
    if isinstance(model, PSU):
        logit = float(interest @ wanted)
    else:
        logit = _ranker_logit(model, interest, wanted, dense, time_s[used], target, time_s[-max_length:])
    return Outcome(attention, interest.double().numpy(), logit)


def _ranker_logit(
    model: Ranker,
    interest: Tensor,
    wanted: Tensor,
    dense: np.ndarray,
    used_time_s: np.ndarray,
    target: tuple[int, int, int],
    all_time_s: np.ndarray,
) -> float:
    """The ranker's first logit for one target from what was attended to.

    The ranker's context reads the length and the last time of the whole visible life and the ages of what counts, so
    the life handed to it is: all visible events without weight, then the used events with theirs.
    """
    when = torch.tensor([[target[2]]])
    padding = torch.zeros(1, 1, 1)  # one place that nothing may see, so that an empty life has a shape
    seen = log_age(torch.as_tensor(np.array(all_time_s, np.int64)).view(1, -1), when)
    used = log_age(torch.as_tensor(np.array(used_time_s, np.int64)).view(1, -1), when)
    age = torch.cat([seen, used, padding], -1)  # (1, 1, V + n + 1)
    allowed = torch.zeros(age.shape, dtype=torch.bool)
    allowed[..., : seen.shape[-1]] = True
    weights = torch.zeros(1, 1, 1, len(dense), age.shape[-1])
    weights[..., seen.shape[-1] : -1] = torch.as_tensor(dense, dtype=torch.float32)
    rows = torch.tensor([[[target[0]]]]), torch.tensor([[[target[1]]]])
    true = torch.ones(1, 1, dtype=torch.bool)
    targets = TargetTensors(*rows, when, true.long(), true, true.to(torch.int8))
    nothing = torch.zeros(1, 0, dtype=torch.int64)
    life = LifeTensors(nothing, nothing, nothing, nothing.bool())
    pair = wanted.view(1, 1, 1, -1)
    candidates = Encoded(pair, torch.zeros_like(pair), rows[1] > 0, pair)
    search = Search(life, targets, candidates, candidates, allowed, age, None, model.encoder(), None)
    logits = model.logits(search, Attended(interest.view(1, 1, 1, -1), weights))
    return float(logits.reshape(-1)[0])
