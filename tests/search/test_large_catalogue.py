"""The vectors of a large catalogue are a memory map and its codes are made in blocks: the answers are the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from seminar_core.contracts import ChannelVectors, all_finite
from seminar_core.errors import NonFiniteError
from seminar_core.files import mapped_table, sha256_of
from seminar_core.retrieval import codebooks
from seminar_core.search.answer import retrieve
from seminar_core.search.study import open_study, training_targets
from seminar_core.training import assembly, runs
from seminar_core.training.runs import load_run
from seminar_core.workspace import Workspace
from tests.tiny_run import COARSE, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    return make_run(tmp_path_factory.mktemp("large"))


def is_mapped(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def file_at(address: int) -> str:
    """The file that this process has mapped at an address; empty where it is plain memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        places, *rest = line.split(maxsplit=5)
        first, last = (int(place, 16) for place in places.split("-"))
        if first <= address < last:
            return rest[4] if len(rest) == 5 else ""
    return ""


def test_mapped_vectors_are_those_in_memory_and_leave_no_file(made, monkeypatch):
    plain = load_run(made, "run").channel_vectors()
    answer = retrieve(made, "run", "p1", "i3", spec=COARSE)
    before = sorted(made.run_dir("run").rglob("*"))
    monkeypatch.setattr(runs, "MAPPED_FROM", 0)
    mapped = load_run(made, "run").channel_vectors()
    assert is_mapped(mapped.item) and not is_mapped(plain.item)
    for name in ("item", "item_present", "query", "query_present"):
        assert np.array_equal(getattr(mapped, name), getattr(plain, name)), name
    assert mapped.origin == plain.origin and sorted(made.run_dir("run").rglob("*")) == before
    again = retrieve(made, "run", "p1", "i3", spec=COARSE)
    assert {**again, "latency_us": 0} == {**answer, "latency_us": 0}


def test_a_model_on_mapped_encodings_answers_as_on_copies_and_leaves_their_files_alone(made, monkeypatch):
    answer = retrieve(made, "run", "p1", "i3", spec=COARSE)
    copied = load_run(made, "run")
    files = sorted(copied.dataset.path.glob("encodings/*/*.npy"))
    sums = [sha256_of(path) for path in files]
    monkeypatch.setattr(assembly, "MAPPED_FROM", 0)
    mapped = load_run(made, "run")
    table = mapped.model.channels.text_items
    assert torch.equal(table, copied.model.channels.text_items) and file_at(table.data_ptr()).endswith("items.npy")
    assert not file_at(copied.model.channels.text_items.data_ptr()).endswith("items.npy")
    again = retrieve(made, "run", "p1", "i3", spec=COARSE)
    assert {**again, "latency_us": 0} == {**answer, "latency_us": 0}
    table[1] = 9.0
    assert [sha256_of(path) for path in files] == sums


def test_a_catalogue_that_is_encoded_in_blocks_has_the_same_codes(made, monkeypatch):
    study = open_study(made, "run")
    targets = training_targets(study, count=64)
    whole = codebooks.train_codebooks("PQ4x4", study.vectors, targets)
    monkeypatch.setattr(codebooks, "ENCODED_ROWS", 7)
    parts = codebooks.train_codebooks("PQ4x4", study.vectors, targets)
    assert whole.identity == parts.identity
    for name, codes in whole.codes.items():
        assert np.array_equal(parts.codes[name], codes), name


def test_a_value_that_is_not_finite_is_found_in_any_block():
    table = np.zeros((10, 3, 4), np.float32)
    assert all_finite(table, block=3)
    table[9, 2, 3] = np.nan
    assert not all_finite(table, block=3)
    with pytest.raises(NonFiniteError):
        ChannelVectors(table, np.ones((10, 3), bool), np.zeros((2, 4), np.float32), np.zeros(2, bool))


def test_a_disk_without_room_for_the_map_is_an_error_and_no_death(monkeypatch, tmp_path):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (tmp_path / "table").open("w+b") as file, pytest.raises(OSError, match="No space left"):
        mapped_table(file, (10, 4))
