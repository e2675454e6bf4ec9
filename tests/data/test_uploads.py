"""Uploads are kept within limits, imported under the names they came with, and are gone at the end."""

from __future__ import annotations

import io
import shutil
from types import SimpleNamespace

import pytest

from seminar_core.data.importers.table import import_table
from seminar_core.data.intake import uploads
from seminar_core.data.intake.uploads import UploadLimits, keep_upload
from seminar_core.data.limits import Terms
from seminar_core.data.opening import open_dataset
from seminar_core.data.versions import offered
from seminar_core.errors import ConfigError, InvalidDataError, MissingColumnError, ResourceError

EVENTS = b"person,time,item\na,1,x\na,2,y\nb,3,x\n"


class Upload(io.BytesIO):
    """As Streamlit gives it, read to its end already."""

    def __init__(self, name: str, text: bytes):
        super().__init__(text)
        self.name, self.size = name, len(text)
        self.read()


def files(text: bytes = EVENTS, name: str = "e.csv", items: Upload | None = None) -> dict:
    return {"events": Upload(name, text), "items": items}


def test_an_upload_is_imported_without_a_path_of_the_server_and_its_folder_is_gone(workspace):
    items = Upload("Things.TSV", b"item\ttitle\nx\t<b>X</b>\ny\tY\n")
    folder = keep_upload(workspace, files(items=items), UploadLimits())
    assert sorted(path.name for path in folder.iterdir()) == ["events.csv", "items.tsv", "names.json"]
    assert import_table(workspace, folder, "mine")["events"] == 3
    data = open_dataset(workspace, "mine")
    assert data.titles[1] == "<b>X</b>"
    assert data.manifest["source"] == {"format": "table", "path": "e.csv, Things.TSV", "uploaded": True}
    assert not list(workspace.root.glob(".upload-*"))


def test_what_is_wrong_names_the_file_as_it_was_uploaded_and_the_folder_is_gone(workspace):
    folder = keep_upload(workspace, files(b"who,time,item\na,1,x\n", "Mein Log.csv"), UploadLimits())
    with pytest.raises(MissingColumnError) as refused:
        import_table(workspace, folder, "mine")
    assert refused.value.message.startswith("Mein Log.csv has no column 'person'")
    assert ".upload" not in refused.value.message + refused.value.hint
    assert not list(workspace.root.glob(".upload-*"))


def test_an_upload_of_another_kind_or_size_is_refused_and_leaves_nothing(workspace, monkeypatch):
    with pytest.raises(InvalidDataError, match=r"e\.xls ends in none of \.parquet, \.csv"):
        keep_upload(workspace, files(name="e.xls"), UploadLimits())
    with pytest.raises(ResourceError, match=r"the upload has 2\.0 MB, at most 1 MB may be uploaded") as refused:
        keep_upload(workspace, files(b"x" * 2_000_000), UploadLimits(size_mb=1))
    assert "SEMINAR_UPLOAD_MB" in refused.value.hint
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=50))
    with pytest.raises(ResourceError, match=r"the disk of the workspace has 0\.0 MB free"):
        keep_upload(workspace, files(), UploadLimits())
    assert not workspace.root.exists()


def test_more_rows_than_may_be_are_refused_with_both_numbers_before_they_are_read(workspace, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"person": ["a"] * 9, "time": [1] * 9, "item": ["x"] * 9}), tmp_path / "events.parquet")
    (tmp_path / "log.csv").write_bytes(EVENTS)
    read = []
    monkeypatch.setattr("seminar_core.data.importers.table.open_events", lambda *a: read.append(a))
    with pytest.raises(ResourceError, match="has 9 rows, at most 8 may be imported"):
        import_table(workspace, tmp_path / "events.parquet", "mine", terms=Terms(most_rows=8))
    assert not read
    monkeypatch.undo()
    with pytest.raises(ResourceError, match="has 3 rows, at most 2 may be imported") as refused:
        import_table(workspace, tmp_path / "log.csv", "mine", terms=Terms(most_rows=2))
    assert "--most-rows" in refused.value.hint and "SEMINAR_UPLOAD_ROWS" in refused.value.hint
    assert import_table(workspace, tmp_path / "log.csv", "mine", terms=Terms(most_rows=3))["events"] == 3


def test_the_answer_names_the_version_that_waits(workspace, tmp_path):
    (tmp_path / "log.csv").write_bytes(EVENTS)
    assert "offered" not in import_table(workspace, tmp_path / "log.csv", "mine", terms=Terms(offer=True))
    (tmp_path / "log.csv").write_bytes(EVENTS + b"c,9,z\n")
    answer = import_table(workspace, tmp_path / "log.csv", "mine", terms=Terms(offer=True))
    assert answer["offered"] == offered(workspace, "mine") and open_dataset(workspace, "mine").n_people == 2


def test_limits_are_read_from_the_environment_and_nonsense_is_named(monkeypatch):
    monkeypatch.setenv("SEMINAR_UPLOAD_ROWS", "1000")
    monkeypatch.setenv("SEMINAR_UPLOAD_SECONDS", "7")
    assert UploadLimits.of_environment().words() == [
        "--most-rows", "1000", "--most-memory-mb", "2000", "--most-seconds", "7"
    ]  # fmt: skip
    monkeypatch.setenv("SEMINAR_UPLOAD_MEMORY_MB", "lots")
    with pytest.raises(ConfigError, match="SEMINAR_UPLOAD_MEMORY_MB is 'lots', expected a whole number from 1"):
        UploadLimits.of_environment()


def test_a_waiting_job_holds_its_upload_against_the_janitor(workspace):
    import os
    import time

    from seminar_core.data.stages import remove_leftovers

    folder = keep_upload(workspace, files(), UploadLimits())
    os.utime(folder, (time.time() - 3600, time.time() - 3600))
    uploads.hold_upload(workspace, [folder, workspace.root / "other"])
    assert remove_leftovers(workspace) == [] and folder.is_dir()
    while uploads._HELD:
        os.close(uploads._HELD.pop())
    assert remove_leftovers(workspace) == [folder]
