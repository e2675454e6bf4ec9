"""Whether a CUDA device computes what the CPU computes: the checks that `bench gpu` makes before it measures anything.

Training and retrieval, for the benchmark. Each check builds small models from one seed, runs the same batches on the
CPU and on the device, and says how far apart they are. Without a device both sides are the CPU's, which shows no more
than that the checks run; those that need CUDA itself are then listed as not run.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.training_shapes import HEADS, Shape, category_rows, make_batch, make_channels
from seminar_core.contracts import ChannelVectors, Folded
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.codec import TableCodec
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import softmax_loss
from seminar_core.model.psu import PSU
from seminar_core.model.tensors import to_tensors
from seminar_core.retrieval.codebooks import Codebooks, train_codebooks
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.packed import pack
from seminar_core.retrieval.search import LookupScorer
from seminar_core.retrieval.torch_lookup import TorchLookup
from seminar_core.training.checkpoint import Fingerprint, resume_from, save_checkpoint
from seminar_core.training.distributed import SharedRanker, shared
from seminar_core.training.launch import Group

SHAPE = Shape(16, 40, 8, frozen=True, tokens=200, items=500, queries=300, frozen_width=16)
CANDIDATES, STEPS = 5, 20
LOGITS = 1e-4  # of the largest logit
LOSSES = 1e-4  # of the loss, at every step
BFLOAT16_BAND = 0.05  # of the loss in fp32, mean over steps
EVERY = 10**6  # a sample of the alignment and relevance losses that leaves nothing out, so that no draw matters
SPECS = ("QC16,RQ8x4fs", "PQ4x8")
NO_CUDA = "this machine has no CUDA device"

Check = dict[str, Any]
Moved = tuple[Any, Any]


def check_all(device: str, steps: int = STEPS) -> Iterator[Check]:
    """Every check: `what`, `passed` (None = not run), `difference`, `limit`, `between`, and a `reason` if not passed.

    Args:
        device: what is compared with the CPU.
        steps: of the trainings that are compared.
    """
    for name in (*MODELS, "psu"):
        yield attempt(f"logits of {name}", LOGITS, device, partial(logits_apart, name, device))
    for name in (*MODELS, "psu"):
        apart = partial(training_apart, name, device, steps=steps)
        yield attempt(f"{steps} training steps of {name}", LOSSES, device, apart)
    for name in ("seminar", "psu"):
        apart = partial(training_apart, name, device, other=device, bfloat16=True, steps=steps)
        yield attempt(f"losses of {name} in bfloat16 and fp32", BFLOAT16_BAND, device, apart)
    for what, ends in (("the device to the CPU", (device, "cpu")), ("the CPU to the device", ("cpu", device))):
        yield attempt(f"a checkpoint moved from {what}", LOSSES, device, partial(checkpoint_apart, *ends))
    for spec in SPECS:
        for layout in ("packed", "shared"):
            apart = partial(kept_apart, spec, layout, device)
            yield attempt(f"kept sets of {spec}, {layout}, by look-up tables", 0.0, device, apart)
    there = device.startswith("cuda")
    backend = "nccl" if there else "gloo"
    yield attempt(f"one process through {backend}", LOSSES, device, partial(one_process_apart, backend, device))
    if not there:
        yield {"what": "one process through nccl", "passed": None, "difference": None, "reason": NO_CUDA}


def attempt(what: str, limit: float, device: str, apart: Callable[[], float]) -> Check:
    """Make one check; what the device cannot do at all counts as failed, with its words."""
    found: Check = {"what": what, "passed": False, "difference": None, "limit": limit, "between": f"cpu and {device}"}
    try:
        difference = apart()
    except RuntimeError as error:  # of torch, CUDA and NCCL
        return {**found, "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    if np.isfinite(difference) and difference <= limit:
        return {**found, "passed": True, "difference": difference}
    return {
        **found,
        "difference": float(difference),
        "reason": f"apart by {difference:g}, at most {limit:g} is allowed",
    }


def make_model(name: str, shape: Shape = SHAPE) -> nn.Module:
    """A model from a fixed seed, on the CPU; `psu` with losses whose draws leave nothing out."""
    channels = make_channels(shape)
    torch.manual_seed(1)
    if name == "psu":
        objectives = {"next_pair": 1.0, "alignment": 0.5, "relevance": 0.5}
        fusion = Fusion(enabled=channels.enabled)
        return PSU(channels=channels, fusion=fusion, heads=HEADS, keep=shape.keep, objectives=objectives, sample=EVERY)
    category = category_rows(items=shape.ids[0])
    model = build_model(name, channels=channels, heads=HEADS, keep=shape.keep, category=category)
    if name == "seminar-pq":  # approximate vectors: the exact ones, rounded
        vectors = model.channel_vectors()
        rounded = (torch.from_numpy(np.round(one * 4) / 4) for one in (vectors.item, vectors.query))
        model.gsu.codec = TableCodec(*rounded)
    return model


def batches(shape: Shape = SHAPE, *, count: int) -> list[Any]:
    """NumPy batches of lives of unequal length."""
    lengths = np.random.default_rng(0).integers(1, shape.length + 1, (count, shape.people))
    return [make_batch(shape, row, CANDIDATES, seed) for seed, row in enumerate(lengths)]


def loss_of(model: nn.Module, batch: Any, device: str, bfloat16: bool = False) -> Tensor:
    """The loss of one training step."""
    life, targets = to_tensors(*batch, device)
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=bfloat16):
        output = model(life, targets)
        if isinstance(model, PSU):
            return output.total
        return sum(output.auxiliary.values(), softmax_loss(output.logits, targets.valid))


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)


def step(model: nn.Module, optimiser: torch.optim.Optimizer, batch: Any, device: str, bfloat16: bool = False) -> float:
    """One training step; its loss."""
    loss = loss_of(model, batch, device, bfloat16)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def logits_apart(name: str, device: str) -> float:
    """Largest difference of a logit, as a share of the largest logit."""
    model = make_model(name).eval()
    other = copy.deepcopy(model).to(device)
    worst = 0.0
    with torch.inference_mode():
        for batch in batches(count=2):
            mine = model.rank(*to_tensors(*batch)).float()
            theirs = other.rank(*to_tensors(*batch, device)).float().cpu()
            worst = max(worst, float((mine - theirs).abs().max() / mine.abs().max().clamp(min=1e-12)))
    return worst


def training_apart(name: str, device: str, *, other: str = "cpu", bfloat16: bool = False, steps: int = STEPS) -> float:
    """How far the losses of training from one start move apart: the largest share, or in bfloat16 the mean."""
    model = make_model(name).train()
    first, second = copy.deepcopy(model).to(other), model.to(device)
    of_first, of_second = adam(first), adam(second)
    apart = []
    for batch in batches(count=steps):
        plain = step(first, of_first, batch, other)
        apart.append(abs(step(second, of_second, batch, device, bfloat16) - plain) / max(abs(plain), 1e-12))
    return float(np.mean(apart) if bfloat16 else np.max(apart))


def checkpoint_apart(source: str, target: str) -> float:
    """Train on one device, save, go on there and on the other: the share by which the next losses differ."""
    mine = make_model("seminar").to(source).train()
    optimiser = adam(mine)
    given = batches(count=6)
    for batch in given[:3]:
        step(mine, optimiser, batch, source)
    fingerprint = Fingerprint("bench", *SHAPE.ids)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run" / "last"
        path.parent.mkdir()
        save_checkpoint(path, model=mine, optimisers=[optimiser], counters={}, fingerprint=fingerprint)
        moved = make_model("seminar").to(target).train()
        of_moved = adam(moved)
        resume_from(path, moved, [of_moved], fingerprint)
    apart = []
    for batch in given[3:]:
        here = step(mine, optimiser, batch, source)
        apart.append(abs(step(moved, of_moved, batch, target) - here) / max(abs(here), 1e-12))
    return float(max(apart))


def random_vectors(items: int = 400, queries: int = 60, width: int = 8) -> ChannelVectors:
    """Channel vectors of a catalogue without a pattern."""
    rng = np.random.default_rng(0)
    item = rng.standard_normal((items + 1, 3, width)).astype(np.float32)
    query = rng.standard_normal((queries + 1, width)).astype(np.float32)
    item[0] = query[0] = 0
    there = np.arange(items + 1) > 0
    return ChannelVectors(item, np.repeat(there[:, None], 3, 1), query, np.arange(queries + 1) > 0)


@cache
def random_books(spec: str, width: int = 8) -> Codebooks:
    """Codebooks for `random_vectors` of this width."""
    vectors = random_vectors(width=width)
    targets = np.random.default_rng(1).standard_normal((200, 2, 4, width)).astype(np.float32)
    return train_codebooks(spec, vectors, targets)


def kept_apart(spec: str, layout: str, device: str) -> float:
    """Share of kept events that differ between the device's look-up and the CPU's, on a life with many ties."""
    rng = np.random.default_rng(1)
    vectors = random_vectors()
    books = random_books(spec)
    events = EventSet(rng.integers(1, 30, 2_000).astype(np.int32), rng.integers(0, 4, 2_000).astype(np.int32))
    asked = [Folded(rng.standard_normal((2, 4, 8)).astype(np.float32), 1.5) for _ in range(8)]
    mine = LookupScorer(books, vectors, events, layout).search_batch(asked, 50)
    theirs = TorchLookup(pack(books, vectors, events, layout), device).search_batch(asked, 50)
    return float(np.mean([a.events != b.events for a, b in zip(mine, theirs, strict=True)]))


def one_process_apart(backend: str, device: str) -> float:
    """Losses of data parallel training in a group of one process against the same training alone."""
    alone = make_model("sim-soft").to(device).train()
    grouped = copy.deepcopy(alone)
    of_alone, of_grouped = adam(alone), adam(grouped)
    with tempfile.TemporaryDirectory() as folder:
        words = "cpu:gloo,cuda:nccl" if backend == "nccl" else backend
        dist.init_process_group(words, init_method=f"file://{os.path.join(folder, 'meet')}", rank=0, world_size=1)
        try:
            return _apart_in_group((alone, of_alone), (grouped, of_grouped), device)
        finally:
            dist.destroy_process_group()


def _apart_in_group(alone: Moved, grouped: Moved, device: str) -> float:
    step_of: Callable[..., Any] = shared(SharedRanker(grouped[0], "softmax", Group(0, 1, 0)), device)
    apart = []
    for batch in batches(count=5):
        life, targets = to_tensors(*batch, device)
        plain = sum(alone[0].losses("softmax", life, targets).values())
        together, _ = step_of(life, targets)
        for loss, (_, optimiser) in ((plain, alone), (together, grouped)):
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        first, second = float(plain.detach()), float(together.detach())
        apart.append(abs(second - first) / max(abs(first), 1e-12))
    return float(max(apart))
