"""Stronger encoders from local weights: sentence-transformers for text, CLIP for text and pictures.

Encoders, optional. The packages are not among the requirements and nothing is ever downloaded: weights are read from a
folder (or from the local Hugging Face cache by name), as safetensors only, without code from the weights' author.
CLIP's picture processor is the one that needs Pillow alone, because torchvision breaks beside the pinned torch.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..errors import MissingWeightsError
from ..files import sha256_of
from ..progress import Progress
from ..runtime import resolve_device
from .encoded import Encoded, scattered
from .image import read_picture
from .text import TextFunction, encode_texts

PINS = {"sentence_transformers": "sentence-transformers==6.2.0", "transformers": "transformers==5.23.0"}
BATCH = 64


def optional_package(name: str, encoder: str) -> ModuleType:
    """Import an optional package.

    Raises:
        MissingWeightsError: it is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingWeightsError(
            f"encoder {encoder!r} needs the package {PINS[name].partition('==')[0]}, which cannot be imported: {error}",
            hint=f"pip install {PINS[name]}, without torchvision; or use a default encoder",
        ) from error


def weights_fingerprint(where: str) -> str:
    """Eight hex digits over the content of a folder of weights, wherever it lies; of any other name, over the name.

    Read whole, once per process and change; hidden files are left out.
    """
    path = Path(where)
    if not path.is_dir():
        return hashlib.sha256(where.encode()).hexdigest()[:8]
    files = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    return _content(tuple((p, str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in files))


@lru_cache(maxsize=8)
def _content(files: tuple[tuple[Path, str, int, int], ...]) -> str:
    parts = [f"{name} {sha256_of(path)}" for path, name, _, _ in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _missing(encoder: str, where: str, error: Exception | str) -> MissingWeightsError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return MissingWeightsError(
        f"encoder {encoder!r}: no usable weights at {where!r}: {reason}",
        hint="put the model's folder (config.json, tokenizer files, model.safetensors) there; nothing is downloaded",
    )


def _check_folder(encoder: str, where: str) -> None:
    """Refuse a path that is not there; a bare `name` or `owner/name` may lie in the local cache."""
    looks_like_path = where.startswith((".", "/", "~")) or where.count("/") > 1 or os.sep * 2 in where
    if looks_like_path and not Path(where).is_dir():
        raise _missing(encoder, where, "the folder does not exist")


class SentenceTransformers:
    """A sentence-transformers model from local weights.

    Args:
        where: folder of the model, or its name in the local cache.

    Raises:
        MissingWeightsError: the package or the weights are not there.
    """

    def __init__(self, where: str, device: str = "auto"):
        self.name = f"sentence-transformers:{where}"
        _check_folder(self.name, where)
        package = optional_package("sentence_transformers", self.name)
        try:
            self.model = package.SentenceTransformer(
                where,
                device=resolve_device(device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError) as error:
            raise _missing(self.name, where, error) from error

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode items and queries, rows of length one."""
        return encode_texts(dataset, self.unseen(dataset, progress))

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction:
        """A function that encodes any texts."""

        def vectors(texts: list[str]) -> np.ndarray:
            parts = [np.zeros((0, self.width), np.float32)]
            for first in range(0, len(texts), 16 * BATCH):
                part = self.model.encode(
                    texts[first : first + 16 * BATCH],
                    batch_size=BATCH,
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                    show_progress_bar=False,
                )
                parts.append(np.asarray(part, np.float32))
                progress(min(first + 16 * BATCH, len(texts)), len(texts), "encoding texts")
            return np.concatenate(parts)

        return vectors

    @property
    def width(self) -> int:
        """W."""
        return int(self.model.get_embedding_dimension())


class Clip:
    """CLIP from local weights, for texts or for pictures; both land in one space.

    Args:
        where: folder of the model, or its name in the local cache.
        modality: "text" or "image".

    Raises:
        MissingWeightsError: the package or the weights are not there.
    """

    def __init__(self, where: str, modality: str, device: str = "auto"):
        self.name, self.modality = f"clip:{where}", modality
        _check_folder(self.name, where)
        package = optional_package("transformers", self.name)
        self.device = resolve_device(device)
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            if modality == "text":
                self.tokenizer = package.AutoTokenizer.from_pretrained(where, **options)
            else:
                processors = import_module("transformers.models.clip.image_processing_pil_clip")
                self.processor = processors.CLIPImageProcessorPil.from_pretrained(where, local_files_only=True)
            model = package.CLIPModel.from_pretrained(where, use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise _missing(self.name, where, error) from error
        self.model = model.to(self.device).eval()

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode items (and, for texts, queries), rows of length one."""
        if self.modality == "text":
            return encode_texts(dataset, self.unseen(dataset, progress))
        rows = np.flatnonzero(dataset.has_picture).tolist()
        items, present = scattered(rows, self.of_pictures(dataset, rows, progress), dataset.n_items + 1)
        return Encoded(items, present)

    def of_pictures(self, dataset: Dataset, rows: list[int], progress: Progress) -> np.ndarray:
        """(n, W) float32 of the pictures of `rows`."""
        return self._in_batches(rows, lambda part: self._pictures([read_picture(dataset, r) for r in part]), progress)

    def finished(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors as they are: each stands on its own."""
        return vectors

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction:
        """A function that encodes any texts."""
        return lambda texts: self._in_batches(texts, self._texts, progress)

    def _in_batches(self, inputs: list[Any], encode: Any, progress: Progress) -> np.ndarray:
        """(n, W) float32 rows of length one."""
        parts = [np.zeros((0, self.model.config.projection_dim), np.float32)]
        for first in range(0, len(inputs), BATCH):
            vectors = encode(inputs[first : first + BATCH]).float().cpu().numpy()
            parts.append(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
            progress(min(first + BATCH, len(inputs)), len(inputs), f"encoding {self.modality}")
        return np.concatenate(parts)

    def _texts(self, texts: list[str]) -> Any:
        import torch

        limit = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            return self.model.get_text_features(**tokens.to(self.device)).pooler_output

    def _pictures(self, pictures: list[Any]) -> Any:
        import torch

        pixels = self.processor(images=pictures, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return self.model.get_image_features(pixel_values=pixels.to(self.device)).pooler_output
