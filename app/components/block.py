"""One block of bytes for a component: length of the header (uint32), header (JSON), typed arrays; see `block.js`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

CODES = {"float32": "f4", "float64": "f8", "uint8": "u1", "int32": "i4"}
SCRIPT = Path(__file__).with_name("block.js")


def pack(head: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The block; its header also gets `digest`, of all that is in it, and `buffers`, where the arrays lie.

    Args:
        head: what JSON can hold.
        arrays: by name, of the types in `CODES`.
    """
    body, buffers = b"", []
    for name, array in arrays.items():
        buffers.append({"name": name, "dtype": CODES[str(array.dtype)], "start": len(body), "length": array.size})
        body += np.ascontiguousarray(array).tobytes()
    digest = hashlib.sha256(json.dumps(head).encode() + body).hexdigest()[:16]
    text = json.dumps({**head, "digest": digest, "buffers": buffers}, ensure_ascii=False).encode()
    return len(text).to_bytes(4, "little") + text + body


def head_of(block: bytes) -> dict[str, Any]:
    """The header of a block."""
    size = int.from_bytes(block[:4], "little")
    return dict(json.loads(block[4 : 4 + size]))
