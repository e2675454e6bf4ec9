"""Batches as tensors: the NumPy hand-overs of `contracts` moved to the device the model lives on.

Model layer, first step. Indices become int64 (what torch gathers with), times stay int64 seconds. On CUDA the copies
are taken from pinned memory without waiting when `non_blocking` is asked for, so that a training step has no
host-device synchronisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..contracts import LifeBatch, TargetBatch


@dataclass(frozen=True)
class LifeTensors:
    """Histories of B people, oldest event first, left-aligned.

    Fields:
        item: (B, L) int64 item rows, 0 where padded.
        query: (B, L) int64 query rows, 0 where the event has no query.
        time_s: (B, L) int64 UTC seconds.
        valid: (B, L) bool, false where padded.
    """

    item: Tensor
    query: Tensor
    time_s: Tensor
    valid: Tensor

    def rows(self, part: slice) -> LifeTensors:
        """The people of `part` alone."""
        return LifeTensors(self.item[part], self.query[part], self.time_s[part], self.valid[part])

    def oldest(self, count: int) -> LifeTensors:
        """The first `count` places of every life alone."""
        return LifeTensors(*(field[:, :count] for field in (self.item, self.query, self.time_s, self.valid)))


@dataclass(frozen=True)
class TargetTensors:
    """P target positions of each life with N candidates each; in training candidate 0 is the positive.

    Fields:
        item: (B, P, N) int64 candidate item rows.
        query: (B, P, N) int64 candidate query rows, 0 = no query.
        time_s: (B, P) int64.
        visible: (B, P) int64, how many leading events of the life each target may see.
        valid: (B, P) bool.
        label: (B, P) int8: 1, 0, or -1 for none.
    """

    item: Tensor
    query: Tensor
    time_s: Tensor
    visible: Tensor
    valid: Tensor
    label: Tensor

    def rows(self, part: slice) -> TargetTensors:
        """The targets of the people of `part` alone."""
        fields = (self.item, self.query, self.time_s, self.visible, self.valid, self.label)
        return TargetTensors(*(field[part] for field in fields))

    def with_in_batch(self, count: int) -> tuple[TargetTensors, Tensor]:
        """The positives of `count` other lives as further candidates of each target, each taken whole.

        Returns:
            the targets with N + count candidates, and (B, P, N + count) bool, which of them may count as negatives:
            not where the other target does not exist, is the same item, or differs in whether it has a query.
        """
        people = len(self.item)
        shift = torch.arange(1, min(count, people - 1) + 1, device=self.item.device)
        other = (torch.arange(people, device=self.item.device).unsqueeze(1) + shift) % people  # (B, count)
        item = self.item[other, :, 0].transpose(1, 2)  # (B, P, count)
        query = self.query[other, :, 0].transpose(1, 2)
        mine, asked = self.item[..., :1], self.query[..., :1]
        usable = self.valid[other].transpose(1, 2) & (item != mine) & ((query != 0) == (asked != 0))
        more = TargetTensors(
            torch.cat([self.item, item], 2),
            torch.cat([self.query, query], 2),
            self.time_s,
            self.visible,
            self.valid,
            self.label,
        )
        return more, torch.cat([torch.ones_like(self.item, dtype=torch.bool), usable], 2)

    def positions(self, part: slice) -> TargetTensors:
        """The target positions of `part` alone."""
        fields = (self.item, self.query, self.time_s, self.visible, self.valid, self.label)
        return TargetTensors(*(field[:, part] for field in fields))

    def candidates(self, part: slice) -> TargetTensors:
        """The same targets with the candidates of `part` alone."""
        return TargetTensors(
            self.item[:, :, part], self.query[:, :, part], self.time_s, self.visible, self.valid, self.label
        )


def _tensor(array: np.ndarray, dtype: np.dtype | type, device: torch.device, non_blocking: bool) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))
    if device.type == "cuda" and non_blocking:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=non_blocking)


def life_tensors(batch: LifeBatch, device: str | torch.device = "cpu", non_blocking: bool = False) -> LifeTensors:
    """`LifeBatch` on `device`; a batch of empty lives gets one padded column, so that L is never zero."""
    device = torch.device(device)
    item, query, time_s, valid = batch.item, batch.query, batch.time_s, batch.valid
    if item.shape[1] == 0:
        item, query, time_s, valid = (np.zeros((len(item), 1), field.dtype) for field in (item, query, time_s, valid))
    return LifeTensors(
        _tensor(item, np.int64, device, non_blocking),
        _tensor(query, np.int64, device, non_blocking),
        _tensor(time_s, np.int64, device, non_blocking),
        _tensor(valid, bool, device, non_blocking),
    )


def target_tensors(batch: TargetBatch, device: str | torch.device = "cpu", non_blocking: bool = False) -> TargetTensors:
    """`TargetBatch` on `device`."""
    device = torch.device(device)
    return TargetTensors(
        _tensor(batch.item, np.int64, device, non_blocking),
        _tensor(batch.query, np.int64, device, non_blocking),
        _tensor(batch.time_s, np.int64, device, non_blocking),
        _tensor(batch.visible, np.int64, device, non_blocking),
        _tensor(batch.valid, bool, device, non_blocking),
        _tensor(batch.label, np.int8, device, non_blocking),
    )


def to_tensors(
    life: LifeBatch, targets: TargetBatch, device: str | torch.device = "cpu", non_blocking: bool = False
) -> tuple[LifeTensors, TargetTensors]:
    """Both halves of a batch on `device`."""
    return life_tensors(life, device, non_blocking), target_tensors(targets, device, non_blocking)
