"""`reproduce` on a tiny data set: rows, resuming, and a table that says where its numbers come from."""

import json
import typing
from pathlib import Path

import pytest

from seminar_core.cli.reproduction import reproduce as command
from seminar_core.errors import Cancelled, ConfigError, NotReadyError, UnknownNameError
from seminar_core.studies import reproduce as module
from seminar_core.studies import variants
from seminar_core.studies.reproduce import alone, reproduce, time_left
from seminar_core.studies.variants import (
    EXTRA,
    PAIRS,
    VARIANTS,
    Variant,
    chosen_variants,
    finetune_config,
    pretrain_config,
)
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig, shared_settings
from seminar_core.training.settings import with_values
from tests.training.tiny_training import RANKER, tiny_workspace

ONLY = "seminar; din; seminar, from scratch; seminar, no queries"
TINY = {"pretrain": {"steps": 4, "seconds": 60.0}, "finetune": {"steps": 6, "seconds": 60.0}}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(variants.BUDGETS, "small", TINY)
    finetune = with_values(FinetuneConfig(), {**RANKER, "evaluate_every": 3})
    return {"finetune": finetune, "pretrain": shared_settings(PretrainConfig(), finetune), "only": ONLY}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tiny_workspace(tmp_path_factory.mktemp("reproduced"))


def test_the_table_is_complete_and_resumes(workspace, small, tmp_path, monkeypatch):
    def interrupt(done, total, message):
        if done == 2:
            raise Cancelled("asked to stop", hint="start again")

    with pytest.raises(Cancelled):
        reproduce(workspace, "tiny", seeds=2, progress=interrupt, **small)
    trained = []
    task = module.ranker_task
    monkeypatch.setattr(module, "ranker_task", lambda *args: trained.append(args[1]) or task(*args))
    answer = reproduce(workspace, "tiny", seeds=2, out=tmp_path, **small)
    assert len(trained) == 6
    rows = {row["model"]: row for row in answer["rows"]}
    assert set(rows) == {"chance", "popularity", "seminar", "din", "seminar, from scratch", "seminar, no queries"}
    assert rows["seminar"]["seeds"] == 2 and rows["seminar"]["steps"] == [6, 6]
    assert answer["best_baseline"] == "din" and rows["din"]["beats_best_baseline"] is None
    low, high = rows["seminar"]["beats_best_baseline"]["interval"]
    assert low <= rows["seminar"]["beats_best_baseline"]["difference"] <= high
    assert [pair["b"] for pair in answer["pretraining"]] == ["seminar, from scratch"]
    assert [(pair["a"], pair["b"]) for pair in answer["parts"]] == [("seminar", "seminar, no queries")]
    with_part, without = rows["seminar"]["metrics"]["MRR"], rows["seminar, no queries"]["metrics"]["MRR"]
    assert answer["parts"][0]["MRR all"]["difference"] == pytest.approx(with_part - without)
    page = (tmp_path / "tiny-small.md").read_text()
    assert "## What each part is worth" in page
    assert "| seminar | 2 |" in page and answer["data_hash"] in page and "## What pretraining buys" in page
    assert answer["curves"]["seminar"][-1]["step"] == 6 and "## Over the cost of training" in page
    assert answer["slices"] and "## Where it wins and loses" in page
    assert json.loads((tmp_path / "tiny-small.json").read_text())["rows"]
    trained.clear()
    assert reproduce(workspace, "tiny", seeds=2, **small)["rows"] and not trained
    changed = with_values(small["finetune"], {"negatives": 3})
    reproduce(workspace, "tiny", seeds=1, **{**small, "finetune": changed, "only": "din"})
    assert trained == ["din"]
    trained.clear()
    assert reproduce(workspace, "tiny", seeds=2, out=tmp_path, **small)["rows"] and not trained  # nothing was replaced
    one = reproduce(workspace, "tiny", seeds=1, out=tmp_path, **{**small, "only": "din"})
    assert "| seminar | 2 |" in (tmp_path / "tiny-small.md").read_text()
    assert Path(one["table"]).parent == tmp_path and Path(one["table"]).name.startswith("tiny-small-")
    assert "| din | 1 |" in Path(one["table"]).read_text() and Path(one["table"]).with_suffix(".json").is_file()


def test_a_row_says_which_code_measured_it(workspace, small, monkeypatch):
    small = {**small, "only": "avgpool"}
    monkeypatch.setattr(module, "current_commit", lambda: "earlier")
    assert "other commits" not in Path(reproduce(workspace, "tiny", seeds=1, **small)["table"]).read_text()
    monkeypatch.setattr(module, "current_commit", lambda: "later")
    answer = reproduce(workspace, "tiny", seeds=2, **small)
    (row,) = [row for row in answer["rows"] if row["model"] == "avgpool"]
    assert (answer["commit"], row["commits"], len(row["measured"])) == ("later", ["earlier", "later"], 2)
    said = "Kept from measurements of other commits: avgpool (earlier, later)."
    assert said in Path(answer["table"]).read_text().splitlines()


def test_what_version_0_2_measured_is_read(workspace, small, monkeypatch):
    small = {**small, "only": "sim-hard"}
    reproduce(workspace, "tiny", seeds=1, **small)
    for path in (workspace.root / "reproduce" / "tiny-small").glob("sim-hard-0-*"):
        path.rename(path.with_name(f"sim-hard-0{path.suffix}"))
    monkeypatch.setattr(module, "ranker_task", None)
    assert reproduce(workspace, "tiny", seeds=1, **small)["rows"]


def test_two_at_once_are_refused_and_only_own_psus_are_cleared(workspace, small):
    folder = workspace.root / "reproduce" / "tiny-small"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder), pytest.raises(NotReadyError, match="another reproduce is measuring in"):
        reproduce(workspace, "tiny", seeds=1, **small)
    (folder / ".psu-of-others").mkdir()
    reproduce(workspace, "tiny", seeds=1, **{**small, "only": "seminar"})
    assert [path.name for path in folder.glob(".psu-*")] == [".psu-of-others"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"budget": "large"}, UnknownNameError, "full, medium, small"),
        ({"seeds": 0}, ConfigError, "at least 1"),
        ({"only": "bert"}, UnknownNameError, "avgpool"),
        ({"only": "din; din"}, ConfigError, "'din' is named 2 times"),
    ],
)
def test_what_cannot_be_compared_is_named(workspace, change, error, words):
    with pytest.raises(error, match=words):
        reproduce(workspace, "tiny", **change)


def test_every_model_stands_in_the_table():
    from seminar_core.model.baselines import MODELS

    assert {variant.model for variant in VARIANTS} == set(MODELS)
    names = [variant.name for variant in (*VARIANTS, *EXTRA)]
    assert len(names) == len(set(names)) and {name for pair in PAIRS for name in pair} <= set(names)
    assert chosen_variants(None) == VARIANTS


@pytest.mark.parametrize("budget", ["small", "medium", "full"])
def test_all_variants_share_recipe_and_supervised_steps(budget):
    base = FinetuneConfig()
    configs = {v.name: finetune_config(base, v, budget, seed=1) for v in VARIANTS}
    assert len({configs[v.name].budget.steps for v in VARIANTS if v.steps == 1}) == 1
    assert len({(c.batches, c.optimiser) for c in configs.values()}) == 1
    cap = {"small": 500, "medium": 1600, "full": 4000}[budget]
    for variant in VARIANTS:
        seconds = configs[variant.name].budget.seconds
        if variant.psu is not None:
            seconds += pretrain_config(PretrainConfig(), variant, budget, seed=1).budget.seconds
        assert seconds <= cap or variant.steps == 2


def test_steps_and_seconds_that_are_asked_for_lower_the_budget():
    asked = with_values(FinetuneConfig(), {"steps": 5, "seconds": 3.0})
    plain, short = Variant("x", "seminar", psu={}), Variant("y", "seminar", psu={}, steps=2)
    finetune = finetune_config(asked, plain, "small", seed=0).budget
    pretraining = pretrain_config(PretrainConfig(), plain, "small", 0, asked.budget).budget
    assert (finetune.steps, finetune.seconds) == (pretraining.steps, pretraining.seconds) == (5, 3.0)
    assert finetune_config(asked, short, "small", seed=0).budget.steps == 10
    more = with_values(FinetuneConfig(), {"steps": 9000})
    assert finetune_config(more, plain, "small", seed=0).budget.steps == 250
    assert variants.limits_of("small", FinetuneConfig().budget) == variants.BUDGETS["small"]


def test_an_ablation_changes_both_trainings():
    variant = Variant("x", "seminar", psu={"alignment": 0.0}, settings={"disabled": "I"})
    psu = pretrain_config(PretrainConfig(), variant, "small", seed=4)
    assert (psu.model.disabled, psu.objectives.alignment, psu.seed) == ("I", 0.0, 4)
    assert finetune_config(FinetuneConfig(), variant, "small", seed=4).model.disabled == "I"


def test_time_left_is_told_once_it_is_known():
    assert time_left(0, 10, 5.0) == "" and time_left(5, 10, 600.0) == ", about 10 min left"


def test_the_command_says_how_long_each_budget_trains():
    option = typing.get_type_hints(command, include_extras=True)["budget"].__metadata__[0]
    for name, limits in variants.BUDGETS.items():
        assert f"{name} {limits['finetune']['steps']}" in option.help
