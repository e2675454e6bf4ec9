"""`verify` finds every byte that changed, opening ends in no trace, and `repair` makes again what can be derived."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.stations.training.notes import Note, write_note
from seminar_core.data.opening import open_dataset
from seminar_core.encoders.store import load_encodings
from seminar_core.errors import CorruptFileError, NotReadyError, SeminarError, UnknownNameError
from seminar_core.files import write_json
from seminar_core.processes import process_identity
from seminar_core.search.answer import retrieve
from seminar_core.search.population import population
from seminar_core.studies.integrity import repair, verify
from seminar_core.sums import SUMS, problems, read_sums, record, seal
from seminar_core.training.assess import evaluate_run
from seminar_core.training.run_files import read_status
from seminar_core.training.runs import load_run
from seminar_core.workspace import Workspace
from tests.tiny_run import COARSE, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    """A data set "tiny" and a run "run" with codebooks, never changed by a test."""
    return make_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def copied(made, tmp_path) -> Workspace:
    shutil.copytree(made.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def kept_files(workspace: Workspace) -> list[tuple[str, Path]]:
    """Every file of the data set and of the run, with the name that `verify` takes."""
    version = next(p for p in workspace.dataset_dir("tiny").iterdir() if p.is_dir())
    of_data = [("tiny", p) for p in version.rglob("*")] + [("tiny", workspace.dataset_dir("tiny") / "dataset.json")]
    of_run = [("run", p) for p in workspace.run_dir("run").rglob("*")]
    return sorted(
        (n, p) for n, p in of_data + of_run if p.is_file() and not p.name.startswith(".") and p.stat().st_size
    )


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def noticed(workspace: Workspace, name: str) -> bool:
    try:
        return not verify(workspace, name)["ok"]
    except SeminarError:
        return True


def check_flips(workspace: Workspace, count: int, seed: int) -> None:
    rng = random.Random(seed)
    files = kept_files(workspace)
    for _ in range(count):
        name, path = rng.choice(files)
        before = path.read_bytes()
        flip(path, rng)
        assert noticed(workspace, name), path
        path.write_bytes(before)
    assert verify(workspace, "tiny")["ok"] and verify(workspace, "run")["ok"]


def test_whole_things_are_whole(made):
    for name, kind in (("tiny", "dataset"), ("run", "run"), ("sample-seminar", "run")):
        found = verify(made, name)
        assert (
            found["ok"] and found["sealed"] and found["kind"] == kind and found["files"] > 3 and found["bytes"] > 1000
        )


def test_forty_flipped_bytes_are_found(copied):
    check_flips(copied, 40, seed=1)


@pytest.mark.slow
def test_five_hundred_flipped_bytes_are_found(copied):
    check_flips(copied, 500, seed=2)


def test_what_is_opened_with_damage_is_refused_by_name_or_reads_the_same(copied):
    """At both ends of every file, where headers are: never a trace."""
    version = next(p for p in copied.dataset_dir("tiny").iterdir() if p.is_dir())
    for path in sorted(p for p in version.glob("*") if p.is_file() and p.name != SUMS and p.stat().st_size):
        before = path.read_bytes()
        for at in (0, len(before) // 2, len(before) - 1):
            data = bytearray(before)
            data[at] ^= 0x40
            path.write_bytes(bytes(data))
            if len(before) <= 8192:
                with pytest.raises(SeminarError):
                    open_dataset(copied, "tiny")
        path.write_bytes(before)
    open_dataset(copied, "tiny")


def test_damaged_vectors_and_checkpoints_are_refused_and_repair_makes_the_vectors_again(copied):
    dataset = open_dataset(copied, "tiny")
    folder = next(p for p in (dataset.path / "encodings").iterdir() if p.name.startswith("text-"))
    vectors = np.load(folder / "items.npy")
    flip_at = (folder / "items.npy").stat().st_size - 5
    with (folder / "items.npy").open("r+b") as file:
        file.seek(flip_at)
        file.write(b"\x7f")
    with pytest.raises(CorruptFileError, match="text vectors of data set 'tiny' were changed") as caught:
        load_encodings(dataset)
    assert "repair" in caught.value.hint
    answer = repair(copied, "tiny")
    assert answer["repaired"] == [f"encodings/{folder.name}"] and not answer["left"]
    assert np.array_equal(load_encodings(dataset).text_items, vectors) and verify(copied, "tiny")["ok"]
    weights = copied.run_dir("run") / "checkpoints" / "best" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(CorruptFileError, match="was changed or cut short"):
        load_run(copied, "run")
    (left,) = repair(copied, "run")["left"]
    assert left["file"] == "checkpoints/best/weights.safetensors" and "train the run again" in left["hint"]


def test_damaged_codebooks_are_taken_away_and_asked_for(copied):
    tables = copied.run_dir("run") / "codebooks" / COARSE / "tables.safetensors"
    data = bytearray(tables.read_bytes())
    data[len(data) // 2] ^= 1
    tables.write_bytes(bytes(data))
    assert repair(copied, "run")["repaired"] == [f"codebooks/{COARSE}"]
    with pytest.raises(NotReadyError):
        retrieve(copied, "run", "p1", "i3", spec=COARSE)


def test_a_run_in_training_is_not_repaired_and_unknown_names_are_listed(copied):
    status = read_status(copied.run_dir("run"))
    tables = copied.run_dir("run") / "codebooks" / COARSE / "tables.safetensors"
    tables.unlink()
    running = {**status, "state": "running", "pid": os.getpid(), "pid_identity": process_identity(os.getpid())}
    write_json(copied.run_dir("run") / "status.json", running)
    with pytest.raises(NotReadyError, match="is being trained"):
        repair(copied, "run")
    with pytest.raises(UnknownNameError, match="data set or run 'nothing' is not known"):
        verify(copied, "nothing")


def test_a_folder_inside_with_sums_of_its_own_is_left_to_them(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "inner" / "b").write_text("b")
    seal(tmp_path / "inner")
    seal(tmp_path)
    (tmp_path / "inner" / "b").write_text("c")
    assert not problems(tmp_path, full=True)
    assert problems(tmp_path / "inner", full=False) == [{"file": "b", "problem": "was changed"}]


def test_what_is_measured_is_recorded_and_blesses_no_other_file(copied):
    run = copied.run_dir("run")
    card = run / "run.json"
    card.write_text(card.read_text().replace('"seed": 0', '"seed": 1'))
    evaluate_run(copied, "run", device="cpu")
    population(copied, "run", spec=COARSE)
    measured = {str(path.relative_to(run)) for kind in ("results", "population") for path in (run / kind).glob("*")}
    assert len(measured) == 3 and measured <= set(read_sums(run))
    assert [problem["file"] for problem in verify(copied, "run")["problems"]] == ["run.json"]


def test_measuring_leaves_sums_that_were_changed_as_they_are(copied):
    sums = copied.run_dir("run") / SUMS
    sums.write_text(sums.read_text().replace('"bytes": ', '"bytes": 1', 1))
    before = sums.read_text()
    evaluate_run(copied, "run", device="cpu")
    assert sums.read_text() == before and not verify(copied, "run")["ok"]


def test_a_note_on_a_run_is_no_part_of_it(copied):
    run = copied.run_dir("run")
    for recorded_by_an_older_version in (False, True):
        write_note(copied, "run", Note("first"))
        if recorded_by_an_older_version:
            record(run, [run / "note.json"])
        else:
            seal(run)
            assert "note.json" not in read_sums(run)
        write_note(copied, "run", Note("second"))
        assert verify(copied, "run")["ok"]
