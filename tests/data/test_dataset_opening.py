"""Opening data sets: cheap, lazy, safe names, the sample imported when it is needed, by many processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seminar_core.data.opening import import_sample, list_datasets, open_dataset
from seminar_core.data.sequence_store import SequenceStore
from seminar_core.errors import (
    CorruptFileError,
    MissingFileError,
    StaleError,
    UnknownDatasetError,
    UnknownItemError,
    UnsafePathError,
)
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset, write_table


@pytest.fixture
def sample_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny stand-in for the bundled sample."""
    path = write_table(tmp_path / "sample", people=5, items=8)
    (path / "manifest.json").write_text('{"sha256": "one"}')
    monkeypatch.setenv("SEMINAR_SAMPLE_DIR", str(path))
    return path


def test_the_sample_is_imported_when_first_opened_and_again_when_it_changed(
    workspace: Workspace, sample_dir: Path
) -> None:
    first = open_dataset(workspace, "sample")
    made = (first.path / "manifest.json").stat().st_mtime_ns
    assert first.n_people == 5
    assert (open_dataset(workspace, "sample").path / "manifest.json").stat().st_mtime_ns == made
    write_table(sample_dir, people=7, items=8)
    (sample_dir / "manifest.json").write_text('{"sha256": "two"}')
    assert open_dataset(workspace, "sample").n_people == 7


def test_a_workspace_with_the_sample_works_without_its_folder(workspace: Workspace, sample_dir: Path) -> None:
    open_dataset(workspace, "sample")
    (sample_dir / "manifest.json").unlink()
    assert open_dataset(workspace, "sample").n_people == 5


def test_a_sample_that_is_nowhere(workspace: Workspace, sample_dir: Path) -> None:
    (sample_dir / "manifest.json").unlink()
    with pytest.raises(MissingFileError, match="bundled sample is not there") as caught:
        open_dataset(workspace, "sample")
    assert "python -m seminar_core sample" in caught.value.hint


def test_two_processes_open_the_sample_at_once(workspace: Workspace, sample_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from seminar_core.workspace import Workspace\n"
        "from seminar_core.data.opening import open_dataset\n"
        "print(open_dataset(Workspace(Path(sys.argv[1])), 'sample').store.n_events)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate()[0].strip() for process in processes]
    assert answers == [str(open_dataset(workspace, "sample").n_events)] * 2
    assert [process.returncode for process in processes] == [0, 0]


def test_opening_is_cheap(workspace: Workspace) -> None:
    make_dataset(workspace, people=5, items=8)
    started = time.process_time()
    for _ in range(10):
        open_dataset(workspace, "tiny").store.life(0)
    assert (time.process_time() - started) / 10 < 0.05


def test_an_unknown_data_set_lists_the_known_ones(workspace: Workspace, sample_dir: Path) -> None:
    make_dataset(workspace, people=5, items=8)
    with pytest.raises(UnknownDatasetError, match="'tinny' is not known; known: sample, tiny") as caught:
        open_dataset(workspace, "tinny")
    assert caught.value.hint == "did you mean 'tiny'?"
    with pytest.raises(UnsafePathError):
        open_dataset(workspace, "../tiny")


def test_an_unknown_item_names_near_ones(workspace: Workspace) -> None:
    with pytest.raises(UnknownItemError, match="item 'i77' is not known") as caught:
        make_dataset(workspace, people=5, items=8).item_row("i77")
    assert caught.value.hint == "did you mean 'i7'?"


def test_the_list_shows_every_data_set_and_what_is_damaged(workspace: Workspace, sample_dir: Path) -> None:
    good = make_dataset(workspace, people=5, items=8)
    bad = make_dataset(workspace, name="bad", people=4, items=8)
    (bad.path / "manifest.json").write_text("{")
    rows = {row["dataset"]: row for row in list_datasets(workspace)}
    assert set(rows) == {"sample", "tiny", "bad"}
    assert (rows["tiny"]["events"], rows["tiny"]["people"], rows["tiny"]["hash"]) == (good.n_events, 5, good.hash)
    assert rows["sample"]["events"] is None  # not imported yet
    assert "not readable JSON" in rows["bad"]["error"]


def test_a_data_set_of_another_format_asks_for_a_new_import(workspace: Workspace) -> None:
    manifest = make_dataset(workspace, people=5, items=8).path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(StaleError, match="is of format 99, this is format 1") as caught:
        open_dataset(workspace, "tiny")
    assert caught.value.hint == "import it again"


def test_a_sample_of_another_format_is_imported_again(workspace: Workspace, sample_dir: Path) -> None:
    manifest = open_dataset(workspace, "sample").path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 99'))
    assert open_dataset(workspace, "sample").n_people == 5


def test_damage_to_the_sample_is_told_and_mended_by_an_import_that_is_asked_for(
    workspace: Workspace, sample_dir: Path
) -> None:
    path = open_dataset(workspace, "sample").path
    item = path / "columns" / "item.npy"
    whole = item.read_bytes()
    item.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for _ in range(2):
        with pytest.raises(CorruptFileError, match=r"item\.npy was changed") as caught:
            open_dataset(workspace, "sample")
    assert "`repair` makes again" in caught.value.hint
    import_sample(workspace, again=True)
    assert open_dataset(workspace, "sample").path == path and item.read_bytes() == whole
    (path / "manifest.json").write_text("{")  # nothing says of which sample it is: as if there were none
    assert open_dataset(workspace, "sample").n_people == 5


def test_a_pointer_that_leads_out_of_the_data_set(workspace: Workspace) -> None:
    data = make_dataset(workspace, people=5, items=8)
    (data.path.parent / "dataset.json").write_text(json.dumps({"current": "../../elsewhere"}))
    with pytest.raises(UnsafePathError):
        open_dataset(workspace, "tiny")


def test_damaged_columns_are_named(workspace: Workspace) -> None:
    columns = make_dataset(workspace, people=5, items=8).path / "columns"
    np.save(columns / "item.npy", np.zeros(3, dtype=np.int32))
    with pytest.raises(CorruptFileError, match="do not fit offsets"):
        SequenceStore(columns)
    (columns / "item.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CorruptFileError, match=r"item\.npy cannot be read"):
        SequenceStore(columns)
    np.save(columns / "item.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptFileError, match=r"item\.npy cannot be read"):
        SequenceStore(columns)


def test_columns_are_mapped_and_cannot_be_written(workspace: Workspace) -> None:
    store = make_dataset(workspace, people=5, items=8).store
    assert isinstance(store.item, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.item[0] = 1
