"""By what pretraining chooses its checkpoint, against a count by hand; and what is said when step 0 won."""

import json

import numpy as np
import pytest
import torch
import typer

from seminar_core.alignment import stages
from seminar_core.cli import main
from seminar_core.data.opening import open_dataset
from seminar_core.training.assembly import build_psu, gather_material, validation_questions
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.selection import aligned_mrr, aligned_rows, neighbour_mrr, psu_validator
from seminar_core.training.settings import with_values
from tests.training.tiny_training import RANKER, SMALL, tiny_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tiny_workspace(tmp_path_factory.mktemp("selection"))


@pytest.fixture(scope="module")
def untrained(workspace):
    config = with_values(PretrainConfig(), SMALL)
    material = gather_material(open_dataset(workspace, "tiny"), config.encoders, config.split)
    return material, build_psu(material, config.model, config.objectives, 0).eval()


def reciprocal(own: float, rivals: list[float]) -> float:
    better, ties = sum(r > own for r in rivals), sum(r == own for r in rivals)
    return float(np.mean([1 / (1 + better + t) for t in range(ties + 1)]))


def cosine(a, b) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_alignment_is_the_reciprocal_rank_of_the_own_other_channel(untrained):
    _, psu = untrained
    rows = torch.arange(1, 13)
    with torch.no_grad():
        vectors, present = (x.numpy().astype(float) for x in psu.channels.items(rows))
    found = []
    for i, j in [(i, j) for i in range(3) for j in range(3) if i != j]:
        both = [r for r in range(12) if present[r, i] and present[r, j]]
        if len(both) < 2:
            continue
        ranks = [
            reciprocal(
                cosine(vectors[r, i], vectors[r, j]), [cosine(vectors[r, i], vectors[o, j]) for o in both if o != r]
            )
            for r in both
        ]
        found.append(np.mean(ranks))
    with torch.no_grad():
        assert aligned_mrr(psu, rows) == pytest.approx(np.mean(found), abs=1e-6)


def test_only_items_that_alignment_never_sees_are_measured(untrained):
    _, psu = untrained
    rows = aligned_rows(psu, "cpu")
    assert len(rows) and bool(psu.heldout[rows].all()) and torch.equal(rows, aligned_rows(psu, "cpu"))


def test_neighbour_reads_the_last_event_before_the_target(untrained):
    material, psu = untrained
    questions = validation_questions(material, 20, 0)
    store, ranks = material.dataset.store, []
    encoder = psu.encoder()
    for row in range(len(questions)):
        person, position = int(questions.targets.person[row]), int(questions.targets.event[row])
        begin, end = int(store.offsets[person]), int(store.offsets[person]) + position
        visible = [e for e in range(begin, end) if store.time_s[e] < store.time_s[begin + position]]
        if not visible:
            continue
        last = visible[-1]
        with torch.no_grad():
            event = encoder.encode(torch.tensor([int(store.item[last])]), torch.tensor([int(store.query[last])])).pair
            asked = torch.from_numpy(questions.item[row].astype(np.int64))
            items = encoder.encode(asked, torch.zeros_like(asked)).item
        scores = [cosine(event[0].double().numpy(), item.double().numpy()) for item in items]
        ranks.append(reciprocal(scores[0], scores[1:]))
    assert len(ranks) == len(questions)
    found = neighbour_mrr(psu, material, questions, max_length=256, device="cpu")
    assert found == pytest.approx(np.mean(ranks), abs=2e-3)


def test_the_score_is_the_mean_of_the_parts_whose_objectives_are_on(untrained):
    material, psu = untrained
    with torch.no_grad():
        found = psu_validator(psu, material, validation_questions(material, 20, 0), max_length=256, device="cpu")()
    assert found["score"] == pytest.approx((found["MRR"] + found["alignment"] + found["neighbour"]) / 3)


def test_where_no_step_was_better_than_none_every_consumer_says_so(workspace, capsys, tmp_path):
    still = {**SMALL, "learning_rate": 1e-30, "embedding_learning_rate": 1e-30, "value_learning_rate": 1e-30}
    answer = pretrain(workspace, "tiny", "still", config=with_values(PretrainConfig(), still))
    assert answer["best_step"] == 0
    (note,) = answer["notes"]
    assert "still is step 0, the untrained model: none of the 12 steps" in note
    assert note in stages.gap(workspace, "still")["notes"]
    assert note not in stages.gap(workspace, "still", "before")["notes"]
    assert stages.notes_of(workspace, "still", ["before", "after"]) == [note]
    restored = finetune(
        workspace, "tiny", "on-still", model="seminar", parent="still", config=with_values(FinetuneConfig(), RANKER)
    )
    assert note in restored["notes"]
    main.load_areas()
    words = ["map", "--run", "still", "--method", "pca", "--out", str(tmp_path / "map.parquet"), "--json"]
    words += ["--workspace", str(workspace.root)]
    typer.main.get_command(main.app).main(args=words, standalone_mode=False)
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["notes"] == [note]
