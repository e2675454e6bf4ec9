"""Look-up tables scanned with torch: the same codes and the same kept events, on a CUDA device where there is one.

Retrieval, the accelerator's `LookupScorer`. All targets and heads go through in one pass per sub-space; the sums run in
the same order as on the CPU, so scores are bitwise equal and the kept sets are too, ties included. Scalar codes are one
matrix product, whose order a device chooses itself: there scores agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..contracts import Folded, Kept
from .events import stack
from .exact import check_keep, split_heads
from .packed import Group, PackedLife
from .quantisers import Scalar

PIECE_CELLS = 2**26  # scores of one piece of a batch of targets: 256 MB, and as much again for the best of them


class TorchLookup:
    """Asymmetric distances by look-up tables on a torch device.

    Args:
        life: packed, in either layout.
        device: `cpu`, `cuda` or `cuda:N`.
        compiled: torch.compile the sums, with this backend; None = one operation after the other.
    """

    def __init__(self, life: PackedLife, device: str = "cpu", compiled: str | None = None):
        self.spec, self.layout = str(life.codebooks.spec), life.layout
        self.bytes_per_event = life.bytes_per_event
        self.device = torch.device(device)
        self.distinct = life.distinct
        self._sums = sums_of_tables if compiled is None else torch.compile(sums_of_tables, backend=compiled)
        self._groups: list[tuple[Group, torch.Tensor, torch.Tensor]] = []
        for group in life.groups:
            scalar = isinstance(group.parts[0].coder, Scalar)
            codes = torch.from_numpy(group.columns.astype(np.float32) if scalar else group.columns).to(self.device)
            self._groups.append((group, codes, torch.from_numpy(group.pairs.copy()).to(self.device)))

    def scores_of_pairs(self, rows: np.ndarray, scale: np.ndarray) -> torch.Tensor:
        """Approximate scores (R, P) of the distinct pairs for stacked targets (R, M, D), on the device."""
        return self._scores(self._tables(rows, scale), slice(0, len(rows)))

    def _tables(self, rows: np.ndarray, scale: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Each group's look-up tables and constants; of all targets together, as products of fewer round otherwise."""
        made = [group.tables(rows, scale) for group, _, _ in self._groups]
        return [(self._moved(tables), self._moved(constants)) for tables, constants in made]

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)

    def _scores(self, made: list[tuple[torch.Tensor, torch.Tensor]], part: slice) -> torch.Tensor:
        """Scores (r, P) of a part of the targets that tables were made for."""
        shape = (part.stop - part.start, len(self.distinct))
        out = torch.empty(shape, dtype=torch.float32, device=self.device)
        for (group, codes, places), (tables, constants) in zip(self._groups, made, strict=True):
            tables, constants = tables[part], constants[part]
            scalar = isinstance(group.parts[0].coder, Scalar)
            sums = tables @ codes.T if scalar else self._sums(tables, codes)
            out[:, places] = sums + constants[:, None]
        return out

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads, as many at once as `PIECE_CELLS` allows."""
        rows, scale = stack(targets)
        made = self._tables(rows, scale)
        size = max(1, PIECE_CELLS // max(len(self.distinct), 1))
        parts = [slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
        found = [top_k_torch(self._scores(made, part), keep) for part in parts]
        pairs, scores = (torch.cat(both).cpu().numpy() for both in zip(*found, strict=True))
        return split_heads(self.distinct.spread(pairs, scores, keep), targets)


def sums_of_tables(tables: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Sums (R, n) over sub-spaces, in their order, of the entries of tables (R, S, C) that codes (S, n) name.

    Codes stay bytes on the device and become indices one sub-space at a time; compiled, one kernel does all of it.
    """
    sums = torch.zeros((len(tables), codes.shape[1]), dtype=torch.float32, device=tables.device)
    for s in range(len(codes)):
        sums += tables[:, s].index_select(1, codes[s].int())
    return sums


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
