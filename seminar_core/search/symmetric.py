"""The paper's symmetric scheme beside ours: the target, too, is asked for as what its code stands for.

Diagnostics, a rival of a search trace (`SymPQ`, arXiv 2407.10714). Refining and the second stage see the target itself.
"""

from __future__ import annotations

import numpy as np
import torch

from ..contracts import Folded
from ..model.fold import fold_fused
from ..retrieval.codebooks import Codebooks
from ..retrieval.rivals import quantise_target
from .second_stage import Weighting, channel_rows, weighted_parts
from .study import Study


@torch.no_grad()
def coded_target(study: Study, books: Codebooks, item_row: int, query_row: int, used: Weighting) -> Folded:
    """One target folded after its channel vectors were replaced by their centroids."""
    rows, has_query = channel_rows(study.model, np.array([item_row]), np.array([query_row]))
    coded = quantise_target(books, rows.numpy(), with_query=bool(has_query[0]))
    target = weighted_parts(study.model, torch.from_numpy(coded), has_query, used).sum(1)
    return Folded(fold_fused(study.model, target, used.weights)[0], used.item_scale_without_query)
