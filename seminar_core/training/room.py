"""Whether a training fits: the least memory that settings ask for, against what is free, before anything is built.

Training. A lower bound in a few products: weights with their gradient and two moments, the MLP's activations of a step
and the channel vectors of its lives. What lies below the bound may still run out (and is then told as out of memory);
what lies above it would only swap, or be killed without a word.
"""

from __future__ import annotations

import psutil
import torch

from ..errors import ConfigError
from .assembly import QUERY_TOKENS, Material
from .recipe import BatchConfig, ModelConfig

FLOAT = 4
COPIES = 4
"""Of every weight while it is trained: itself, its gradient, two moments."""
CHANNELS = 4


def least_weights(material: Material, model: ModelConfig, *, ranker: bool) -> int:
    """About as many weights as a PSU or a ranker with these settings has."""
    dataset, encodings = material.dataset, material.encodings
    vectors = (encodings.text_items, encodings.text_queries, encodings.image_items)
    inner = sum(0 if array is None else array.shape[1] for array in vectors)
    rows = dataset.n_items + dataset.n_attribute_values + QUERY_TOKENS
    mlp = model.hidden * (2 * model.width + model.hidden // 2) if ranker else 0
    return (rows + inner) * model.width + 2 * model.width**2 + mlp


def least_bytes(material: Material, model: ModelConfig, batches: BatchConfig, *, ranker: bool) -> int:
    """Bytes that a training with these settings needs at least."""
    weights = least_weights(material, model, ranker=ranker)
    candidates = batches.batch_size * batches.targets_per_life * (1 + batches.negatives)
    answers = candidates * (model.hidden + model.hidden // 2) if ranker else 0
    longest = min(batches.window, batches.max_length, int(material.dataset.store.lengths.max(initial=0)))
    lives = batches.batch_size * longest * CHANNELS * model.width
    return FLOAT * (COPIES * weights + answers + lives)


def free_bytes(device: str) -> int:
    """Memory of the device that is free now; of this machine for the CPU."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def require_room(material: Material, model: ModelConfig, batches: BatchConfig, device: str, *, ranker: bool) -> None:
    """Refuse settings that cannot fit.

    Raises:
        ConfigError: with both numbers, and the settings that decide.
    """
    needed, free = least_bytes(material, model, batches, ranker=ranker), free_bytes(device)
    if needed <= free:
        return
    settings = {"width": model.width, "batch_size": batches.batch_size, "targets_per_life": batches.targets_per_life}
    settings |= {"negatives": batches.negatives, **({"hidden": model.hidden} if ranker else {})}
    shown = ", ".join(f"{name} = {value}" for name, value in settings.items())
    raise ConfigError(
        f"these settings need at least {needed / 1e9:,.1f} GB and {free / 1e9:,.1f} GB are free on {device} ({shown}; "
        f"{material.dataset.n_items:,} items)",
        hint="lower the largest of these settings; with many items the width decides: each item has so many numbers, "
        "four times",
    )
