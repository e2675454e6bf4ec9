"""`finetune` on a tiny data set: from scratch, restored, frozen; what it refuses."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError, MissingFileError, ShapeError, StaleError, UnknownNameError, UnknownRunError
from seminar_core.files import write_json
from seminar_core.search.study import open_study
from seminar_core.sums import problems
from seminar_core.training.assembly import gather_material, training_batches
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.run_files import read_card
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import by_full_name, with_values
from tests.training.tiny_training import RANKER, SMALL, tiny_workspace


def config(**changes):
    return with_values(FinetuneConfig(), {**RANKER, "steps": 6, "evaluate_every": 3, **changes})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = tiny_workspace(tmp_path_factory.mktemp("finetuned"))
    pretrain(made, "tiny", "psu", config=with_values(PretrainConfig(), {**SMALL, "steps": 8, "evaluate_every": 4}))
    by_time = {**SMALL, "steps": 1, "split": "time"}
    pretrain(made, "tiny", "by-time", config=with_values(PretrainConfig(), by_time))
    return made


@pytest.mark.parametrize("model", ["seminar", "seminar-pq", "din", "avgpool", "sim-hard", "sim-soft"])
def test_a_model_is_trained_from_scratch(workspace, model):
    answer = finetune(workspace, "tiny", f"scratch-{model}", model=model, config=config())
    assert {"run", "model", "steps", "seconds", "best_step", "validation", "examples_per_s"} <= answer.keys()
    assert answer["steps"] == 6 and 0 < answer["validation"]["MRR"] <= 1
    assert ("first_stage" in answer["losses"]) == (model == "sim-soft")


def test_restored_starts_where_the_psu_ended(workspace):
    finetune(workspace, "tiny", "restored", model="seminar", parent="psu", config=config(keep=8))
    psu = load_run(workspace, "psu", device="cpu").model
    before = load_run(workspace, "restored", stage="before", device="cpu").model
    for name in ("score.query", "score.key", "values.output", "channels.id_embedding", "fusion.logits"):
        assert torch.equal(psu.state_dict()[name], before.state_dict()[name]), name
    assert read_card(workspace.run_dir("restored")).parent == "psu"


@pytest.mark.parametrize(
    ("switch", "still"),
    [
        ("freeze_embeddings", "channels.id_embedding"),
        ("freeze_projections", "channels.text_projection.weight"),
        ("freeze_g", "projections.item"),
    ],
)
def test_each_freeze_keeps_its_part_and_nothing_else(workspace, switch, still):
    name = f"frozen-{switch}"
    finetune(workspace, "tiny", name, model="seminar", parent="psu", config=config(**{switch: True}))
    before, last = (load_run(workspace, name, stage=s, device="cpu").model.state_dict() for s in ("before", "last"))
    moved = {key for key in before if not torch.equal(before[key], last[key])}
    assert still not in moved and "mlp.0.weight" in moved
    others = {"channels.id_embedding", "channels.text_projection.weight", "projections.item"} - {still}
    assert others <= moved


def test_values_learn_at_a_rate_of_their_own(workspace):
    finetune(workspace, "tiny", "still-values", model="seminar", config=config(value_learning_rate=0.0))
    before, after = (
        load_run(workspace, "still-values", stage=stage, device="cpu").model.state_dict()
        for stage in ("before", "last")
    )
    for name in ("values.value", "values.output"):
        assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["score.query"], after["score.query"])


def test_a_restored_run_has_what_its_psu_decides_where_nothing_else_was_asked_for(workspace):
    given = {name: value for name, value in RANKER.items() if name != "width"}
    chosen = with_values(FinetuneConfig(), {**given, "steps": 1})
    finetune(workspace, "tiny", "widths", model="seminar", parent="psu", config=chosen)
    assert chosen.model.width == 64 and load_run(workspace, "widths", device="cpu").config.model.width == 16
    finetune(workspace, "tiny", "times", model="seminar", parent="by-time", config=config(steps=1))
    assert load_run(workspace, "times", device="cpu").material.split.kind == "time"


@pytest.mark.parametrize(
    ("name", "value", "theirs", "parent"),
    [
        ("width", 32, "16", "psu"), ("heads", 4, "2", "psu"), ("text", "hashing-256", "tfidf-svd-256", "psu"),
        ("split", "time", "position", "psu"), ("split", "position", "time", "by-time"),
    ],
)  # fmt: skip
def test_what_the_psu_decides_otherwise_is_refused_when_it_is_asked_for(workspace, name, value, theirs, parent):
    """By another split most test targets would lie in what the PSU was trained on."""
    (dotted,) = by_full_name(FinetuneConfig(), {name: value})
    orders = Orders(given=frozenset([dotted]))
    with pytest.raises(
        ConfigError, match=f"{name} = {value} was asked .* '{parent}' was pretrained with {theirs}"
    ) as e:
        finetune(workspace, "tiny", "no", model="seminar", parent=parent, config=config(**{name: value}), orders=orders)
    assert e.value.hint == f"leave {name} out, or pretrain with {name} = {value}"
    assert not workspace.run_dir("no").exists()


def test_a_run_goes_on_with_another_budget_and_batch_size(workspace):
    finetune(workspace, "tiny", "longer", model="din", config=config())
    changed = config(steps=9, batch_size=3)
    answer = finetune(workspace, "tiny", "longer", model="din", config=changed, orders=Orders(resume=True))
    assert answer["steps"] == 9
    assert load_run(workspace, "longer", device="cpu").config == changed
    assert not problems(workspace.run_dir("longer"), full=True)


@pytest.mark.parametrize(("name", "value", "was"), [("seed", 3, 0), ("negatives", 5, 6), ("validation_people", 9, 20)])
def test_a_run_does_not_go_on_with_other_settings(workspace, name, value, was):
    if not workspace.run_dir("steady").exists():
        finetune(workspace, "tiny", "steady", model="din", config=config())
    with pytest.raises(ConfigError, match=f"'steady' was started with {name} = {was}, .* go on with {value}") as caught:
        finetune(
            workspace,
            "tiny",
            "steady",
            model="din",
            config=config(**{name: value, "steps": 9}),
            orders=Orders(resume=True),
        )
    assert caught.value.hint == f"leave {name} out, or start the run anew with --overwrite"
    assert load_run(workspace, "steady", device="cpu").config == config()


def test_a_default_that_was_asked_for_counts_as_asked_for(workspace):
    finetune(workspace, "tiny", "seeded", model="din", config=config(seed=4))
    asked, silent = (Orders(resume=True, given=frozenset(names)) for names in (["seed"], []))
    with pytest.raises(ConfigError, match="started with seed = 4, it cannot go on with 0"):
        finetune(workspace, "tiny", "seeded", model="din", config=config(), orders=asked)
    assert finetune(workspace, "tiny", "seeded", model="din", config=config(), orders=silent)["steps"] == 6


def test_every_model_sees_the_same_batches(workspace):
    material = gather_material(open_dataset(workspace, "tiny"), config().encoders)
    a, b = (training_batches(material, config().batches, seed=3).batch(5) for _ in range(2))
    assert (a[1].item == b[1].item).all() and (a[0].item == b[0].item).all()


def test_hidden_queries_hide_the_rivals_queries_too(workspace):
    material = gather_material(open_dataset(workspace, "tiny"), config().encoders)
    _, targets = training_batches(material, config(hide_query=0.5, batch_size=30).batches, seed=0).batch(0)
    asked = targets.query[targets.valid] > 0
    assert (asked.all(axis=1) | ~asked.any(axis=1)).all() and asked.any() and not asked.all()
    _, targets = training_batches(material, config(hide_query=1.0).batches, seed=0).batch(0)
    assert not targets.query.any()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "seminr"}, UnknownNameError, "seminar"),
        ({"parent": "nobody"}, UnknownRunError, "nobody"),
        ({"parent": "scratch-din"}, ConfigError, "only a pretrained PSU"),
    ],
)
def test_what_cannot_be_finetuned_is_named(workspace, changes, error, words):
    with pytest.raises(error, match=words):
        finetune(workspace, "tiny", "refused", **{"model": "seminar", "config": config(), **changes})
    assert not workspace.run_dir("refused").exists()


def test_a_psu_of_an_older_data_set_is_refused(tmp_path):
    workspace = tiny_workspace(tmp_path)
    pretrain(workspace, "tiny", "psu", config=with_values(PretrainConfig(), {**SMALL, "steps": 1}))
    tiny_workspace(tmp_path, seed=5)
    with pytest.raises(StaleError, match="was pretrained on version"):
        finetune(workspace, "tiny", "late", model="seminar", parent="psu", config=config())


def test_a_checkpoint_of_another_width_names_both(workspace):
    from seminar_core.training.assembly import build_ranker
    from seminar_core.training.checkpoint import load_weights

    material = gather_material(open_dataset(workspace, "tiny"), config().encoders)
    other = build_ranker(material, "din", config(width=32, heads=2).model, seed=0)
    with pytest.raises(ShapeError, match=r"16.*32"):
        load_weights(workspace.run_dir("scratch-din") / "checkpoints" / "best", other, material.fingerprint)


def test_a_run_keeps_the_vectors_that_it_was_trained_on_whatever_their_file_holds_later(tmp_path):
    made = tiny_workspace(tmp_path)
    dataset = open_dataset(made, "tiny")
    given = tmp_path / "vectors.parquet"

    def write(seed):
        vectors = np.random.default_rng(seed).normal(size=(dataset.n_items, 8)).astype(np.float32)
        pq.write_table(pa.table({"item": dataset.item_ids[1:], "vector": vectors.tolist()}), given)
        return vectors

    def opened(run):
        return np.array(load_run(made, run, device="cpu").material.encodings.text_items[1:])

    vectors = write(seed=0)
    settings = with_values(PretrainConfig(), {**SMALL, "steps": 2, "evaluate_every": 2, "text": f"given:{given}"})
    pretrain(made, "tiny", "psu", config=settings)
    others = write(seed=1)
    finetune(made, "tiny", "child", model="seminar", parent="psu", config=config())
    finetune(made, "tiny", "new", model="seminar", config=config(text=f"given:{given}"))
    assert np.array_equal(opened("psu"), vectors) and np.array_equal(opened("child"), vectors)
    assert np.array_equal(opened("new"), others)
    moved = given.rename(tmp_path / "moved.parquet")
    assert np.array_equal(opened("new"), others)
    assert open_study(made, "new").encode_query("a red lamp") is None
    for folder in (dataset.path / "encodings").glob("text-given-*"):
        shutil.rmtree(folder)
    with pytest.raises(MissingFileError, match=r"vectors\.parquet does not exist"):
        load_run(made, "new")
    moved.rename(given)
    assert np.array_equal(opened("new"), others)
    with pytest.raises(
        StaleError, match=r"vectors\.parquet gives the vectors given-\w+ now, and given-\w+ are needed"
    ) as caught:
        load_run(made, "child")
    assert "train again" in caught.value.hint
    card = read_card(made.run_dir("new"))
    old = {**card.config, "encoders": {"text": f"given:{given}", "image": "histogram"}}
    write_json(made.run_dir("new") / "run.json", {**vars(card), "config": old, "encodings": old["encoders"]})
    assert np.array_equal(opened("new"), others)  # a run of an older version names the file alone
