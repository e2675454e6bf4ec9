"""An encoding that another process can kill: `python -m tests.encoders.sharded_encode WORKSPACE DATASET SIZE PAUSE`.

Prints the number of each shard that it makes; PAUSE seconds are slept in each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from seminar_core.data.opening import open_dataset
from seminar_core.encoders import encode, shards
from seminar_core.encoders.text import Hashing
from seminar_core.workspace import Workspace


def main(workspace: str, dataset: str, size: str, pause: str) -> None:
    """Encode texts by hashing and pictures by histogram."""
    shards.SIZE = int(size)
    real, own = shards.np.save, Hashing._vectors

    def slow(self: Hashing, texts: list[str]) -> object:
        time.sleep(float(pause))
        return own(self, texts)

    def told(path: object, array: object, **how: object) -> None:
        if isinstance(path, Path) and ".shards-" in str(path):
            print("made", flush=True)
        real(path, array, **how)

    Hashing._vectors = slow
    shards.np.save = told
    encode(open_dataset(Workspace(Path(workspace)), dataset), text="hashing-256")


if __name__ == "__main__":
    main(*sys.argv[1:])
