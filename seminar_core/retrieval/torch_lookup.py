"""Look-up tables scanned with torch: the same codes and the same kept events, on a CUDA device where there is one.

Retrieval, the accelerator's `LookupScorer`. All targets and heads go through in one pass per sub-space; the sums run in
the same order as on the CPU, so scores are bitwise equal and the kept sets are too, ties included. Scalar codes are one
matrix product, whose order a device chooses itself: there scores agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..contracts import ChannelVectors, Folded, Kept
from .codebooks import Codebooks
from .events import EventSet, stack
from .exact import check_keep, split_heads
from .packed import Group, pack
from .quantisers import Scalar


class TorchLookup:
    """Asymmetric distances by look-up tables on a torch device, packed layout.

    Args:
        codebooks: of the run.
        vectors: the run's vectors, for codes of pairs that were not encoded beforehand.
        events: the life.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    def __init__(self, codebooks: Codebooks, vectors: ChannelVectors, events: EventSet, device: str = "cpu"):
        self.spec, self.layout = str(codebooks.spec), "packed"
        self.bytes_per_event = codebooks.bytes_per_event
        self.device = torch.device(device)
        self.distinct = events.distinct
        self._groups: list[tuple[Group, torch.Tensor, torch.Tensor]] = []
        for group in pack(codebooks, vectors, events).groups:
            codes = group.columns.astype(np.float32 if isinstance(group.parts[0].coder, Scalar) else np.int64)
            places = torch.from_numpy(group.pairs.copy())
            self._groups.append((group, torch.from_numpy(codes).to(self.device), places.to(self.device)))

    def scores_of_pairs(self, rows: np.ndarray, scale: np.ndarray) -> torch.Tensor:
        """Approximate scores (R, P) of the distinct pairs for stacked targets (R, M, D), on the device."""
        out = torch.empty((len(rows), len(self.distinct)), dtype=torch.float32, device=self.device)
        for group, codes, places in self._groups:
            tables, constants = (torch.from_numpy(np.ascontiguousarray(a)) for a in group.tables(rows, scale))
            tables, constants = tables.float().to(self.device), constants.float().to(self.device)
            if isinstance(group.parts[0].coder, Scalar):
                sums = tables @ codes.T
            else:
                sums = torch.zeros((len(rows), codes.shape[1]), dtype=torch.float32, device=self.device)
                for s in range(len(codes)):
                    sums += tables[:, s].index_select(1, codes[s])
            out[:, places] = sums + constants[:, None]
        return out

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads in one pass."""
        pairs, scores = top_k_torch(self.scores_of_pairs(*stack(targets)), keep)
        return split_heads(self.distinct.spread(pairs.cpu().numpy(), scores.cpu().numpy(), keep), targets)


def top_k_torch(scores: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The tie rule of `exact.top_k` on a device: events (R, K) int64 and scores (R, K), best first."""
    check_keep(keep)
    rows, length = scores.shape
    count = min(keep, length)
    events = torch.full((rows, keep), -1, dtype=torch.int64, device=scores.device)
    kept = torch.full((rows, keep), -torch.inf, dtype=scores.dtype, device=scores.device)
    if count == 0:
        return events, kept
    threshold = torch.topk(scores, count, dim=1).values[:, -1:]
    above = scores > threshold
    tied = scores == threshold
    from_newest = tied.flip(1).cumsum(1).flip(1)  # 1 at the newest tied event
    chosen = above | (tied & (from_newest <= count - above.sum(1, keepdim=True)))
    places = chosen.nonzero()[:, 1].view(rows, count).flip(1)  # newest first
    order = torch.sort(scores.gather(1, places), dim=1, descending=True, stable=True)
    events[:, :count] = places.gather(1, order.indices)
    kept[:, :count] = order.values
    return events, kept
