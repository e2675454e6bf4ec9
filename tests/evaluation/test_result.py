"""A result file that breaks an identity can neither be written nor read."""

import json

import numpy as np
import pytest

from seminar_core.errors import CorruptFileError, InvalidDataError, MissingFileError
from seminar_core.evaluation.metrics import mean_metrics
from seminar_core.evaluation.ranks import Ranks
from seminar_core.evaluation.result import ORIGIN, Result, check_identities, read_ranks, read_result, write_ranks


def some_ranks():
    rng = np.random.default_rng(0)
    better = rng.integers(0, 90, 40)
    return Ranks(better, rng.integers(0, 5, 40), np.full(40, 100), np.arange(40))


def some_result(**changes):
    metrics = mean_metrics(some_ranks())
    fields = {
        "name": "a",
        "metrics": metrics,
        "interval": {"MRR": (0.1, 0.2)},
        "baselines": {"chance": metrics, "oracle": None},
        "protocol": {"mode": "recommendation", "n": 40},
        "origin": dict.fromkeys(ORIGIN, "x"),
    }
    return Result(**{**fields, **changes})


def test_a_result_reads_back_equal(tmp_path):
    result = some_result()
    result.write(tmp_path / "r.json")
    assert read_result(tmp_path / "r.json") == result
    assert "n=40" in repr(result)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"HIT@1": 0.9}, "HIT@1 = 0.9"),
        ({"HIT@1": 0.05, "NDCG@1": 0.04}, "differs from NDCG@1"),
        ({"NDCG@10": 0.99}, "NDCG@10 = 0.99 is larger than HIT@10"),
        ({"NDCG@50": 0.001}, r"NDCG@10 = .* is larger than NDCG@50"),
        ({"MRR": 0.0}, "larger than MRR"),
        ({"AUC": 1.5}, "outside"),
    ],
)
def test_a_broken_identity_is_named(change, words):
    metrics = {**mean_metrics(some_ranks()), **change}
    with pytest.raises(InvalidDataError, match=words):
        some_result(metrics=metrics)


def test_a_baseline_that_breaks_an_identity_is_refused_too():
    with pytest.raises(InvalidDataError, match="a: chance"):
        some_result(baselines={"chance": {"HIT@1": 0.5, "NDCG@1": 0.4}})


def test_the_reader_refuses_an_edited_file(tmp_path):
    some_result().write(tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    content["metrics"]["HIT@1"] = 0.95
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(InvalidDataError, match="identity"):
        read_result(tmp_path / "r.json")


def test_a_result_says_where_it_comes_from():
    with pytest.raises(InvalidDataError, match="lacks config, seed"):
        some_result(origin={"data_hash": 1, "command": 1, "time": 1, "commit": 1})


def test_another_json_file_is_no_result(tmp_path):
    (tmp_path / "r.json").write_text('{"metrics": 3}')
    with pytest.raises(CorruptFileError, match="not a result"):
        read_result(tmp_path / "r.json")


def test_ranks_are_kept_and_read_back(tmp_path):
    ranks = some_ranks()
    write_ranks(tmp_path / "r.npz", ranks)
    back = read_ranks(tmp_path / "r.npz")
    assert (back.better == ranks.better).all() and (back.person == ranks.person).all()
    (tmp_path / "r.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:50])
    with pytest.raises((CorruptFileError,), match="holds no ranks"):
        read_ranks(tmp_path / "r.npz")
    with pytest.raises(MissingFileError):
        read_ranks(tmp_path / "none.npz")


def test_metrics_of_real_ranks_always_pass():
    check_identities(mean_metrics(some_ranks()))
