"""Scoring for evaluation: NumPy batches in, NumPy logits out, of a model that rests.

Model layer, the door to evaluation. Every item and query is fused once (`prepared`) and looked up afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..contracts import LifeBatch, TargetBatch
from .psu import PSU
from .ranker import NEXT_TASK, Ranker
from .tensors import to_tensors

ScoreFn = Callable[[LifeBatch, TargetBatch], np.ndarray]


@contextmanager
def scoring(
    model: Ranker | PSU, device: str | torch.device = "cpu", cells: int | None = None, task: int = NEXT_TASK
) -> Iterator[ScoreFn]:
    """Yield `score(life, targets) -> (B, P, N) float32`; training mode is put back at the end.

    Args:
        model: already on `device`.
        device: where to compute.
        cells: numbers in the score rows of one piece; None = what suits the device, see `pieces`.
        task: whose logit is the score; a PSU has one task.
    """
    was_training, before = model.training, model.cells
    model.eval()
    model.cells = cells

    def score(life: LifeBatch, targets: TargetBatch) -> np.ndarray:
        with torch.inference_mode():
            batch = to_tensors(life, targets, device)
            logits = model.rank(*batch, task) if isinstance(model, Ranker) else model.rank(*batch)
            return logits.float().cpu().numpy()

    try:
        with model.prepared():
            yield score
    finally:
        model.cells = before
        model.train(was_training)
