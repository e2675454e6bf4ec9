"""The first pages do not wait for what they do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "umap", "sklearn", "numba", "faiss", "pynndescent")


@pytest.mark.parametrize("station", ["home", "data"])
def test_a_first_page_imports_nothing_heavy(station):
    code = (
        f"import sys, app.streamlit_app, app.stations.{station}.view as view; assert view.render; "
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
