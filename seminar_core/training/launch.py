"""The launcher's environment: who trains together, how they meet, agree and part.

Training, below the loop. `torchrun` and `srun` start the same command several times and tell each process its place in
the environment; an ordinary process finds nothing there and trains alone. The first process writes the run, owns the
clock and may stop the others; all of them decide alike, because they decide on its numbers.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..errors import Cancelled, ConfigError, DeviceError
from ..runtime import resolve_device
from .placement import place

FIRST_PORT, PORTS = 20_000, 20_000
LETTING_GO_S = 0.2
"""A thread of gloo lets go of a reduction's tensor a moment after its end, and needs the interpreter's lock for that: a
process that has begun to end by then is aborted ("terminate called without an active exception")."""


@dataclass(frozen=True)
class Group:
    """This process among those that train together.

    Fields:
        rank: 0 .. world - 1; rank 0 writes the run.
        world: how many there are.
        local_rank: its number on this machine, hence its GPU.
    """

    rank: int
    world: int
    local_rank: int

    @property
    def writes(self) -> bool:
        """Whether this process keeps the run's files."""
        return self.rank == 0

    def share(self, lives: int) -> slice:
        """The rows of a batch of `lives` that are this process's.

        Raises:
            ConfigError: the batch cannot be shared out evenly.
        """
        if lives % self.world:
            raise ConfigError(
                f"a batch of {lives} lives cannot be shared by {self.world} processes",
                hint=f"set batch_size to a multiple of {self.world}",
            )
        size = lives // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def device(self, resolved: str) -> str:
        """The device of this process: with GPUs, the one of its number on this machine.

        Raises:
            DeviceError: this machine has fewer GPUs than processes.
        """
        if resolved != "cuda":
            return resolved
        if self.local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"process {self.local_rank} of this machine needs a GPU of its own, there are "
                f"{torch.cuda.device_count()}",
                hint="start one process per GPU, or use --device cpu",
            )
        return f"cuda:{self.local_rank}"


def launched() -> Group | None:
    """The group that the launcher's environment describes, see `placement.place`; None in an ordinary process."""
    told = place()
    return None if told is None else Group(*told)


def own_device(name: str, group: Group | None) -> str:
    """The device that `name` means in this process.

    Raises:
        UnknownNameError, DeviceError: as `runtime.resolve_device`.
    """
    device = resolve_device(name)
    return device if group is None else group.device(device)


def join(group: Group | None) -> None:
    """Meet the other processes: NCCL between GPUs, gloo between CPUs and for what the processes agree on.

    Under Slurm the meeting point is the node that started the step, with a port made from the job's number; MASTER_ADDR
    and MASTER_PORT override it.
    """
    if group is None or dist.is_initialized():
        return
    if "SLURM_JOB_ID" in os.environ:
        os.environ.setdefault("MASTER_ADDR", os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
        os.environ.setdefault("MASTER_PORT", str(FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS))
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", rank=group.rank, world_size=group.world)


@contextmanager
def together(group: Group | None) -> Iterator[None]:
    """Join for the length of the block; who leaves it by an error does not wait for the others."""
    join(group)
    all_end_here = False
    try:
        yield
        all_end_here = True
    except Cancelled:
        all_end_here = True
        raise
    finally:
        if group is not None:
            let_go(sys.exc_info()[1])
        if all_end_here:
            leave(group)
        elif group is not None and dist.is_initialized():
            dist.destroy_process_group()


def let_go(error: BaseException | None) -> None:
    """Free what the frames of an error and of what led to it hold.

    What is shared between processes must be gone before the group is: the last to let go of a gloo group joins its
    thread with the interpreter locked, and that thread may be waiting for the lock.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def leave(group: Group | None) -> None:
    """Part from the other processes, once all are ready to."""
    if group is not None and dist.is_initialized():
        wait_for_all(group)
        time.sleep(LETTING_GO_S)
        dist.destroy_process_group()


def wait_for_all(group: Group | None) -> None:
    """Return once every process has come here."""
    agree(group, seconds=0.0, stop=False)


@contextmanager
def one_after_the_other(group: Group | None) -> Iterator[None]:
    """The first process goes through the block before the others: what it makes on the disk is there for them."""
    if group is not None and not group.writes:
        from_first(group, 0.0)
    try:
        yield
    finally:
        if group is not None and group.writes:
            from_first(group, 0.0)


def agree(group: Group | None, *, seconds: float, stop: bool) -> tuple[float, bool]:
    """The first process's clock, and whether any process wants to stop; all leave the loop at the same step.

    Goes through the CPU, so that no GPU is waited for.
    """
    if group is None:
        return seconds, stop
    told = torch.tensor([seconds if group.writes else -math.inf, float(stop)], dtype=torch.float64)
    dist.all_reduce(told, op=dist.ReduceOp.MAX)
    return float(told[0]), bool(told[1])


def from_first(group: Group | None, value: float) -> float:
    """The first process's `value`, in every process."""
    if group is None:
        return value
    told = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(told, src=0)
    return float(told[0])
