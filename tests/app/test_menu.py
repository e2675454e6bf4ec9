"""What the form starts can be typed, and every option it offers is explained."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from app.stations.training.menu import PRESETS, RECIPES, Choice, command_line, explanations, with_seed
from seminar_core.errors import ConfigError, NotReadyError, UnknownNameError
from seminar_core.files import append_line
from seminar_core.jobs.warmup import _sets, scaled
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import leaves, load_config


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recipe_and_preset_is_a_valid_command(recipe: str, preset: str):
    choice = Choice(recipe, "sample", "r", parent="psu", preset=preset)
    words = choice.words()
    assert words[:5] == [RECIPES[recipe].command, "--dataset", "sample", "--run", "r"]
    assert ("--from" in words) == RECIPES[recipe].needs_parent
    choice.config()


def test_the_toml_reads_back_to_the_same_settings(tmp_path: Path):
    choice = Choice("pretrain", "sample", "r", preset="minute", seed=3, settings=(("negatives", "7"),))
    path = tmp_path / "r.toml"
    path.write_text(choice.toml())
    assert load_config(PretrainConfig, path) == choice.config()
    assert choice.toml().startswith("# python -m seminar_core pretrain --dataset sample --run r --config THIS_FILE")


def test_only_what_differs_from_the_defaults_is_named():
    changed = Choice("no-alignment", "sample", "r", settings=(("negatives", "7"),)).changed()
    assert set(changed) == {"objectives.alignment", "batches.negatives"}


def test_the_command_line_can_be_pasted_into_a_shell():
    line = command_line(["pretrain", "--run", "a b"], engine="slurm")
    assert shlex.split(line)[3:] == ["jobs", "start", "pretrain", "--run", "a b", "--engine", "slurm"]


def test_a_training_is_repeated_with_another_seed_as_a_run_of_its_own():
    words = ["pretrain", "--run", "r-seed0", "--seed", "0", "--overwrite"]
    assert with_seed(words, 2) == ["pretrain", "--run", "r-seed2", "--seed", "2"]
    words = ["finetune", "--run=a", "--seed=7", "--set", "lr=1", "--run=r", "--resume", "--dataset=d"]
    assert with_seed(words, 1) == ["finetune", "--set", "lr=1", "--dataset=d", "--run", "r-seed1", "--seed", "1"]
    assert with_seed(["pretrain", "--run", "r"], 1) == ["pretrain", "--run", "r-seed1", "--seed", "1"]


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError, match="the run has no name"):
        Choice("pretrain", "sample", "").words()
    with pytest.raises(ConfigError, match="'Finetune' starts from a pretrained run and none is chosen"):
        Choice("finetune", "sample", "r").words()
    with pytest.raises(UnknownNameError, match="recipe 'magic' is not known"):
        Choice("magic", "sample", "r").words()
    with pytest.raises(ConfigError, match="setting 'speed' is not known"):
        Choice("pretrain", "sample", "r", settings=(("speed", "9"),)).config()


@pytest.mark.parametrize("kind", [PretrainConfig, FinetuneConfig])
def test_every_setting_of_a_component_is_explained(kind: type):
    explained = explanations(kind)
    missing = {name.rpartition(".")[2] for name in leaves(kind()) if "." in name} - set(explained)
    assert missing <= {"text", "image"}


def test_the_estimate_scales_the_warm_up_to_the_budget(tmp_path: Path):
    for step, time_s in ((5, 0.5), (10, 1.0), (20, 2.0), (25, 2.9), (26, 3.0)):
        append_line(tmp_path / "metrics.jsonl", {"step": step, "time_s": time_s, "loss/total": 1.0, "memory_mb": 500.0})
    answer = {"seconds": 3.0, "examples_per_s": 100.0}
    found = scaled(tmp_path, answer, 6.0, steps=100, seconds=1000, evaluate_every=50)
    assert found.step_s == pytest.approx(0.1) and found.validation_s == pytest.approx(0.4)
    assert found.start_s == pytest.approx(3.0) and found.memory_mb == 500 and found.steps == 100
    assert found.total_s == pytest.approx(3.0 + 1.15 * 100 * (0.1 + 0.4 / 50))
    short = scaled(tmp_path, answer, 6.0, steps=10**6, seconds=60, evaluate_every=50)
    assert short.steps == int(60 / 0.108) and short.total_s == pytest.approx(63.0)


def test_a_warm_up_that_was_too_slow_to_measure_says_so(tmp_path: Path):
    append_line(tmp_path / "metrics.jsonl", {"step": 3, "time_s": 600.0, "loss/total": 1.0, "memory_mb": 500.0})
    with pytest.raises(NotReadyError, match="the warm-up ended after 3 of 26 steps"):
        scaled(tmp_path, {"seconds": 600.0, "examples_per_s": 1.0}, 605.0, steps=9, seconds=9, evaluate_every=9)


def test_the_warm_ups_budget_replaces_the_chosen_one():
    words = ["pretrain", "--set", "steps=9", "--set", "budget.seconds=5", "--set", "negatives=3"]
    names = {"steps": 1, "seconds": 1}
    assert [w for i, w in enumerate(words) if not _sets(words, i, names)] == ["pretrain", "--set", "negatives=3"]
