"""Fixtures that every part shares: where the real data lies, and a workspace of its own for each test."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from seminar_core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run quick tests first, so that a broken basis is seen before the browser starts."""
    late = ("tests/app", "tests/journey", "tests/browser")
    items.sort(key=lambda item: next((i + 1 for i, part in enumerate(late) if part in str(item.fspath)), 0))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: this test compares with files that are not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def movielens_dir() -> Path:
    path = SHARED / "data" / "movielens-latest-small"
    if not path.is_dir():
        pytest.skip(
            "MovieLens latest-small is not there: put it beside the project as shared/data/movielens-latest-small"
        )
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")
