"""`verify` finds every byte that changed, opening ends in no trace, and `repair` makes again what can be derived."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from app.stations.training.notes import Note, write_note
from seminar_core.cli.main import app, load_areas
from seminar_core.data.opening import open_dataset
from seminar_core.encoders.store import load_encodings
from seminar_core.errors import CorruptFileError, NotReadyError, SeminarError, UnknownNameError
from seminar_core.files import read_json, write_json
from seminar_core.processes import process_identity
from seminar_core.search.answer import retrieve
from seminar_core.search.population import population
from seminar_core.studies.integrity import verify
from seminar_core.studies.rebuilding import repair
from seminar_core.sums import SUMS, problems, read_sums, record, seal
from seminar_core.training.assess import evaluate_run
from seminar_core.training.run_files import read_status
from seminar_core.training.runs import load_run
from seminar_core.workspace import Workspace
from tests.tiny import write_table
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
    assert answer["rebuilt"] == [f"encodings/{folder.name}"] and not answer["lost"]
    assert np.array_equal(load_encodings(dataset).text_items, vectors) and verify(copied, "tiny")["ok"]
    weights = copied.run_dir("run") / "checkpoints" / "best" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(CorruptFileError, match="was changed or cut short"):
        load_run(copied, "run")
    (lost,) = repair(copied, "run")["lost"]
    assert lost["file"] == "checkpoints/best/weights.safetensors" and "train it again" in lost["hint"]


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_what_is_derived_of_a_run_is_made_again(copied):
    run = copied.run_dir("run")
    evaluate_run(copied, "run", device="cpu")
    population(copied, "run", spec=COARSE)
    measured = [next((run / kind).iterdir()) for kind in ("population", "results")]
    before = [read_json(measured[0]), retrieve(copied, "run", "p1", "i3", spec=COARSE)["approx"]]
    for path in (run / "codebooks" / COARSE / "tables.safetensors", *measured):
        flip_middle(path)
    assert not verify(copied, "run")["ok"]
    answer = repair(copied, "run")
    assert not answer["lost"] and [Path(part).parts[0] for part in answer["rebuilt"]] == [
        "codebooks",
        "population",
        "results",
    ]
    assert verify(copied, "run")["ok"]
    assert [read_json(measured[0]), retrieve(copied, "run", "p1", "i3", spec=COARSE)["approx"]] == before


def test_what_cannot_be_made_again_says_why_and_what_can_is(copied):
    run = copied.run_dir("run")
    population(copied, "run", spec=COARSE)
    flip_middle(next((run / "population").iterdir()))
    flip_middle(run / "metrics.jsonl")
    answer = repair(copied, "run")
    assert answer["rebuilt"] == [f"population/{COARSE}-6.json"]
    assert [row["file"] for row in answer["lost"]] == ["metrics.jsonl"]
    flip_middle(next((run / "population").iterdir()))
    (run / "checkpoints" / "best" / "weights.safetensors").write_bytes(b"")
    hints = {row["file"]: row["hint"] for row in repair(copied, "run")["lost"]}
    assert "was changed or cut short" in hints[f"population/{COARSE}-6.json"]


def test_the_sample_is_made_again_from_its_folder(tmp_path, monkeypatch):
    folder = write_table(tmp_path / "sample", people=5, items=8)
    write_json(folder / "manifest.json", {"sha256": "one"})
    monkeypatch.setenv("SEMINAR_SAMPLE_DIR", str(folder))
    workspace = Workspace(tmp_path / "workspace")
    made = open_dataset(workspace, "sample")
    load_encodings(made)
    (vectors,) = (made.path / "encodings").glob("text-*/items.npy")
    damaged = [made.path / "columns" / "item.npy", made.path / "events.parquet", vectors]
    whole = [path.read_bytes() for path in damaged]
    for path in damaged:
        flip_middle(path)
    (row, *_) = verify(workspace, "sample")["problems"]
    assert row["hint"] == "`repair` makes it again"
    answer = repair(workspace, "sample")
    assert not answer["lost"] and answer["rebuilt"][:2] == ["columns/item.npy", "events.parquet"]
    assert verify(workspace, "sample")["ok"] and [path.read_bytes() for path in damaged] == whole


def test_vectors_that_cannot_be_made_again_stay(copied, tmp_path):
    dataset = open_dataset(copied, "tiny")
    write_vectors = {"item": dataset.item_ids[1:], "vector": np.eye(dataset.n_items, 4, dtype=np.float32).tolist()}
    given = tmp_path / "given.parquet"
    pq.write_table(pa.table(write_vectors), given)
    load_encodings(dataset, text=f"given:{given}")
    (vectors,) = (dataset.path / "encodings").glob("text-given-*/items.npy")
    flip_middle(vectors)
    damaged = vectors.read_bytes()
    moved = given.rename(tmp_path / "moved.parquet")
    (lost,) = repair(copied, "tiny")["lost"]
    assert "given.parquet does not exist" in lost["hint"] and vectors.read_bytes() == damaged
    pq.write_table(pa.table(write_vectors | {"vector": [[1.0]] * dataset.n_items}), given)
    (lost,) = repair(copied, "tiny")["lost"]
    assert "now gives the vectors given-" in lost["hint"] and vectors.read_bytes() == damaged
    moved.rename(given)
    assert not repair(copied, "tiny")["lost"] and verify(copied, "tiny")["ok"]


def test_a_lost_checkpoint_is_noticed(copied):
    shutil.rmtree(copied.run_dir("run") / "checkpoints" / "best")
    assert [row["file"] for row in verify(copied, "run")["problems"]] == ["checkpoints/best"]
    shutil.rmtree(copied.run_dir("run") / "codebooks")  # made after the run was finished, and made again when asked for
    assert [row["file"] for row in repair(copied, "run")["lost"]] == ["checkpoints/best"]


def test_sums_that_were_changed_are_written_anew_where_the_files_are_those_they_name(copied):
    run = copied.run_dir("run")
    whole = (run / SUMS).read_text()
    (run / SUMS).write_text(whole.replace('"bytes": ', '"bytes": 1', 1))
    assert [row["problem"] for row in verify(copied, "run")["problems"]] == ["was changed"]
    assert repair(copied, "run")["rebuilt"] == [SUMS] and (run / SUMS).read_text() == whole
    (run / SUMS).write_text(whole.replace('"bytes": ', '"bytes": 1', 1))
    flip_middle(run / "metrics.jsonl")
    for content in ((run / SUMS).read_text(), "[", "{}", whole.replace("sha256", "sha257")):
        (run / SUMS).write_text(content)
        assert [row["file"] for row in repair(copied, "run")["lost"]] == [SUMS]
        assert (run / SUMS).read_text() == content


def test_the_commands_end_with_status_one_and_the_list(copied):
    load_areas()

    def ask(*words: str) -> tuple[int, dict]:
        result = CliRunner().invoke(app, [*words, "--json", "--workspace", str(copied.root)])
        return result.exit_code, json.loads(result.stdout)

    status, answer = ask("verify", "run")
    assert status == 0 and answer["files"] > 3 and answer["bytes"] > 1000 and answer["seconds"] > 0
    assert ask("repair", "run")[1] == {"name": "run", "kind": "run", "rebuilt": [], "lost": []}
    run = copied.run_dir("run")
    (run / "metrics.jsonl").unlink()
    flip_middle(run / "codebooks" / COARSE / "tables.safetensors")
    damaged = ["metrics.jsonl", f"codebooks/{COARSE}/tables.safetensors"]
    status, answer = ask("verify", "run")
    assert status == 1 and answer["error"]["kind"] == "corrupt_file" and {"files", "bytes", "seconds"} <= set(answer)
    assert sorted(row["file"] for row in answer["problems"]) == sorted(damaged)
    assert all(file in answer["error"]["message"] for file in damaged)
    status, answer = ask("repair", "run")
    assert status == 1 and answer["error"]["kind"] == "corrupt_file"
    assert answer["rebuilt"] == [f"codebooks/{COARSE}"] and [row["file"] for row in answer["lost"]] == damaged[:1]
    assert "metrics.jsonl is missing; made again" in answer["error"]["message"]
    assert "train the run again" in answer["error"]["hint"]


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
