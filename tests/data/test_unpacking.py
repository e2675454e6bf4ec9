"""A packed file may grow to what a log packs to, and to what the disk has room for."""

from __future__ import annotations

import gzip
from collections import namedtuple

import pytest

from seminar_core.data import unpacking
from seminar_core.data.importers.table import import_table
from seminar_core.errors import ResourceError


def test_a_small_file_that_grows_without_end_is_refused(workspace, tmp_path, monkeypatch):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"person,time,item\n" + b"p,1,a\n" * 2_000_000))
    assert import_table(workspace, path, "data")["events"] == 2_000_000  # 12 MB: what any file may hold
    monkeypatch.setattr(unpacking, "SMALL", 1 << 20)
    limit = (1 << 20) + 200 * path.stat().st_size
    with pytest.raises(ResourceError, match=f"events.csv.gz unpacks to more than {limit:,} bytes, 200 times"):
        import_table(workspace, path, "data")
    assert not list(workspace.datasets.glob(".partial-*"))


def test_a_file_that_would_fill_the_disk_is_refused(workspace, tmp_path, monkeypatch):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"person,time,item\np,1,a\n"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, 1 << 30))
    with pytest.raises(ResourceError, match="than the disk of the workspace has room for"):
        import_table(workspace, path, "data")
