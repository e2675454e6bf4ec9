"""Other first stages on the same run: which events SIM, ETA, QIN, MUSE or DIN would have kept.

Diagnostics. They read the run's own vectors, so what differs is the rule alone; the trained rival is another run. The
second stage that follows is the run's own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ..contracts import LifeBatch, TargetBatch
from ..model.gsu import NearestHash, NearestMeaning, NearestToQuery, Newest, SameCategory
from ..model.search import begin
from ..model.tensors import to_tensors
from ..retrieval.events import EventSet
from .study import Study

SEED = 0


def _hash(study: Study, keep: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return NearestHash(keep=keep, width=study.vectors.query.shape[1])


RULES: dict[str, Callable[[Study, int], nn.Module]] = {
    "din": lambda study, keep: Newest(keep=keep),
    "sim-hard": lambda study, keep: SameCategory(
        keep=keep, category=torch.from_numpy(np.array(study.dataset.category))
    ),
    "eta": _hash,
    "qin": lambda study, keep: NearestToQuery(keep=keep),
    "muse": lambda study, keep: NearestMeaning(keep=keep),
}


@torch.no_grad()
def rival_kept(
    study: Study, name: str, events: EventSet, item: int, query: int, time_s: int, keep: int, head: int | None
) -> np.ndarray:
    """(H, L) bool: what the first stage `name` keeps of `events` for one target (one head's row with `head`)."""
    length = len(events)
    times = np.zeros((1, length), np.int64)
    life = LifeBatch(events.item[None], events.query[None], times, np.ones((1, length), bool))
    one = np.ones((1, 1), bool)
    target = TargetBatch(
        np.array([[[item]]], np.int32),
        np.array([[[query]]], np.int32),
        np.array([[time_s]], np.int64),
        np.array([[length]], np.int32),
        one,
        one.astype(np.int8),
    )
    search = begin(*to_tensors(life, target), study.model.encoder(), None, "pair")
    kept = RULES[name](study, keep)(search).kept
    heads = study.heads if head is None else 1
    return kept.expand(1, 1, 1, heads if kept.shape[3] == 1 else kept.shape[3], length)[0, 0, 0].numpy()
