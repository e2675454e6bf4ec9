"""The bound that refuses a training is near what the models really hold, and both of its numbers are told."""

from pathlib import Path

import pytest

from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError
from seminar_core.training import room
from seminar_core.training.assembly import build_psu, build_ranker, gather_material
from seminar_core.training.recipe import BatchConfig, EncoderConfig, ModelConfig, ObjectiveConfig
from tests.training.tiny_training import tiny_workspace

MODEL = ModelConfig(width=64, hidden=512)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("room")
    return gather_material(open_dataset(tiny_workspace(folder), "tiny"), EncoderConfig())


@pytest.mark.parametrize("ranker", [False, True])
def test_the_weights_are_counted_within_a_tenth(material, ranker: bool):
    if ranker:
        model = build_ranker(material, "seminar", MODEL, 0)
    else:
        model = build_psu(material, MODEL, ObjectiveConfig(), 0)
    real = sum(parameter.numel() for parameter in model.parameters())
    assert room.least_weights(material, MODEL, ranker=ranker) == pytest.approx(real, rel=0.1)


def test_what_needs_more_than_is_free_is_refused_with_both_numbers(material, monkeypatch: pytest.MonkeyPatch):
    needed = room.least_bytes(material, MODEL, BatchConfig(), ranker=True)
    monkeypatch.setattr(room, "free_bytes", lambda device: needed)
    room.require_room(material, MODEL, BatchConfig(), "cpu", ranker=True)
    monkeypatch.setattr(room, "free_bytes", lambda device: needed - 1)
    with pytest.raises(ConfigError, match=r"need at least 0\.\d GB and 0\.\d GB are free on cpu .*hidden = 512"):
        room.require_room(material, MODEL, BatchConfig(), "cpu", ranker=True)


def test_a_catalogue_of_ten_million_items_is_refused_where_eight_gigabytes_are_free(material, monkeypatch):
    counts = {**material.dataset.manifest["counts"], "items": 10_000_000}
    monkeypatch.setitem(material.dataset.manifest, "counts", counts)
    monkeypatch.setattr(room, "free_bytes", lambda device: 8_000_000_000)
    with pytest.raises(ConfigError, match=r"need at least 10\.\d GB and 8\.0 GB are free on cpu .*10,000,000 items"):
        room.require_room(material, MODEL, BatchConfig(), "cpu", ranker=True)
    room.require_room(material, ModelConfig(width=32, hidden=512), BatchConfig(), "cpu", ranker=True)
