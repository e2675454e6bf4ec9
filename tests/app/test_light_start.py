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


def test_the_collection_after_every_run_leaves_out_what_was_imported():
    code = (
        "import gc, app.streamlit_app, app.loaders as loaders; loaders.warm_up().join(); "
        "print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    walked, left_out = map(int, done.stdout.split())
    assert left_out > 100_000 and walked < left_out / 10
