"""What the documentation's tests share: a workspace in which the sample is read and encoded, copied for each page."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from seminar_core.search.study import open_study
from seminar_core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The sample with the vectors of its texts and pictures; read it, and copy it to write."""
    workspace = Workspace(tmp_path_factory.mktemp("encoded") / "workspace")
    open_study(workspace, "sample-seminar")
    return workspace


@pytest.fixture
def own(encoded: Workspace, tmp_path: Path) -> Workspace:
    """A copy to write to."""
    shutil.copytree(encoded.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def script(path: str) -> ModuleType:
    """A script of `docs/` as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{Path(path).stem}", ROOT / "docs" / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write() -> ModuleType:
    """`docs/site/write.py`."""
    return script("site/write.py")


@pytest.fixture(scope="session")
def make() -> ModuleType:
    """`docs/figures/make.py`."""
    return script("figures/make.py")
