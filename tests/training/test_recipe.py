"""Settings check themselves, refuse what they do not know, and read back from TOML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seminar_core.errors import ConfigError, CorruptFileError, MissingFileError
from seminar_core.training.recipe import BatchConfig, FinetuneConfig, ModelConfig, PretrainConfig
from seminar_core.training.settings import (
    assignments,
    describe,
    differences,
    from_dict,
    given_settings,
    leaves,
    load_config,
    to_dict,
    to_toml,
    with_values,
)

KINDS = (PretrainConfig, FinetuneConfig)


@pytest.mark.parametrize("kind", KINDS)
def test_every_leaf_has_a_name_of_its_own(kind):
    names = [name.rpartition(".")[2] for name in leaves(kind())]
    assert len(names) == len(set(names))


def test_a_leaf_is_set_by_its_own_name_or_by_its_path():
    a = with_values(FinetuneConfig(), {"negatives": "50", "model.width": "32", "seed": "7", "prior": "false"})
    assert (a.batches.negatives, a.model.width, a.seed, a.model.prior) == (50, 32, 7, False)


@pytest.mark.parametrize("given", [9007199254740993, "9007199254740993"])
def test_a_whole_number_is_kept_to_its_last_digit(given):
    assert with_values(FinetuneConfig(), {"seed": given}).seed == 9007199254740993
    assert with_values(FinetuneConfig(), {"seed": "1e3", "negatives": 5.0}).seed == 1000


def test_an_unknown_setting_lists_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigError, match=r"negatvies.*known: .*negatives") as caught:
        with_values(FinetuneConfig(), {"negatvies": "50"})
    assert caught.value.hint == "did you mean 'negatives'?"


@pytest.mark.parametrize("value", ["many", "2.5", "", "nan"])
def test_a_value_of_the_wrong_type_is_refused(value):
    with pytest.raises(ConfigError, match="negatives"):
        with_values(FinetuneConfig(), {"negatives": value})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("width", 30, "multiple of heads"),
        ("negatives", 0, "above zero"),
        ("learning_rate", float("inf"), "above zero"),
        ("hide_query", 1.5, "within 0 and 1"),
        ("sampler", "random", "one of uniform, popularity"),
        ("precision", "float16", "one of auto"),
        ("disabled", "QX", "letters of QATI"),
        ("split", "random", "one of position, time"),
        ("alpha", 1.0, "between"),
        ("steps", -1, "zero or more"),
        ("loss", "hinge", "one of softmax, bce"),
    ],
)
def test_a_value_outside_its_range_names_the_rule(name, value, rule):
    with pytest.raises(ConfigError, match=rule):
        with_values(FinetuneConfig(), {name: value})


def test_all_objectives_off_is_refused():
    with pytest.raises(ConfigError, match="all objectives are off"):
        with_values(PretrainConfig(), {"neighbour": 0, "next_pair": 0, "alignment": 0, "relevance": 0})


def test_a_component_checks_itself_without_a_configuration():
    with pytest.raises(ConfigError):
        ModelConfig(heads=0)
    with pytest.raises(ConfigError, match="targets_per_life"):
        BatchConfig(last_only=True)


@pytest.mark.parametrize("kind", KINDS)
def test_toml_reads_back_equal(kind, tmp_path):
    config = with_values(kind(), {"width": 16, "embedding_std": 0.25, "text": 'given:a"b.parquet'})
    path = tmp_path / "run.toml"
    path.write_text(to_toml(config, "seminar finetune\nabout a minute"))
    assert path.read_text().startswith("# seminar finetune\n# about a minute\n")
    assert load_config(kind, path) == config


def test_later_sources_win_and_none_means_not_given(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("seed = 3\nnegatives = 5\n[model]\nwidth = 16\n")
    config = load_config(FinetuneConfig, path, ["negatives=7"], seed=9, device=None)
    assert (config.seed, config.batches.negatives, config.model.width, config.device) == (9, 7, 16, "auto")
    given = given_settings(FinetuneConfig, path, ["negatives=7"], seed=9, device=None)
    assert given == {"seed": 9, "batches.negatives": "7", "model.width": 16}


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.toml"):
        load_config(FinetuneConfig, tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seed = = 3")
    with pytest.raises(CorruptFileError, match="not TOML") as caught:
        load_config(FinetuneConfig, tmp_path / "bad.toml")
    assert "seed = 3" in caught.value.hint


def test_set_needs_an_equals_sign():
    assert assignments(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigError, match="key=value"):
        assignments(["negatives"])


@given(st.integers(1, 999), st.floats(1e-6, 10))
def test_a_stored_configuration_reads_back_equal(negatives, rate):
    config = with_values(FinetuneConfig(), {"negatives": negatives, "learning_rate": rate})
    assert from_dict(FinetuneConfig, to_dict(config)) == config


def test_differences_name_only_what_differs():
    a, b = FinetuneConfig(), with_values(FinetuneConfig(), {"keep": 20})
    assert differences(to_dict(a), to_dict(b)) == {"model.keep": (50, 20)}
    assert "keep=20" in describe(b)
