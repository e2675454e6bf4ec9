"""This process's place among those that train together, as a launcher's environment tells it. No torch here."""

from __future__ import annotations

import os

LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
)
"""Variables of a launcher: this process's number, how many there are, its number on this machine."""


def place() -> tuple[int, int, int] | None:
    """Rank, world and local rank that a launcher's environment tells this process; None in an ordinary process.

    `torchrun` sets WORLD_SIZE, RANK and LOCAL_RANK. A step of `srun` sets SLURM_STEP_NUM_TASKS, SLURM_PROCID and
    SLURM_LOCALID; the environment of an allocation (SLURM_NTASKS), which a single process also sees, is not one.
    """
    for rank, count, local in LAUNCHERS:
        if int(os.environ.get(count, "1")) > 1 and rank in os.environ:
            return int(os.environ[rank]), int(os.environ[count]), int(os.environ.get(local, "0"))
    return None
