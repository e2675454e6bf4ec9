"""Codebooks: trained, encoded, saved, refused when they do not belong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from seminar_core.contracts import ChannelVectors
from seminar_core.errors import (
    ConfigError,
    CorruptFileError,
    EmptyDataError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    StaleError,
)
from seminar_core.retrieval import codebooks
from seminar_core.retrieval.codebooks import (
    content_hash,
    load_codebooks,
    save_codebooks,
    train_codebooks,
    vectors_hash,
)
from seminar_core.retrieval.events import pair_vectors
from seminar_core.retrieval.parts import PART_CHANNELS
from seminar_core.retrieval.spec import SpecError
from tests.retrieval.retrieval_worlds import life, targets, vectors

SPECS = ("QC16,RQ8x4fs", "QC16,OPQ,PQ8x4", "PQ8x8", "SQ8", "VQ16", "SymPQ8x4")


@pytest.fixture(scope="module")
def world() -> ChannelVectors:
    return vectors()


@pytest.fixture(scope="module")
def books(world):
    return train_codebooks("QC16,RQ8x4fs", world, targets(world))


@pytest.mark.parametrize("spec", SPECS)
def test_they_come_back_from_disk_as_they_were(world, tmp_path, spec):
    made = train_codebooks(spec, world, targets(world))
    save_codebooks(made, tmp_path / "books")
    read = load_codebooks(tmp_path / "books", world)
    assert repr(read) == repr(made) and read.identity == made.identity and read.distortion == made.distortion
    rows = targets(world, 3)[:, 0]
    for name, part in made.parts.items():
        assert (read.codes[name] == made.codes[name]).all()
        for mine, theirs in zip(part.tables(rows), read.parts[name].tables(rows), strict=True):
            assert (mine == theirs).all()


def test_a_score_is_the_targets_product_with_what_the_code_stands_for(world, books):
    rows = targets(world, 5)[:, 0]
    for name, part in books.parts.items():
        codes = books.codes[name]
        u = rows[:, PART_CHANNELS[name]].reshape(5, -1)
        found = part.scan(part.columns(codes), *part.tables(rows))
        np.testing.assert_allclose(found, u @ part.decode(codes).T, atol=1e-3)


def test_pairs_are_encoded_once_and_new_pairs_when_they_come(world):
    pairs = np.array([[1, 1], [2, 1], [3, 0], [1, 1]])
    books = train_codebooks("PQ8x4", world, targets(world), pairs=pairs)
    assert len(books.pair_key) == 2
    item, query = np.array([2, 9, 1]), np.array([1, 4, 1])
    expected = books.parts["pair"].encode(pair_vectors(world, item, query))
    assert (books.pair_codes(world, item, query) == expected).all()
    more = books.with_pairs(world, np.stack([item, query], 1))
    assert len(more.pair_key) == 3 and (np.diff(more.pair_key) > 0).all()
    assert (more.pair_codes(world, item, query) == expected).all()


def test_a_catalogue_without_queries_has_item_codes_alone(world):
    silent = ChannelVectors(world.item, world.item_present, np.zeros((1, 8), np.float32), np.zeros(1, bool))
    assert list(train_codebooks("PQ8x4", silent, targets(silent)).parts) == ["item"]


def test_chosen_parts_alone_are_trained(world):
    books = train_codebooks("PQ8x4", world, targets(world), only=("pair",))
    assert list(books.parts) == ["pair"] and books.bytes_per_event == 4


def test_codebooks_beat_the_mean_and_more_bytes_err_less(world):
    few, many = (train_codebooks(s, world, targets(world)).distortion for s in ("PQ4x4", "PQ16x4"))
    assert all(0 <= many[name] < few[name] < 1 for name in ("item", "pair"))


def test_distortion_is_measured_on_all_that_is_encoded_and_not_on_the_rows_of_the_training(world):
    asked = targets(world)
    books = train_codebooks("VQ16", world, asked, sample=16)  # a centroid of its own for each row of the training
    rows = {
        "item": world.item[world.item_present.any(1)].reshape(-1, 24),
        "query": world.query[world.query_present],
        "pair": pair_vectors(world, books.pair_key >> 32, books.pair_key & 0xFFFFFFFF),
    }
    for name, part in books.parts.items():
        u = asked[..., PART_CHANNELS[name], :].reshape(-1, rows[name].shape[1]).astype(np.float64)
        error = rows[name] - part.decode(part.encode(rows[name]))
        whole = ((rows[name] - part.transform.mean) @ u.T) ** 2
        assert books.distortion[name] == pytest.approx(((error @ u.T) ** 2).sum() / whole.sum(), rel=1e-4)
        assert books.distortion[name] > 0.1


def test_distortion_of_a_large_catalogue_is_measured_on_a_part_of_it(world, monkeypatch):
    whole = train_codebooks("PQ8x4", world, targets(world)).distortion
    monkeypatch.setattr(codebooks, "MEASURED_ROWS", 30)
    part = train_codebooks("PQ8x4", world, targets(world)).distortion
    assert part == train_codebooks("PQ8x4", world, targets(world)).distortion
    assert part["item"] != whole["item"] and part == pytest.approx(whole, rel=0.5)


def test_changed_vectors_make_them_stale(world, books, tmp_path):
    save_codebooks(books, tmp_path / "books")
    changed = ChannelVectors(world.item * 2, world.item_present, world.query, world.query_present)
    with pytest.raises(StaleError, match=vectors_hash(changed)):
        load_codebooks(tmp_path / "books", changed)


def test_vectors_whose_origin_is_known_are_known_again_on_another_processor(world, tmp_path):
    here = replace(world, origin="0123456789ab")
    elsewhere = replace(here, item=np.nextafter(world.item, np.float32(1)))  # rounded otherwise in the last bit
    save_codebooks(train_codebooks("PQ8x4", here, targets(here)), tmp_path / "books")
    load_codebooks(tmp_path / "books", elsewhere)
    with pytest.raises(StaleError, match="ba9876543210"):
        load_codebooks(tmp_path / "books", replace(elsewhere, origin="ba9876543210"))


def test_codebooks_from_before_origins_were_kept_are_known_by_content(world, books, tmp_path):
    save_codebooks(books, tmp_path / "books")
    assert books.vectors_hash == content_hash(world)
    load_codebooks(tmp_path / "books", replace(world, origin="0123456789ab"))


def test_vectors_whose_origin_is_known_are_not_read_whole(world, monkeypatch):
    known = replace(world, origin="abc")
    books = train_codebooks("PQ8x4", known, targets(world))
    read = []
    monkeypatch.setattr(codebooks, "content_hash", lambda vectors: read.append(vectors))
    books.check(known)
    assert read == []


@pytest.mark.parametrize("at", ["tables.safetensors", "codes.safetensors"])
def test_codebooks_that_are_replaced_while_they_are_read_are_read_again(world, books, tmp_path, monkeypatch, at):
    path, other = tmp_path / "books", train_codebooks("PQ8x4", world, targets(world), seed=9)
    save_codebooks(books, path)
    read, replaced = codebooks._read, []

    def replacing(file):
        if file.name == at and not replaced:
            replaced.append(save_codebooks(other, path))
        return read(file)

    monkeypatch.setattr(codebooks, "_read", replacing)
    assert replaced == [] and load_codebooks(path, world).identity == other.identity != books.identity


def test_codes_of_other_codebooks_are_refused(world, books, tmp_path):
    save_codebooks(books, tmp_path / "one")
    save_codebooks(train_codebooks("QC16,RQ8x4fs", world, targets(world), seed=5), tmp_path / "two")
    shutil.copy(tmp_path / "two" / "codes.safetensors", tmp_path / "one" / "codes.safetensors")
    with pytest.raises(StaleError, match="stand beside tables"):
        load_codebooks(tmp_path / "one", world)


@pytest.mark.parametrize("name", ["tables.safetensors", "codes.safetensors"])
def test_one_flipped_byte_is_noticed(books, world, tmp_path, name):
    save_codebooks(books, tmp_path / "books")
    path = tmp_path / "books" / name
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFileError, match=f"{name} was changed or cut short"):
        load_codebooks(tmp_path / "books", world)


def test_codebooks_without_recorded_sums_are_still_read(books, world, tmp_path):
    save_codebooks(books, tmp_path / "books")
    meta = json.loads((tmp_path / "books" / "meta.json").read_text())
    del meta["sha256"]
    (tmp_path / "books" / "meta.json").write_text(json.dumps(meta))
    assert load_codebooks(tmp_path / "books", world).identity == books.identity


def test_a_card_that_is_no_object_is_corrupt(books, world, tmp_path):
    save_codebooks(books, tmp_path / "books")
    (tmp_path / "books" / "meta.json").write_text("[]")
    with pytest.raises(CorruptFileError, match=r"meta\.json is no JSON object"):
        load_codebooks(tmp_path / "books", world)


def test_another_format_is_stale(books, world, tmp_path):
    save_codebooks(books, tmp_path / "books")
    meta = json.loads((tmp_path / "books" / "meta.json").read_text())
    (tmp_path / "books" / "meta.json").write_text(json.dumps({**meta, "format": 0}))
    with pytest.raises(StaleError, match="format 0"):
        load_codebooks(tmp_path / "books", world)


def test_files_that_are_missing_or_broken_are_named(books, world, tmp_path):
    with pytest.raises(MissingFileError):
        load_codebooks(tmp_path / "nowhere", world)
    save_codebooks(books, tmp_path / "books")
    (tmp_path / "books" / "codes.safetensors").write_bytes(b"not a table")
    with pytest.raises(CorruptFileError, match=r"codes\.safetensors"):
        load_codebooks(tmp_path / "books", world)
    (tmp_path / "books" / "codes.safetensors").unlink()
    with pytest.raises(MissingFileError, match=r"codes\.safetensors"):
        load_codebooks(tmp_path / "books", world)


def test_saving_again_replaces(books, world, tmp_path):
    save_codebooks(books, tmp_path / "books")
    save_codebooks(books, tmp_path / "books")
    assert [p.name for p in tmp_path.iterdir()] == ["books"]


@pytest.mark.parametrize(
    ("spec", "make", "error", "says"),
    [
        ("QC64,RQ8x4fs", lambda w: targets(w), SpecError, "64 dimensions but 4 channels of width 8 have 32"),
        ("PQ5x4", lambda w: targets(w), SpecError, "5 sub-spaces do not divide 32"),
        ("exact", lambda w: targets(w), SpecError, "needs no codebooks"),
        ("HNSW", lambda w: targets(w), SpecError, "needs no codebooks"),
        ("PQ8x4", lambda w: np.full_like(targets(w), np.nan), NonFiniteError, "targets hold NaN"),
        ("PQ8x4", lambda w: np.zeros_like(targets(w)), ConfigError, "all weights are zero"),
        ("PQ8x4", lambda w: targets(w)[..., :5], ShapeError, "targets"),
        ("fused,PQ8x4", lambda w: targets(w), ConfigError, "fixed weights"),
    ],
)
def test_bad_input_is_a_named_error(world, spec, make, error, says):
    with pytest.raises(error, match=says):
        train_codebooks(spec, world, make(world))


def test_nan_channel_vectors_are_refused_before_any_training(world):
    item = world.item.copy()
    item[3] = np.nan
    with pytest.raises(NonFiniteError):
        ChannelVectors(item, world.item_present, world.query, world.query_present)


def test_an_empty_catalogue_is_refused():
    none = ChannelVectors(
        np.zeros((1, 3, 8), np.float32), np.zeros((1, 3), bool), np.zeros((1, 8), np.float32), np.zeros(1, bool)
    )
    with pytest.raises(EmptyDataError, match="no item"):
        train_codebooks("PQ8x4", none, targets(none))


def test_targets_that_ignore_a_part_still_code_it(world):
    """Query weight zero in every target: query codes exist and score zero."""
    blind = targets(world)
    blind[:, :, 0] = 0
    books = train_codebooks("QC8,RQ4x4fs", world, blind)
    part = books.parts["query"]
    assert not part.scan(part.columns(books.codes["query"]), *part.tables(blind[:3, 0])).any()


def test_training_is_decided_by_its_seed(world):
    one, two, three = (train_codebooks("QC16,RQ4x4fs", world, targets(world), seed=s).identity for s in (0, 0, 1))
    assert one == two != three


def test_long_work_can_be_stopped(world):
    class Stop(Exception):
        pass

    def progress(done: int, total: int, message: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        train_codebooks("PQ8x4", world, targets(world), progress=progress)


def test_codes_are_read_by_row(world, books):
    events = life(world)
    assert books.codes["item"].shape == (len(world.item), 8) and len(books.codes["item"][events.item]) == len(events)
