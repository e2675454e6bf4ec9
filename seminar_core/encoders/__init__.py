"""From texts and pictures to frozen vectors, once per data set."""

from .store import Encodings, encode, is_encoded, load_encodings

__all__ = ["Encodings", "encode", "is_encoded", "load_encodings"]
