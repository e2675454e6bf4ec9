"""From raw events to every answer, through the command line alone, as a stranger would call it.

The short journey trains every model for 30 steps on 40 generated people; the long one (`make test-slow`) goes the same
way with MovieLens latest-small and defaults, and must end within 20 minutes on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seminar_core.cli.main import app, load_areas

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("seminar", "seminar-pq", "din", "avgpool", "sim-hard", "sim-soft", "eta", "sdim", "twin", "qin", "muse")
PAIRS = {f"{a}>{b}" for a in "QATI" for b in "QATI" if a != b}
METRICS = {f"{name}@{k}" for name in ("HIT", "NDCG") for k in (1, 5, 10, 50)} | {"MRR", "AUC"}


class CommandLine:
    """Calls a command in this process, as `python -m seminar_core` does, and reads its one JSON object.

    A process of its own costs seconds of imports a call; `in_its_own_process` shows once that both say the same.
    """

    def __init__(self, workspace: Path):
        self.workspace = workspace
        load_areas()

    def words(self, words: tuple[object, ...]) -> list[str]:
        return [*map(str, words), "--json", "--workspace", str(self.workspace)]

    def __call__(self, *words: object) -> dict:
        done = CliRunner().invoke(app, self.words(words))
        assert done.exit_code == 0, f"{words}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{done.exception!r}"
        return json.loads(done.stdout)

    def refused(self, *words: object) -> dict:
        done = CliRunner().invoke(app, self.words(words))
        assert done.exit_code == 1, f"{words} ended with {done.exit_code}: {done.stderr[-2000:]} {done.exception!r}"
        return json.loads(done.stdout)["error"]

    def in_its_own_process(self, *words: object) -> dict:
        line = [sys.executable, "-m", "seminar_core", *self.words(words)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A workspace that holds a generated data set of 40 people and a pretrained run."""
    folder = tmp_path_factory.mktemp("journey")
    call = CommandLine(folder / "workspace")
    written = call("sample", "--out", folder / "small", "--seed", 3, "--people", 40)
    assert written["people"] == 40 and len(written["sha256"]) == 64
    imported = call("import", "table", folder / "small", "--name", "small")
    assert imported["dataset"] == "small" and imported["people"] == 40 and imported["events"] == written["events"]
    call("pretrain", "--dataset", "small", "--run", "psu", "--set", "steps=30")
    call(
        "finetune", "--dataset", "small", "--run", "seminar", "--model", "seminar", "--from", "psu", "--set", "steps=30"
    )
    return call


def a_person(call: CommandLine) -> tuple[str, dict]:
    person = call("people", "--dataset", "small", "--limit", 1)["people"][0]["person"]
    return person, call("life", "--dataset", "small", "--person", person)["events"][-1]


def test_the_report_and_the_lists_have_every_key(line: CommandLine):
    report = line("report", "--dataset", "small")
    assert {"events", "people", "items", "events_with_query", "items_with_text", "items_with_image", "life_length",
            "tied_time_frac", "example_person", "problems"} <= set(report)  # fmt: skip
    assert set(report["life_length"]) >= {"median", "p90", "max"}
    assert "small" in {row["dataset"] for row in line("datasets")["datasets"]}
    assert line.in_its_own_process("report", "--dataset", "small") == report
    assert {"psu", "seminar"} <= {row["run"] for row in line("runs")["runs"]}


def test_people_are_found_and_their_lives_read(line: CommandLine):
    people = line("people", "--dataset", "small", "--sort", "length", "--limit", 5)["people"]
    assert len(people) == 5 and [p["events"] for p in people] == sorted((p["events"] for p in people), reverse=True)
    assert set(people[0]) >= {"person", "events", "searches", "gap", "pq_loss", "matches"}
    events = line("life", "--dataset", "small", "--person", people[0]["person"])["events"]
    assert len(events) == people[0]["events"]
    assert set(events[0]) >= {"event", "time_s", "item", "title", "query", "action", "label"}
    assert [e["event"] for e in events] == [str(i) for i in range(len(events))]
    assert [e["time_s"] for e in events] == sorted(e["time_s"] for e in events)


@pytest.mark.parametrize("model", [m for m in MODELS if m != "seminar"])
def test_every_model_trains_and_is_evaluated(line: CommandLine, model: str):
    origin = ("--from", "psu") if model == "seminar-pq" else ()
    answer = line("finetune", "--dataset", "small", "--run", model, "--model", model, *origin, "--set", "steps=30")
    assert answer["model"] == model and answer["steps"] == 30 and 0 <= answer["validation"]["MRR"] <= 1
    result = line("evaluate", "--run", model)
    assert set(result["metrics"]) >= METRICS and set(result["baselines"]) == {"chance", "popularity", "oracle"}
    assert result["metrics"]["HIT@1"] == pytest.approx(result["metrics"]["NDCG@1"])
    for metric, (low, high) in result["interval"].items():
        assert low <= result["metrics"][metric] + 1e-9 and result["metrics"][metric] <= high + 1e-9


@pytest.mark.parametrize("mode", ["recommendation", "search", "pair"])
@pytest.mark.parametrize("sampler", ["uniform", "popularity", "category"])
def test_every_mode_and_sampler_evaluates(line: CommandLine, mode: str, sampler: str):
    result = line("evaluate", "--run", "seminar", "--mode", mode, "--sampler", sampler)
    assert result["mode"] == mode and result["n"] > 0


def test_the_full_catalogue_is_ranked(line: CommandLine):
    assert line("evaluate", "--run", "seminar", "--negatives", "full")["metrics"]["MRR"] > 0


def test_exact_and_quantised_retrieval_answer_with_every_key(line: CommandLine):
    books = line("codebooks", "--run", "seminar")
    assert set(books) >= {"spec", "bytes_per_item", "distortion", "dead_codes", "seconds"}
    person, last = a_person(line)
    answer = line("retrieve", "--run", "seminar", "--person", person, "--item", last["item"], "--k", 10)
    assert set(answer) >= {"at_event", "at_time_s", "visible_events", "exact", "approx", "recall", "recall_per_head",
                           "attention_mass", "interest_error", "logit_exact", "logit_approx", "bytes_per_event",
                           "latency_us"}  # fmt: skip
    assert answer["at_event"] == last["event"] and answer["at_time_s"] == last["time_s"]
    assert sum(e["weight"] for e in answer["exact"]) == pytest.approx(1, abs=1e-4)
    assert [e["rank"] for e in answer["exact"]] == list(range(1, len(answer["exact"]) + 1))
    assert all(int(e["event"]) < answer["visible_events"] for e in answer["exact"] + answer["approx"])
    event = answer["exact"][0]["event"]
    why = line("explain", "--run", "seminar", "--person", person, "--item", last["item"], "--event", event)
    assert set(why) >= {"score_exact", "score_approx", "contributions", "error_by_subspace", "error_by_channel", "code",
                        "shares_code_with", "lost_in"}  # fmt: skip
    assert sum(map(sum, why["contributions"])) == pytest.approx(why["score_exact"], rel=1e-3, abs=1e-4)


def test_frontier_and_population_answer(line: CommandLine):
    frontier = line("frontier", "--run", "seminar", "--target-recall", 0.9)
    assert set(frontier) >= {"rows", "suggestion", "crossover_length"} and frontier["rows"]
    assert len(line("population", "--run", "seminar")["people"]) == 40


def test_the_number_card_and_the_map_answer(line: CommandLine, tmp_path: Path):
    for stage in ("before", "after"):
        card = line("gap", "--run", "psu", "--stage", stage)
        assert card["stage"] == stage and set(card["pairs"]) == PAIRS
        for metrics in card["pairs"].values():
            assert set(metrics) >= {
                "paired_cosine",
                "centroid_gap",
                "recall@1",
                "recall@10",
                "mrr",
                "knn_overlap",
                "cka",
            }
        assert set(card["channels"]) == set("QATI")
    assert line("gap", "--run", "seminar", "--stage", "finetuned")["stage"] == "finetuned"
    answer = line("map", "--run", "psu", "--stages", "before,after", "--out", tmp_path / "map.parquet")
    assert (
        (tmp_path / "map.parquet").is_file() and 0 < answer["trustworthiness"] <= 1 and answer["points"] <= answer["of"]
    )
    assert line("worklist", "--run", "psu", "--of", "items")["rows"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("report", "--dataset", "nothing"), "unknown_dataset"),
        (("evaluate", "--run", "nothing"), "unknown_run"),
        (("life", "--dataset", "small", "--person", "nobody"), "unknown_person"),
        (("finetune", "--dataset", "small", "--run", "x", "--model", "semnar"), "unknown_name"),
        (("evaluate", "--run", "seminar", "--mode", "serch"), "unknown_name"),
        (("evaluate", "--run", "seminar", "--sampler", "hard"), "unknown_name"),
        (("import", "table", "no-such-folder", "--name", "x"), "missing_file"),
        (("import", "tabel", ".", "--name", "x"), "unknown_name"),
        (("pretrain", "--dataset", "small", "--run", "../x"), "unsafe_path"),
        (("pretrain", "--dataset", "small", "--run", "psu"), "exists"),
        (("pretrain", "--dataset", "small", "--run", "y", "--set", "lerning_rate=1"), "config"),
        (("delete", "run", "psu"), "not_confirmed"),
    ],
)
def test_what_is_wrong_is_named_with_the_next_step(line: CommandLine, words: tuple[str, ...], kind: str):
    error = line.refused(*words)
    assert error["kind"] == kind and error["message"] and error["hint"]


@pytest.mark.slow
def test_movielens_from_csv_to_every_answer_within_twenty_minutes(movielens_dir: Path, tmp_path: Path):
    call = CommandLine(tmp_path / "workspace")
    began = time.monotonic()
    imported = call("import", "movielens", movielens_dir, "--name", "ml-small")
    assert (imported["people"], imported["items"]) == (610, 9742) and imported["events"] > 100_000
    assert call("encode", "--dataset", "ml-small")["text"]["items"] == 9742
    call("pretrain", "--dataset", "ml-small", "--run", "psu")
    call("finetune", "--dataset", "ml-small", "--run", "fine", "--model", "seminar", "--from", "psu")
    call("codebooks", "--run", "fine")
    result = call("evaluate", "--run", "fine")
    assert result["n"] > 500
    person = call("people", "--dataset", "ml-small", "--limit", 1)["people"][0]["person"]
    last = call("life", "--dataset", "ml-small", "--person", person)["events"][-1]
    call("retrieve", "--run", "fine", "--person", person, "--item", last["item"])
    call("gap", "--run", "psu")
    call("map", "--run", "psu", "--out", tmp_path / "map.parquet")
    assert time.monotonic() - began < 20 * 60
