"""The first pages do not wait for what they do not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.stations.life import loaders as sources
from seminar_core.beside import bundled_runs
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "umap", "sklearn", "numba", "faiss", "pynndescent")


def said_by(code: str, workspace: Path) -> list[str]:
    """Words that a process of its own prints."""
    env = {**os.environ, "SEMINAR_WORKSPACE": str(workspace)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("station", ["home", "data"])
def test_a_first_page_imports_nothing_heavy(station):
    code = (
        f"import sys, app.streamlit_app, app.stations.{station}.view as view; assert view.render; "
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.skipif(not bundled_runs(), reason="no run lies in sample_data/run")
def test_the_samples_first_answer_is_shown_before_anything_heavy_is_imported(tmp_path):
    """In a workspace that nobody has opened, where texts and pictures are not even encoded."""
    page = "from app import state, streamlit_app; state.begin(); streamlit_app.station('retrieval'); state.finish()"
    code = (
        f"import sys; from streamlit.testing.v1 import AppTest; from app.stations.retrieval import loaders as sources; "
        f"sources.open_ahead = lambda *asked: None; at = AppTest.from_string({page!r}, default_timeout=60).run(); "
        f"words = ' '.join(one.value for one in at.markdown); "
        f"print(not at.exception, 'Exact score' in words, *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    assert said_by(code, tmp_path) == ["True", "True"]
    assert not list(tmp_path.glob("datasets/sample/*/encodings/*"))


def test_an_answer_of_retrieval_waits_for_torch_and_not_for_statistics():
    code = "import sys, seminar_core.search.trace; print('scipy.stats' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_collection_after_every_run_leaves_out_what_was_imported():
    code = (
        "import gc, app.streamlit_app, app.loaders as loaders; loaders.warm_up().join(); "
        "print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    walked, left_out = map(int, done.stdout.split())
    assert left_out > 100_000 and walked < left_out / 10


@pytest.mark.skipif(not bundled_runs(), reason="no run lies in sample_data/run")
def test_home_takes_the_answer_that_is_kept_where_the_sample_is_encoded_too(open_app, tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "new")
    monkeypatch.setattr(sources, "_interests", lambda *asked: pytest.fail(f"worked out again: {asked}"))
    monkeypatch.setattr("seminar_core.encoders.is_encoded", lambda *asked, **named: True)
    at = open_app(workspace, "home", dataset="sample")
    assert not at.exception and "person p0302, 1,951 events" in words_of(at)


def test_the_server_begins_with_what_every_first_page_needs(tmp_path):
    code = (
        "import sys, threading; from app import startup; startup.prepare(); "
        "[t.join() for t in threading.enumerate() if t.name == 'first-imports']; "
        f"assert all(name in sys.modules for name in startup.FIRST); print(*(n for n in {HEAVY!r} if n in sys.modules))"
    )
    assert said_by(code, tmp_path) == []
