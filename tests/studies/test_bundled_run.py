"""The run that lies in the checkout: of today's sample and recipe, small, whole, and answering as any run does."""

import pytest

from seminar_core.beside import bundled_runs, sample_directory
from seminar_core.data.dataset import SAMPLE
from seminar_core.data.opening import open_dataset
from seminar_core.errors import StaleError
from seminar_core.files import read_json, sha256_of, write_json
from seminar_core.retrieval.codebooks import load_codebooks
from seminar_core.search.answer import retrieve
from seminar_core.search.budget import frontier
from seminar_core.search.population import population
from seminar_core.search.study import make_codebooks, open_study
from seminar_core.studies.bundle import FRAMES, MOST_BYTES, PSU, RUN
from seminar_core.training.checkpoint import STATE
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.run_files import list_runs, read_card
from seminar_core.training.runs import load_run
from seminar_core.training.settings import to_dict, with_values

MADE_AGAIN = "make it again with `python -m seminar_core sample --run`"
pytestmark = pytest.mark.skipif(not bundled_runs(), reason="no run lies in sample_data/run: " + MADE_AGAIN)


def test_it_is_of_todays_sample_and_recipe(workspace):
    dataset = open_dataset(workspace, SAMPLE)
    psu, ranker = (read_card(bundled_runs()[name]) for name in (PSU, RUN))
    assert {psu.dataset_hash, ranker.dataset_hash} == {dataset.hash}, MADE_AGAIN
    assert psu.config == to_dict(with_values(PretrainConfig(), {"frames": FRAMES, "device": "cpu"})), MADE_AGAIN
    assert ranker.config == to_dict(with_values(FinetuneConfig(), {"device": "cpu"})), MADE_AGAIN
    assert ranker.parent == PSU


def test_it_is_up_to_date_before_anybody_has_asked_for_the_sample(workspace):
    rows = {row["run"]: row for row in list_runs(workspace)["runs"]}
    assert rows.keys() == {PSU, RUN} and not any(row["stale"] for row in rows.values())


def test_it_is_small_and_every_checkpoint_is_whole():
    files = [path for path in (sample_directory() / "run").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    states = [path for path in files if path.name == STATE]
    assert len(states) >= 4  # before, best and frames of the pretraining, best of the finetuning
    for path in states:
        for name, digest in read_json(path)["sha256"].items():
            assert sha256_of(path.parent / name) == digest


def test_what_is_kept_of_a_person_is_what_a_question_answers(workspace):
    kept = {row["person"]: row for row in population(workspace, RUN)["people"]}
    assert not workspace.runs.exists()  # read, not measured
    dataset = open_dataset(workspace, SAMPLE)
    for person in ("p0001", "p0251", "p0302"):
        life = dataset.store.life(dataset.person_row(person))
        answer = retrieve(workspace, RUN, person, dataset.item_ids[int(life.item[-1])], shortlist=0)
        assert answer["recall"] == pytest.approx(kept[person]["recall"], abs=0.01)


def test_codebooks_of_ones_own_are_listed_and_measured_beside_those_that_it_brought(workspace):
    study = open_study(workspace, RUN)
    make_codebooks(study, "PQ4x4", rows=64)
    names = ["PQ4x4", "QC64,RQ32x4fs"]
    assert {row["run"]: row["codebooks"] for row in list_runs(workspace)["runs"]} == {PSU: [], RUN: names}
    said = frontier(workspace, RUN, person="p0302", study=study)
    assert {row["spec"] for row in said["rows"]} == {*names, "HNSW", "LSH"}


def test_a_run_of_another_sample_is_refused(workspace, tmp_path, monkeypatch):
    sample = tmp_path / "sample_data"
    (sample / "run" / RUN).mkdir(parents=True)
    for path in sample_directory().iterdir():
        if path.name != "run":
            (sample / path.name).symlink_to(path)
    for path in bundled_runs()[RUN].iterdir():
        if path.name != "run.json":
            (sample / "run" / RUN / path.name).symlink_to(path)
    write_json(
        sample / "run" / RUN / "run.json", read_json(bundled_runs()[RUN] / "run.json") | {"dataset_hash": "0" * 16}
    )
    monkeypatch.setenv("SEMINAR_SAMPLE_DIR", str(sample))
    with pytest.raises(StaleError, match="was trained on version 0000"):
        load_run(workspace, RUN)


@pytest.mark.slow
def test_its_codebooks_are_made_again_as_good(workspace):
    """Not to the same bits: another processor rounds otherwise, and clusters move."""
    study = open_study(workspace, RUN)
    kept = study.codebooks("QC64,RQ32x4fs")
    make_codebooks(study)
    folder = workspace.measured_dir(RUN) / "codebooks" / "QC64,RQ32x4fs"
    made = load_codebooks(folder, study.vectors)
    assert {name: codes.shape for name, codes in made.codes.items()} == {n: c.shape for n, c in kept.codes.items()}
    assert made.distortion == pytest.approx(kept.distortion, rel=0.1)
