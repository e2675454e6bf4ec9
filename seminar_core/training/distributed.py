"""Several processes, one training: torch's distributed data parallel with the launcher's environment.

Training, beside the loop. Started with `torchrun --nproc-per-node N -m seminar_core pretrain ...` or by
`srun`, see `launch`. A batch is a function of (seed, step) alone, so every process makes the ids of the whole batch and
computes the vectors of its own share of the lives. Then N processes are one process with the whole batch, to rounding:

- a mean over targets is taken over the whole batch (sums before means), whatever the shares hold;
- losses that compare examples with each other (alignment, relevance, masked event) see the vectors of all processes,
  gathered so that gradients flow back to whoever computed them;
- what is drawn at random is drawn for the whole batch from a generator of (seed, step), the same in every process.

Departure from the usual recipe, in which each process contrasts its own examples only: that is another objective, which
changes with the number of processes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..model.losses import weighted_sum
from ..model.psu import EVENT_OBJECTIVES, PSU
from ..model.ranker import Ranker
from ..model.search import Encoded
from ..model.tensors import LifeTensors, TargetTensors
from .launch import Group

SPARSE_TABLES = ("id_embedding", "token_embedding")
"""Tables whose gradients are sparse where `sparse` is set."""


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, in order of rank; the gradient of a row is the sum of what all processes say of it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        size = len(total) // dist.get_world_size()
        return total[dist.get_rank() * size : (dist.get_rank() + 1) * size]


def gather_rows(rows: Tensor) -> Tensor:
    """(n, ...) of each process -> (world * n, ...), differentiable; every process must hold as many rows."""
    return _GatherRows.apply(rows)


def gather_mask(rows: Tensor) -> Tensor:
    """`gather_rows` for booleans, which have no gradient."""
    return gather_rows(rows.to(torch.uint8)).bool()


def gather_events(events: Encoded) -> Encoded:
    """The encoded lives of all processes: (B / world, L, ...) -> (B, L, ...)."""
    return Encoded(
        gather_rows(events.item), gather_rows(events.query), gather_mask(events.has_query), gather_rows(events.pair)
    )


class SharedPSU(nn.Module):
    """One step of pretraining of a whole batch, of which this process computes its share.

    Args:
        psu: trained; its parameters are this module's.
        group: who shares.
        gather: without, each process contrasts its own examples only, as a test shows to be something else.
    """

    def __init__(self, psu: PSU, group: Group, *, gather: bool = True):
        super().__init__()
        self.psu, self.group, self.gather = psu, group, gather

    def forward(
        self, life: LifeTensors, targets: TargetTensors, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, whose gradients averaged over processes are the whole batch's, and each objective.

        Args:
            life, targets: the whole batch, the same in every process.
            generator: in the same state in every process.
        """
        with self.psu.channels.hiding(self.psu.hidden_ids(generator, life.item.device)):
            return self._forward(life, targets, generator)

    def _forward(
        self, life: LifeTensors, targets: TargetTensors, generator: torch.Generator | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        psu, part = self.psu, self.group.share(len(life.item))
        allowed = None
        if psu.in_batch_negatives:  # ids only: drawn from the whole batch before it is shared out
            targets, allowed = targets.with_in_batch(psu.in_batch_negatives)
            allowed = allowed[part]
        mine, lives = targets.rows(part), life.rows(part)
        losses: dict[str, Tensor] = {}
        if "next_pair" in psu.objectives:
            events, candidates = psu.encoder().encode_batch(lives, mine)
            logits, _ = psu.logits(lives, mine, events, candidates)
            losses["next_pair"] = psu.next_pair(logits, mine.valid, allowed) * weight(mine, targets, self.group)
        else:
            events = psu.encoder().encode(lives.item, lives.query)
        seen = (life, gather_events(events)) if self.gather else (lives, events)
        for name in psu.objectives:
            if name in EVENT_OBJECTIVES:
                losses[name] = getattr(psu, name)(*seen, generator)
        if {"alignment", "masked_attribute"} & set(psu.objectives):
            ids = (life, targets) if self.gather else (lives, mine)
            rows, first = psu.sampled_items(*ids, generator)
            vectors, present = self.item_vectors(rows)
            if "alignment" in psu.objectives:
                losses["alignment"] = psu.alignment(rows, vectors, present, first)
            if "masked_attribute" in psu.objectives:
                losses["masked_attribute"] = psu.masked_attribute(rows, vectors, present, first)
        total = sum((psu.objectives[name] * loss for name, loss in losses.items()), events.pair.new_zeros(()))
        return total, losses

    def item_vectors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Channel vectors (m, 3, D) and presence (m, 3) of item rows (m,), each process computing its share."""
        if not self.gather:
            return self.psu.channels.items(rows)
        world = self.group.world
        padded = torch.cat([rows, rows.new_zeros(-len(rows) % world)])
        size = len(padded) // world
        vectors, present = self.psu.channels.items(padded[self.group.rank * size : (self.group.rank + 1) * size])
        return gather_rows(vectors)[: len(rows)], gather_mask(present)[: len(rows)]


class SharedRanker(nn.Module):
    """One step of finetuning of a whole batch, of which this process computes its share.

    Args:
        ranker: trained; its parameters are this module's.
        loss: "softmax" or "bce".
        group: who shares.
        weights: of the losses that do not count once.
    """

    def __init__(self, ranker: Ranker, loss: str, group: Group, weights: Mapping[str, float] | None = None):
        super().__init__()
        self.ranker, self.loss, self.group, self.weights = ranker, loss, group, dict(weights or {})

    def forward(
        self, life: LifeTensors, targets: TargetTensors, labelled: TargetTensors | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `SharedPSU.forward`; every loss of a ranker is a mean over targets, that of labels over the labelled."""
        part = self.group.share(len(life.item))
        mine, known = targets.rows(part), None if labelled is None else labelled.rows(part)
        parts = self.ranker.losses(self.loss, life.rows(part), mine, known)
        share = dict.fromkeys(parts, weight(mine, targets, self.group))
        if known is not None and labelled is not None:
            share["label"] = weight(known, labelled, self.group)
        parts = {name: value * share[name] for name, value in parts.items()}
        return weighted_sum(parts, self.weights), parts


def weight(mine: TargetTensors, targets: TargetTensors, group: Group) -> Tensor:
    """What turns a mean over this process's targets into its share of the mean over all, times the world's size."""
    return group.world * mine.valid.sum() / targets.valid.sum().clamp(min=1)


def shared(module: SharedPSU | SharedRanker, device: str, sparse: Collection[str] = ()) -> DistributedDataParallel:
    """Wrap a step so that its gradients are averaged over the processes as they become ready.

    Args:
        module: the step.
        device: where it computes.
        sparse: last parts of the names of parameters with sparse gradients. DDP knows those of `nn.Embedding` only, so
            they are averaged beside it, rows and ids alone: a table of millions of rows never travels whole.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    names = [name for name, _ in named if name.rpartition(".")[2] in sparse]
    if names:
        group = dist.new_group()
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)
        for name in names:
            module.get_parameter(name).register_post_accumulate_grad_hook(lambda p: average_rows(p, group))
    devices = [torch.device(device)] if device.startswith("cuda") else None
    return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=True, forward_sync_buffers=False)


def average_rows(parameter: Tensor, group: Any) -> None:
    """Replace a sparse gradient by its mean over the processes, which may hold different numbers of rows."""
    own = parameter.grad
    if own is None:
        return
    own = own.coalesce()
    rows, values = own.indices()[0], own.values()
    world = dist.get_world_size()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device), group=group)
    longest = max(int(count) for count in counts)
    padded_rows = torch.cat([rows, rows.new_zeros(longest - len(rows))])
    padded_values = torch.cat([values, values.new_zeros(longest - len(rows), values.shape[1])])
    all_rows = [torch.empty_like(padded_rows) for _ in range(world)]
    all_values = [torch.empty_like(padded_values) for _ in range(world)]
    dist.all_gather(all_rows, padded_rows, group=group)
    dist.all_gather(all_values, padded_values, group=group)
    parameter.grad = torch.sparse_coo_tensor(
        torch.cat(all_rows).unsqueeze(0), torch.cat(all_values) / world, own.shape
    ).coalesce()


def averaged(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each loss averaged over the processes: the value of the whole batch."""
    if not losses:
        return {}
    stacked = torch.stack([loss.detach().float() for loss in losses.values()])
    dist.all_reduce(stacked)
    return dict(zip(losses, (stacked / dist.get_world_size()).unbind(), strict=True))
