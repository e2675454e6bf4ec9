"""What comes along with the package: the app, the bundled sample and the benchmarks, in a checkout or installed.

Foundation. A checkout has these folders beside `seminar_core/`; the wheel carries them inside it, under `bundled/`.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def beside(folder: str) -> Path:
    """Where `app`, `sample_data` or `benchmarks` lies.

    The parent of `app` and `benchmarks` is what goes on the import path. In a checkout the folder need not exist: a
    command may be about to write it.
    """
    inside = PACKAGE / "bundled"
    return (inside if inside.is_dir() else PACKAGE.parent) / folder


def sample_directory() -> Path:
    """Where the bundled sample lies: `$SEMINAR_SAMPLE_DIR`, else `sample_data/` beside or inside the package."""
    return Path(os.environ.get("SEMINAR_SAMPLE_DIR") or beside("sample_data"))


def bundled_runs() -> dict[str, Path]:
    """Name -> directory of the trained runs that come with the sample; they are read and never written."""
    folder = sample_directory() / "run"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return {name: folder / name for name in names if name[0] != "." and (folder / name / "run.json").is_file()}
