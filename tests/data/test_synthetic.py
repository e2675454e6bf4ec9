"""The planted data: the same seed gives the same bytes, what is planted is there, and the noise version has only
frequencies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seminar_core.beside import sample_directory
from seminar_core.data.candidates import evaluation_candidates
from seminar_core.data.dataset import Dataset
from seminar_core.data.importers.table import import_table
from seminar_core.data.pools import item_counts
from seminar_core.data.splits import position_split
from seminar_core.data.synthetic.catalogue import GAP_NORM, plant_items, plant_vectors
from seminar_core.data.synthetic.drawings import SIDE, draw_picture
from seminar_core.data.synthetic.lives import draw_life
from seminar_core.data.synthetic.sample import write_sample
from seminar_core.data.synthetic.truth import Truth
from seminar_core.errors import ConfigError, CorruptFileError, ExistsError, ShapeError
from seminar_core.files import read_json, sha256_of, write_json
from seminar_core.workspace import Workspace

PEOPLE, ITEMS = 60, 600


def imported(folder: Path, name: str) -> Dataset:
    workspace = Workspace(folder.parent / "workspace")
    import_table(workspace, folder, name)
    pointer = read_json(workspace.dataset_dir(name) / "dataset.json")
    return Dataset(name, workspace.dataset_dir(name) / pointer["current"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("planted") / "sample"
    write_sample(out, people=PEOPLE, items=ITEMS)
    return out


@pytest.fixture(scope="module")
def dataset(folder) -> Dataset:
    return imported(folder, "planted")


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Dataset:
    out = tmp_path_factory.mktemp("noise") / "sample"
    write_sample(out, people=PEOPLE, items=ITEMS, noise=True)
    return imported(out, "noise")


def hit(scores: np.ndarray, k: int) -> float:
    """HIT@k, ties in expectation; candidate 0 is the positive."""
    better = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    ties = (scores[:, 1:] == scores[:, :1]).sum(axis=1)
    return float(np.clip((k - better) / (ties + 1), 0, 1).mean())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    first = write_sample(tmp_path / "a", people=6, items=120)
    second = write_sample(tmp_path / "b", people=6, items=120)
    other = write_sample(tmp_path / "c", people=6, items=120, seed=1)
    assert first["sha256"] == second["sha256"] != other["sha256"]
    assert read_json(tmp_path / "a" / "manifest.json")["files"] == read_json(tmp_path / "b" / "manifest.json")["files"]
    assert (first["people"], first["items"]) == (6, 120)


def test_the_shipped_sample_is_what_its_manifest_and_readme_say():
    sample = sample_directory()
    manifest = read_json(sample / "manifest.json")
    files = sorted(
        p
        for p in sample.rglob("*")
        if p.is_file() and p.name != "README.md" and p.parent.name != "sample_data" and "run" not in p.parts
    )
    files = sorted([*files, sample / "events.parquet", sample / "items.parquet"])
    assert {str(p.relative_to(sample)): sha256_of(p) for p in files} == manifest["files"]
    assert sha256_of(*files) == manifest["sha256"]
    readme = (sample / "README.md").read_text(encoding="utf-8")
    assert (
        manifest["sha256"] in readme
        and f"`{manifest['command']}`" in readme
        and f"| seed | {manifest['seed']} |" in readme
    )
    assert (manifest["people"], manifest["items"], manifest["seed"]) == (400, 3000, 0)
    assert sum(p.stat().st_size for p in [*files, sample / "manifest.json"]) <= 12_000_000


@pytest.mark.slow
def test_the_shipped_sample_is_what_its_command_makes(tmp_path):
    assert write_sample(tmp_path / "s")["sha256"] == read_json(sample_directory() / "manifest.json")["sha256"]


def test_shares_of_what_is_missing_cold_and_wrongly_drawn_are_as_promised():
    items = plant_items(3000, 0)
    assert (~items.has_text).sum() == (~items.has_picture).sum() == 120
    assert items.cold.sum() == 150
    assert (items.picture_from != items.category).sum() == 240
    assert np.bincount(items.topic).tolist() == [50] * 60


def test_lengths_of_lives_lie_in_the_promised_range(dataset):
    lengths = np.diff(dataset.store.offsets)
    assert lengths.min() >= 50 and lengths.max() <= 2000
    assert set(np.unique(dataset.store.label).tolist()) == {-1, 0, 1}
    assert set(dataset.actions) == {"view", "click", "purchase"}
    searched = (np.asarray(dataset.store.query) > 0).mean()
    assert 0.1 < searched < 0.4


def test_only_first_meetings_are_targets(dataset, noise):
    for data in (dataset, noise):
        for row in range(data.n_people):
            life = data.store.life(row)
            first = np.zeros(len(life), bool)
            first[np.unique(life.item, return_index=True)[1]] = True
            assert not (~first & (np.asarray(life.label) != 0)).any()


def test_cold_items_are_never_met_in_training_and_are_targets_later(dataset):
    split = position_split(dataset.store)
    counts = item_counts(dataset.store, dataset.n_items, split.train_end)
    assert counts[dataset.truth.cold].sum() == 0
    assert dataset.truth.cold[split.test.item].sum() + dataset.truth.cold[split.validation.item].sum() > 0


def test_truth_agrees_with_the_events(dataset):
    truth = dataset.truth
    assert repr(truth) == f"Truth(planted interests, people={PEOPLE}, items={ITEMS}, topics=60)"
    person, event, item = truth.met
    assert (np.asarray(dataset.store.item)[dataset.store.offsets[person] + event] == item).all()
    categories = [dataset.category_names[c] for c in dataset.category[1:]]
    assert [truth.topic_names[t].split()[1] for t in truth.item_topic[1:]] == categories
    for row in (0, 7):
        starts = truth.segment_start[row]
        assert starts[0] == 0 and (np.diff(starts) >= 25).all()
        assert truth.segment_weight[row].sum(axis=1) == pytest.approx(1)
        assert (truth.topic_weights(np.array([row]), starts[-1:]) == truth.segment_weight[row][-1]).all()


def test_interests_drift_and_some_return_after_about_a_thousand_events():
    items = plant_items(600, 0)
    life = draw_life(np.random.default_rng(3), items, 1900)
    interests = life.interests
    assert len({tuple(sorted(row)) for row in interests.topic.tolist()}) > 5
    active = np.flatnonzero((interests.topic == interests.returning).any(axis=1))
    assert active[-1] == len(interests.start) - 1
    assert 700 < interests.start[-1] - interests.last_before_return < 1200


def test_the_oracle_equals_a_plain_computation_and_sums_to_one(dataset):
    truth, split = dataset.truth, position_split(dataset.store)
    targets = split.test.take(np.arange(5))
    everything = np.tile(np.arange(dataset.n_items + 1), (5, 1))
    scores = truth.oracle_scores(targets.person, targets.event, everything)
    assert scores.sum(axis=1) == pytest.approx(1)
    for row in range(5):
        person, event = int(targets.person[row]), int(targets.event[row])
        met = set(dataset.store.life(person).item[:event].tolist())
        weight = truth.topic_weights(np.array([person]), np.array([event]))[0]
        late = event >= truth.cold_from[person]
        open_items = [i for i in range(1, dataset.n_items + 1) if i not in met]
        pull = {i: truth.item_zipf[i] * np.exp(truth.taste[person][truth.item_colour[i]]) for i in open_items}
        warm = {t: [i for i in open_items if truth.item_topic[i] == t and not truth.cold[i]] for t in range(60)}
        cold = {
            t: [i for i in open_items if truth.item_topic[i] == t and truth.cold[i]] if late else [] for t in range(60)
        }
        mix = {t: 0.97 * weight[t] + 0.03 / 60 if warm[t] else 0.0 for t in range(60)}
        expected = np.zeros(dataset.n_items + 1)
        for t in range(60):
            share = 0.12 if cold[t] else 0.0
            for i in warm[t]:
                expected[i] = mix[t] / sum(mix.values()) * (1 - share) * pull[i] / sum(pull[j] for j in warm[t])
            for i in cold[t]:
                expected[i] = mix[t] / sum(mix.values()) * share / len(cold[t])
        assert scores[row] == pytest.approx(expected)
        single = truth.oracle_scores(person, event, np.array([3, 5, 9]))
        assert single == pytest.approx(expected[[3, 5, 9]])


def test_the_oracle_refuses_shapes_that_do_not_fit(dataset):
    with pytest.raises(ShapeError, match="oracle of 2 people, 2 events and items"):
        dataset.truth.oracle_scores(np.array([0, 1]), np.array([60, 60]), np.ones((3, 4), int))


def test_planted_interests_beat_popularity_by_far_and_on_noise_nothing_does(dataset, noise):
    for data, planted in ((dataset, True), (noise, False)):
        split = position_split(data.store)
        found = evaluation_candidates(data, split, split.test, count=49)
        counts = item_counts(data.store, data.n_items, split.train_end)
        popularity = hit(counts[found.item].astype(float), 5)
        oracle = hit(data.truth.oracle_scores(found.targets.person, found.targets.event, found.item), 5)
        assert 0.15 < popularity < 0.6
        assert oracle > 0.9 if planted else abs(oracle - popularity) < 0.08


def test_the_noise_version_draws_items_and_queries_independently_of_the_person(dataset, noise):
    assert (np.asarray(noise.store.time_s) == np.asarray(dataset.store.time_s)).all()
    assert ((np.asarray(noise.store.query) > 0) == (np.asarray(dataset.store.query) > 0)).all()
    assert sorted(noise.query_texts) == sorted(dataset.query_texts)
    frequency = noise.truth.item_frequency
    assert (frequency == item_counts(dataset.store, ITEMS)).all()
    drawn = item_counts(noise.store, ITEMS)
    assert np.corrcoef(frequency, drawn)[0, 1] > 0.98
    topics = noise.truth.item_topic[np.asarray(noise.store.item)]
    whole = np.bincount(topics, minlength=60) / len(topics)
    longest = int(np.argmax(np.diff(noise.store.offsets)))
    mine = np.bincount(topics[noise.store.offsets[longest] : noise.store.offsets[longest + 1]], minlength=60)
    assert np.abs(mine / mine.sum() - whole).max() < 0.03


def test_the_planted_gap_has_the_recorded_norm(folder):
    items = plant_items(ITEMS, 0)
    text, image = plant_vectors(items, 0)
    assert np.linalg.norm(text.mean(axis=0) - image.mean(axis=0)) == pytest.approx(GAP_NORM, abs=1e-4)
    facts = read_json(folder / "truth" / "manifest.json")
    stored = {
        name: np.array(pq.read_table(folder / "truth" / f"vectors_{name}.parquet")["vector"].to_pylist())
        for name in ("text", "image")
    }
    gap = np.linalg.norm(stored["text"].mean(axis=0) - stored["image"].mean(axis=0))
    assert gap == pytest.approx(facts["modality_gap_of_present"], abs=1e-4)
    assert facts["modality_gap"] == GAP_NORM
    centred = [v - v.mean(axis=0) for v in (text, image)]
    cosine = (centred[0] * centred[1]).sum(axis=1) / np.prod([np.linalg.norm(v, axis=1) for v in centred], axis=0)
    right = items.picture_from == items.category
    assert cosine[right].mean() > cosine[~right].mean() + 0.3


def test_pictures_are_small_webp_and_differ_by_category_style_and_colour():
    def pixels(category, style, colour, seed=0):
        data = draw_picture(category, style, colour, np.random.default_rng(seed))
        image = Image.open(io.BytesIO(data))
        assert image.format == "WEBP" and image.size == (SIDE, SIDE) and len(data) < 4000
        return np.asarray(image.convert("RGB")).astype(int)

    base = pixels(0, 0, (200, 40, 45))
    for other in (pixels(5, 0, (200, 40, 45)), pixels(0, 1, (200, 40, 45)), pixels(0, 0, (45, 80, 185))):
        assert np.abs(base - other).mean() > 2
    assert (base == pixels(0, 0, (200, 40, 45))).all()


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExistsError, match=r"holds 'thesis.txt', which no sample has; nothing was replaced"):
        write_sample(tmp_path, people=1, items=120)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(ExistsError, match="is a file"):
        write_sample(tmp_path / "thesis.txt", people=1, items=120)


def test_an_older_sample_is_replaced(tmp_path):
    write_sample(tmp_path / "s", people=2, items=120)
    write_sample(tmp_path / "s", people=3, items=120)
    assert read_json(tmp_path / "s" / "manifest.json")["people"] == 3


def test_the_runs_of_a_sample_stay_with_the_same_data_and_are_never_replaced_with_other(tmp_path):
    out = tmp_path / "s"
    write_sample(out, people=2, items=120)
    write_json(out / "run" / "sample-seminar" / "run.json", {})
    write_json(out / "run" / ".answers" / "a.json", {"kept": True})
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    write_sample(out, people=2, items=120)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with pytest.raises(ExistsError, match="comes with run 'sample-seminar', which was trained on other data") as caught:
        write_sample(out, people=2, items=120, seed=1)
    assert str(out / "run") in caught.value.hint
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "manifest.json").unlink()
    with pytest.raises(ExistsError):
        write_sample(out, people=2, items=120)


def test_too_small_a_world_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="0 people and 120 items were asked for; the least is 1 person and 120 items"):
        write_sample(tmp_path / "s", people=0, items=120)
    with pytest.raises(ConfigError, match="4 people and 119 items"):
        write_sample(tmp_path / "s", people=4, items=119)


def test_a_truncated_truth_is_named(folder, tmp_path):
    for file in (folder / "truth").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "people.parquet").write_bytes((folder / "truth" / "people.parquet").read_bytes()[:100])
    with pytest.raises(CorruptFileError, match=r"people\.parquet cannot be read"):
        Truth.load(tmp_path)
