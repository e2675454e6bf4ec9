"""Shards change no bit, survive any interruption, and are shared between processes, each made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seminar_core.data.opening import open_dataset
from seminar_core.encoders import encode, shards
from seminar_core.encoders.image import Histogram
from seminar_core.encoders.text import Hashing, TfidfSvd
from seminar_core.errors import Cancelled, NonFiniteError
from seminar_core.files import sha256_of
from seminar_core.progress import silent
from seminar_core.sums import problems
from seminar_core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"hashing-256": Hashing, "tfidf-svd-256": TfidfSvd, "histogram": Histogram}


@pytest.fixture
def data(planted, tmp_path):
    """A copy of the planted data set without vectors, in a workspace of its own."""
    shutil.copytree(planted.path.parents[2], tmp_path / "workspace", ignore=shutil.ignore_patterns("encodings"))
    return open_dataset(Workspace(tmp_path / "workspace"), "planted")


def vectors(data, name: str) -> Path:
    kind = "image" if name == "histogram" else "text"
    return data.path / "encodings" / f"{kind}-{name}"


def left(data) -> list[str]:
    return [p.name for p in (data.path / "encodings").iterdir() if p.name.startswith((".shards", ".partial"))]


@pytest.mark.parametrize("text", ["hashing-256", "tfidf-svd-256"])
def test_vectors_made_in_shards_are_those_made_at_once(data, text, monkeypatch):
    monkeypatch.setattr(shards, "SIZE", 64)
    answer = encode(data, text=text)
    for name in (text, "histogram"):
        whole = NAMES[name]().encode(data, silent)
        made = np.load(vectors(data, name) / "items.npy")
        assert np.array_equal(made, whole.items), name
        assert np.array_equal(np.load(vectors(data, name) / "items_present.npy"), whole.items_present)
        if whole.queries is not None:
            assert np.array_equal(np.load(vectors(data, name) / "queries.npy"), whole.queries)
        assert not problems(vectors(data, name), full=True)
    assert answer["text"] | {"encoder": text} == encode(data, text=text)["text"] and left(data) == []


def test_an_interrupted_encoding_goes_on_with_what_is_missing(data, monkeypatch):
    monkeypatch.setattr(shards, "SIZE", 40)
    made = []
    own = Hashing._vectors
    monkeypatch.setattr(Hashing, "_vectors", lambda self, texts: made.append(texts[0]) or own(self, texts))

    def stop(done: int, total: int, message: str) -> None:
        if done >= 3 * 40:
            raise Cancelled("stop", hint="again")

    with pytest.raises(Cancelled):
        encode(data, text="hashing-256", progress=stop)
    assert len(made) == 3 and left(data) == [".shards-1-text-hashing-256"]
    encode(data, text="hashing-256")
    assert len(made) == len(set(made)) == -(-(sum(len(rows) for rows, _ in work(data).tables.values())) // 40)
    assert left(data) == []


def work(data) -> shards.Work:
    found = shards.work_of(Hashing(), "text", data, silent)
    assert found is not None
    return found


def test_a_vector_that_is_not_finite_is_named_and_no_shard_is_kept_of_it(data, monkeypatch):
    monkeypatch.setattr(shards, "SIZE", 100)
    monkeypatch.setattr(Hashing, "_vectors", lambda self, texts: np.full((len(texts), 4), np.nan, np.float32))
    with pytest.raises(NonFiniteError, match="a vector of inputs 0 to 99 holds NaN"):
        encode(data, text="hashing-256")
    assert not list((data.path / "encodings").rglob("*.npy"))


def started(data, pause: str) -> subprocess.Popen[str]:
    words = [str(data.path.parents[2]), "planted", "40", pause]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.encoders.sharded_encode", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def contents(data) -> dict[str, str]:
    folder = vectors(data, "hashing-256")
    return {path.name: sha256_of(path) for path in folder.glob("*.npy")}


def test_a_killed_encoding_is_taken_up_to_the_same_bytes(data, monkeypatch):
    shards_of = data.path / "encodings" / ".shards-1-text-hashing-256"
    kept: list[Path] = []
    for _ in range(2):
        before, running, until = len(kept), started(data, "0.2"), time.monotonic() + 60
        while len(kept := list(shards_of.glob("0*.npy"))) == before and time.monotonic() < until:
            time.sleep(0.01)
        running.kill()
        running.wait()
        assert len(kept) > before
    assert not vectors(data, "hashing-256").exists()
    monkeypatch.setattr(shards, "SIZE", 40)
    encode(data, text="hashing-256")
    resumed = contents(data)
    shutil.rmtree(vectors(data, "hashing-256"))
    encode(data, text="hashing-256")
    assert contents(data) == resumed and left(data) == []


def test_two_processes_share_the_shards_and_make_each_once(data, monkeypatch):
    monkeypatch.setattr(shards, "SIZE", 40)
    both = [started(data, "0.3") for _ in range(2)]
    made = [process.communicate(timeout=120)[0].count("made") for process in both]
    pictures = -(-int(data.has_picture.sum()) // 40)
    assert [process.returncode for process in both] == [0, 0]
    assert sum(made) == work(data).shards + pictures and min(made) >= 1
    assert np.array_equal(np.load(vectors(data, "hashing-256") / "items.npy"), Hashing().encode(data, silent).items)


def test_a_shard_in_other_hands_is_left_to_them_until_they_die(tmp_path):
    with shards.claimed(tmp_path, 0) as mine, shards.claimed(tmp_path, 0) as again:
        assert mine and not again
    with shards.claimed(tmp_path, 0) as mine:
        assert mine
    with shards.claimed(tmp_path / "gone", 0) as mine:
        assert not mine
