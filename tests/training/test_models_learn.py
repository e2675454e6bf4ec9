"""What training claims: on planted data models beat the popularity ranker, on noise they do not.

The fast version learns a small planted sample in seconds; the slow ones train every model on the bundled sample and on
its noise version with the small budget's settings.
"""

import numpy as np
import pytest

from seminar_core.data.importers.table import import_table
from seminar_core.data.synthetic.sample import write_sample
from seminar_core.evaluation.baselines import oracle_ranks, popularity_ranks
from seminar_core.evaluation.intervals import paired_difference
from seminar_core.evaluation.metrics import ranking_metrics
from seminar_core.evaluation.questions import ask
from seminar_core.evaluation.ranks import Ranks
from seminar_core.model.baselines import MODELS
from seminar_core.studies.reproduce import Bench, Plan
from seminar_core.studies.variants import chosen_variants
from seminar_core.training.assess import evaluate_run
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.runs import load_run
from seminar_core.training.settings import with_values
from seminar_core.workspace import Workspace

FAST = {
    "width": 32,
    "heads": 2,
    "keep": 20,
    "window": 128,
    "max_length": 256,
    "batch_size": 12,
    "validation_people": 40,
    "evaluate_every": 30,
    "device": "cpu",
    "seconds": 1000,
}


def planted(folder, *, noise, people=400, items=3000):
    """A workspace with the generated sample (or its noise version) as data set "planted"."""
    workspace = Workspace(folder / "workspace")
    write_sample(folder / "sample", people=people, items=items, noise=noise)
    import_table(workspace, folder / "sample", "planted")
    return workspace


def minus_popularity(ranks: Ranks, popularity: Ranks, metric="MRR"):
    return paired_difference(ranking_metrics(ranks)[metric], ranking_metrics(popularity)[metric], ranks.person)


def seminar_minus_popularity(workspace, steps):
    config = with_values(FinetuneConfig(), {**FAST, "steps": steps})
    finetune(workspace, "planted", "run", model="seminar", config=config)
    return evaluate_run(workspace, "run", device="cpu")["minus_popularity"]["MRR"]["interval"]


def test_seminar_beats_popularity_on_planted_interests(tmp_path):
    low, _ = seminar_minus_popularity(planted(tmp_path, noise=False, people=120, items=1200), steps=70)
    assert low > 0


def test_seminar_does_not_beat_popularity_on_noise(tmp_path):
    low, _ = seminar_minus_popularity(planted(tmp_path, noise=True, people=120, items=1200), steps=40)
    assert low <= 0


def test_alignment_makes_the_vectors_of_an_item_neighbours(tmp_path):
    workspace = planted(tmp_path, noise=False, people=60, items=300)
    settings = {**FAST, "steps": 60, "alignment": 1.0, "next_pair": 0.0, "relevance": 0.0, "learning_rate": 5e-3}
    pretrain(workspace, "planted", "psu", config=with_values(PretrainConfig(), settings))
    before, after = (recall_of_own_image(load_run(workspace, "psu", stage=s, device="cpu")) for s in ("before", "last"))
    assert after > 3 * before + 0.05


def recall_of_own_image(run):
    """Share of items whose own image is among the ten images nearest to their text."""
    vectors = run.model.channel_vectors()
    both = vectors.item_present[:, 1] & vectors.item_present[:, 2]
    text, image = (vectors.item[both, m] for m in (1, 2))
    text, image = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (text, image))
    cosine = text @ image.T
    return float((cosine > np.diag(cosine)[:, None]).sum(axis=1).__lt__(10).mean())


def measured(workspace, name):
    """Ranks of a variant under the small budget, and of popularity and oracle on the same questions."""
    plan = Plan("planted", 1, "small", chosen_variants(name), PretrainConfig(), FinetuneConfig())
    bench = Bench(workspace, plan, lambda done, total, message: None)
    _, ranks = bench.measured(plan.variants[0], 0)
    material = bench.material
    questions = ask(material.dataset, material.split)
    popularity = popularity_ranks(material.dataset, material.split, questions)
    return ranks, popularity, oracle_ranks(material.dataset, questions)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("planted"), noise=False)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("noise"), noise=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_beats_popularity_on_the_sample(sample, model):
    ranks, popularity, oracle = measured(sample, model)
    assert minus_popularity(ranks, popularity)[1] > 0
    hits = [ranking_metrics(r)["HIT@10"].mean() for r in (popularity, ranks, oracle)]
    if model not in ("din", "avgpool"):
        assert hits[1] >= (hits[0] + hits[2]) / 2, hits


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", MODELS)
def test_no_model_beats_popularity_on_noise(noise, model):
    ranks, popularity, _ = measured(noise, model)
    assert minus_popularity(ranks, popularity)[1] <= 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pretraining_wins_at_a_short_budget(sample):
    restored, _, _ = measured(sample, "seminar, short budget")
    scratch, _, _ = measured(sample, "seminar, from scratch, short budget")
    assert minus_popularity(restored, scratch, "HIT@10")[1] > 0
