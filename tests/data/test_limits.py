"""A packed file may grow to what a log packs to and the disk has room for; names must fit into memory."""

from __future__ import annotations

import gzip
from collections import namedtuple

import pytest

from seminar_core.data import limits
from seminar_core.data.importers.table import import_table
from seminar_core.errors import ResourceError
from tests.tiny import write_table


def test_a_small_file_that_grows_without_end_is_refused(workspace, tmp_path, monkeypatch):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"person,time,item\n" + b"p,1,a\n" * 200_000))
    assert import_table(workspace, path, "data")["events"] == 200_000  # 1.2 MB: what any file may hold
    monkeypatch.setattr(limits, "SMALL", 1 << 18)
    limit = (1 << 18) + 200 * path.stat().st_size
    with pytest.raises(ResourceError, match=f"events.csv.gz unpacks to more than {limit:,} bytes, 200 times"):
        import_table(workspace, path, "data")
    assert not list(workspace.datasets.glob(".partial-*"))


def test_a_file_that_would_fill_the_disk_is_refused(workspace, tmp_path, monkeypatch):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"person,time,item\np,1,a\n"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, 1 << 30))
    with pytest.raises(ResourceError, match="than the disk of the workspace has room for"):
        import_table(workspace, path, "data")


def test_as_many_names_as_fit_are_imported_and_more_are_refused(workspace, tmp_path, monkeypatch):
    path = tmp_path / "events.csv"
    rows = "".join(f"p{n % 500},{n},i{n},query {n}\n" for n in range(4_000))
    path.write_text("person,time,item,query\n" + rows)
    need = limits.BASE + 4_000 * limits.EVENT_BYTES + 500 * 500 + 4_000 * 750 + 4_000 * 450
    monkeypatch.setattr(limits, "free_memory", lambda: round(need * 1.001 / limits.SHARE))
    assert import_table(workspace, path, "data")["events"] == 4_000  # a bound of 4,000 people would not have fitted
    monkeypatch.setattr(limits, "free_memory", lambda: round((need - 1_000_000) / limits.SHARE))
    with pytest.raises(ResourceError) as caught:
        import_table(workspace, path, "more")
    said = caught.value.message
    assert (
        str(path) in said
        and "different values of person" in said
        and "building the data set needs 0.3 GB of memory, 0.4 GB are free" in said
    )
    assert not (workspace.datasets / "more").exists() and not list(workspace.datasets.glob(".partial-*"))


def test_a_catalogue_that_does_not_fit_is_refused_before_it_is_read(workspace, tmp_path, monkeypatch):
    path = write_table(tmp_path / "in", people=3, items=9)
    monkeypatch.setattr(limits, "free_memory", lambda: round((limits.BASE + 8 * 2_000) / limits.SHARE))
    with pytest.raises(ResourceError, match=r"items\.parquet has about 9 different values of item"):
        import_table(workspace, path, "data")
