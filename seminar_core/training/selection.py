"""How good a PSU is on what it was not trained on: the figure by which pretraining chooses its checkpoint.

Training. The recommendation MRR alone can be best before the first step, for the objectives that are on by default do
not train it directly. Each objective therefore has its own held-out part: `alignment` items that its loss never sees,
`neighbour` the validation target as what follows the last event before it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..contracts import LifeBatch, TargetBatch
from ..evaluation.metrics import mean_metrics
from ..evaluation.protocol import rank_model
from ..evaluation.questions import Questions
from ..evaluation.ranks import ranks_from_scores
from ..model.attention import visible_mask
from ..model.psu import PSU
from ..model.tensors import to_tensors
from .assembly import Material, validator

ALIGNED_ITEMS = 512
SELECT_BY = "score"


def psu_validator(
    psu: PSU, material: Material, questions: Questions, *, max_length: int, device: str
) -> Callable[[], dict[str, float]]:
    """Metrics on the validation people and the held-out items, as the loop calls them.

    The call returns the metrics of `validator`, an MRR `alignment` and an MRR `neighbour` where those objectives are
    on, and `score`, the mean of these and the ranking MRR.
    """
    ranking = validator(psu, material, questions, max_length=max_length, device=device)
    rows = aligned_rows(psu, device)

    def validate() -> dict[str, float]:
        measured = ranking()
        parts = {"MRR": measured["MRR"]}
        if "alignment" in psu.objectives and len(rows) > 1:
            parts["alignment"] = aligned_mrr(psu, rows)
        if "neighbour" in psu.objectives:
            parts["neighbour"] = neighbour_mrr(psu, material, questions, max_length=max_length, device=device)
        return measured | parts | {SELECT_BY: float(np.mean(list(parts.values())))}

    return validate


def aligned_rows(psu: PSU, device: str) -> Tensor:
    """At most `ALIGNED_ITEMS` of the items that alignment is not trained on, the same ones every time."""
    held = psu.heldout.nonzero().flatten().cpu()
    chosen = torch.randperm(len(held), generator=torch.Generator().manual_seed(0))[:ALIGNED_ITEMS]
    return held[chosen].to(device)


def aligned_mrr(psu: PSU, rows: Tensor) -> float:
    """Mean reciprocal rank, by cosine among `rows`, of an item's other channel, over pairs of channels both ways.

    Zero where no two channels share two items.
    """
    vectors, present = psu.channels.items(rows)  # (m, 3, D), (m, 3)
    vectors = F.normalize(vectors.float(), dim=-1)
    found = []
    for i in range(3):
        for j in range(3):
            both = present[:, i] & present[:, j]
            if i == j or int(both.sum()) < 2:
                continue
            cosine = (vectors[both, i] @ vectors[both, j].t()).cpu().numpy()
            own = np.eye(len(cosine), dtype=bool)
            scores = np.hstack([cosine.diagonal()[:, None], cosine])
            allowed = np.hstack([own.any(1, keepdims=True), ~own])
            ranks = ranks_from_scores(scores, np.arange(len(cosine)), allowed=allowed)
            found.append(mean_metrics(ranks)["MRR"])
    return float(np.mean(found)) if found else 0.0


def neighbour_mrr(psu: PSU, material: Material, questions: Questions, *, max_length: int, device: str) -> float:
    """MRR of the questions' positives by cosine between the last visible event's pair and the candidate's item."""
    encoder = psu.encoder()

    def score(lives: LifeBatch, targets: TargetBatch) -> np.ndarray:
        with torch.inference_mode():
            life, asked = to_tensors(lives, targets, device)
            last = (visible_mask(life.valid, asked.visible).sum(-1) - 1).clamp(min=0)  # (B, P)
            event = encoder.encode(life.item.gather(1, last), life.query.gather(1, last))
            candidates = encoder.encode(asked.item, torch.zeros_like(asked.query))
            cosine = F.cosine_similarity(event.pair.unsqueeze(2), candidates.item, dim=-1)  # (B, P, N)
            return cosine.float().cpu().numpy()

    return mean_metrics(rank_model(score, material.dataset, questions, max_length=max_length).ranks)["MRR"]
