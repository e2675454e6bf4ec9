"""`evaluate` on tiny runs: its keys, its files, its modes, and that the file makes the same comparison again."""

import json

import pytest

from seminar_core.errors import ConfigError, InvalidDataError, MissingFileError, UnknownNameError, UnknownRunError
from seminar_core.evaluation.metrics import METRICS, mean_metrics
from seminar_core.training.assess import evaluate_run, kept_result
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import with_values
from tests.training.tiny_training import RANKER, SMALL, tiny_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = tiny_workspace(tmp_path_factory.mktemp("assessed"))
    pretrain(made, "tiny", "psu", config=with_values(PretrainConfig(), {**SMALL, "steps": 4}))
    finetune(made, "tiny", "din", model="din", config=with_values(FinetuneConfig(), {**RANKER, "steps": 4}))
    return made


@pytest.mark.parametrize("run", ["psu", "din"])
def test_the_answer_has_the_promised_keys(workspace, run):
    answer = evaluate_run(workspace, run, negatives=20, device="cpu")
    assert {"run", "model", "mode", "n", "metrics", "interval", "baselines", "people_per_s"} <= answer.keys()
    assert set(answer["metrics"]) == set(METRICS) == set(answer["interval"])
    assert set(answer["baselines"]) == {"chance", "popularity", "oracle"} and answer["baselines"]["oracle"] is None
    assert answer["n"] == 24 and answer["baselines"]["chance"]["HIT@1"] == pytest.approx(1 / 21)
    assert {row["slice"] for row in answer["slices"]} >= {"warm target", "with image"}
    assert set(answer["labels"]) >= {"label_AUC", "log_loss"}


def test_search_and_pair_and_the_full_catalogue_are_answered(workspace):
    counts = {
        mode: evaluate_run(workspace, "din", mode=mode, negatives=5, device="cpu")["n"] for mode in ("search", "pair")
    }
    assert 0 < counts["search"] == counts["pair"] < 24
    full = evaluate_run(workspace, "din", negatives="full", device="cpu")
    assert full["n"] == 24 and full["metrics"]["HIT@50"] >= full["metrics"]["HIT@10"]
    with pytest.raises(ConfigError, match="full catalogue"):
        evaluate_run(workspace, "din", mode="pair", negatives="full", device="cpu")
    with pytest.raises(UnknownNameError, match="recommendation"):
        evaluate_run(workspace, "din", mode="none", device="cpu")


def test_the_result_is_a_file_that_says_how_it_was_made(workspace):
    answer = evaluate_run(workspace, "din", negatives=20, device="cpu")
    result, ranks = kept_result(workspace, "din", negatives=20)
    assert result.metrics == pytest.approx(answer["metrics"]) == mean_metrics(ranks)
    assert result.origin["data_hash"] == load_run(workspace, "din", device="cpu").dataset.hash
    assert result.origin["config"]["batches"]["negatives"] == 6


def test_an_edited_result_is_refused(workspace):
    evaluate_run(workspace, "din", negatives=11, device="cpu")
    path = workspace.run_dir("din") / "results" / "recommendation-11-uniform-met.json"
    content = json.loads(path.read_text())
    content["metrics"]["HIT@1"] = 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidDataError, match="identity"):
        kept_result(workspace, "din", negatives=11)
    with pytest.raises(MissingFileError, match="no result for recommendation-12"):
        kept_result(workspace, "din", negatives=12)


def test_a_result_counts_until_the_run_is_trained_further(workspace):
    settings = with_values(FinetuneConfig(), {**RANKER, "steps": 12, "evaluate_every": 2})
    finetune(workspace, "tiny", "further", model="din", config=settings, orders=Orders(should_stop=lambda: True))
    first = evaluate_run(workspace, "further", negatives=20, device="cpu")
    assert kept_result(workspace, "further", negatives=20)[0].metrics == first["metrics"]
    resumed = finetune(workspace, "tiny", "further", model="din", config=settings, orders=Orders(resume=True))
    assert resumed["best_step"] > 0
    with pytest.raises(MissingFileError, match="trained further since its result") as caught:
        kept_result(workspace, "further", negatives=20)
    assert caught.value.hint == "evaluate --run further --mode recommendation"
    assert evaluate_run(workspace, "further", negatives=20, device="cpu")["metrics"] != first["metrics"]
    assert kept_result(workspace, "further", negatives=20)[0].extra["step"] == resumed["best_step"]


def test_a_run_that_is_deleted_while_it_is_measured_does_not_come_back(workspace, tmp_path):
    finetune(workspace, "tiny", "gone", model="din", config=with_values(FinetuneConfig(), {**RANKER, "steps": 1}))

    def delete(done, total, message):
        if workspace.run_dir("gone").exists():
            workspace.run_dir("gone").rename(tmp_path / "deleted")

    with pytest.raises(UnknownRunError):
        evaluate_run(workspace, "gone", negatives=20, device="cpu", progress=delete)
    assert not workspace.run_dir("gone").exists()


def test_the_same_run_is_measured_the_same_twice(workspace):
    first, second = (evaluate_run(workspace, "din", negatives=20, device="cpu")["metrics"] for _ in range(2))
    assert first == second


def test_stages_differ_and_are_kept_apart(workspace):
    evaluate_run(workspace, "din", negatives=20, stage="before", device="cpu")
    names = {p.name for p in (workspace.run_dir("din") / "results").glob("*.json")}
    assert {"recommendation-20-uniform-met.json", "recommendation-20-uniform-met-test-before.json"} <= names
