"""What comes along with the package: the app, the bundled sample and the benchmarks, in a checkout or installed.

Foundation. A checkout has these folders beside `seminar_core/`; the wheel carries them inside it, under `bundled/`.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def beside(folder: str) -> Path:
    """Where `app`, `sample_data` or `benchmarks` lies.

    The parent of `app` and `benchmarks` is what goes on the import path. In a checkout the folder need not exist: a
    command may be about to write it.
    """
    inside = PACKAGE / "bundled"
    return (inside if inside.is_dir() else PACKAGE.parent) / folder
