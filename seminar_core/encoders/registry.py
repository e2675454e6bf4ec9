"""Encoders by name: what `--text` and `--image` accept.

Encoders. A name is either plain or `kind:where`. The folder name of its vectors is the name where that is safe as one,
else the kind and a fingerprint of what it points at. What a place holds changes, so a run keeps both, as
`kind:where [folder]`: those vectors, whatever lies at the place now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import StaleError, UnknownNameError
from ..files import sha256_of
from .encoded import Encoder
from .given import Given
from .image import Histogram
from .packaged import EfficientNetLite0, MiniLM, WordLlama
from .pretrained import Clip, SentenceTransformers, weights_fingerprint
from .text import Hashing, TfidfSvd

DEFAULT_TEXT, DEFAULT_IMAGE = "tfidf-svd-256", "histogram"


@dataclass(frozen=True)
class Named:
    """An encoder that can be made.

    Fields:
        name: as the user gave it.
        folder: safe folder name, equal for equal vectors only.
        make: builds the encoder; weights are loaded here.
    """

    name: str
    folder: str
    make: Callable[[], Encoder]

    @property
    def fixed(self) -> str:
        """The name under which a run keeps it: these vectors and no others."""
        return self.name if self.folder == self.name else f"{self.name} [{self.folder}]"


PLAIN: dict[str, dict[str, Callable[[], Encoder]]] = {
    "text": {DEFAULT_TEXT: TfidfSvd, "hashing-256": Hashing, MiniLM.NAME: MiniLM, WordLlama.NAME: WordLlama},
    "image": {DEFAULT_IMAGE: Histogram, EfficientNetLite0.NAME: EfficientNetLite0},
}
WITH_PLACE: dict[str, dict[str, Callable[[str], Encoder]]] = {
    "text": {
        "given": lambda where: Given(Path(where), with_queries=True),
        "sentence-transformers": SentenceTransformers,
        "clip": lambda where: Clip(where, "text"),
    },
    "image": {
        "given": lambda where: Given(Path(where), with_queries=False),
        "clip": lambda where: Clip(where, "image"),
    },
}


FIXED = re.compile(r"(.+:.+) \[([a-z-]+-[0-9a-f]+)\]")


def known_encoders(modality: str) -> list[str]:
    """Names that `find_encoder` accepts for "text" or "image"."""
    return [*PLAIN[modality], *(f"{kind}:PATH" for kind in WITH_PLACE[modality])]


def find_encoder(modality: str, name: str) -> Named:
    """The encoder of a name.

    Args:
        modality: "text" or "image".

    Raises:
        UnknownNameError: not one of `known_encoders(modality)`.
        MissingFileError: `given:FILE` and there is no such file.
    """
    if name in PLAIN[modality]:
        return Named(name, name, PLAIN[modality][name])
    if fixed := FIXED.fullmatch(name):
        name, folder = fixed.groups()
        return Named(name, folder, lambda: _unchanged(modality, name, folder).make())
    kind, _, where = name.partition(":")
    if not where or kind not in WITH_PLACE[modality]:
        raise UnknownNameError(f"{modality} encoder", name, known_encoders(modality))
    make = WITH_PLACE[modality][kind]
    if kind == "given":
        encoder = make(where)
        return Named(name, f"given-{sha256_of(Path(where))[:12]}", lambda: encoder)
    return Named(name, f"{kind}-{weights_fingerprint(where)}", lambda: make(where))


def _unchanged(modality: str, name: str, folder: str) -> Named:
    """The encoder of a name, for vectors that are gone or for another text, in the space of `folder`.

    Raises:
        StaleError: what it points at gives others now.
    """
    now = find_encoder(modality, name)
    if now.folder != folder:
        raise StaleError(
            f"{name} gives the vectors {now.folder} now, and {folder} are needed",
            hint="put what was there back, or train again on what is there now",
        )
    return now
