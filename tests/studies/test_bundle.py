"""The run that comes with the sample: made by one command, small, read like any run, and never written to."""

from pathlib import Path

import numpy as np
import pytest

from seminar_core.alignment.map_store import MapRequest
from seminar_core.alignment.stages import draw, gap
from seminar_core.beside import bundled_runs, sample_directory
from seminar_core.data.dataset import SAMPLE
from seminar_core.errors import ExistsError
from seminar_core.jobs.removal import delete
from seminar_core.search.answer import retrieve
from seminar_core.search.population import population
from seminar_core.search.study import open_study
from seminar_core.studies.bundle import MOST_BYTES, PSU, RUN, make_bundle
from seminar_core.training.pretrain import pretrain
from seminar_core.training.run_files import list_runs
from seminar_core.training.session import Orders
from seminar_core.workspace import Workspace

pytestmark = pytest.mark.slow  # codebooks and losses for all 400 people of the sample: a minute

SMALL = {
    "width": 16, "heads": 2, "keep": 6, "hidden": 16, "max_length": 60, "window": 60, "batch_size": 6, "steps": 4,
    "evaluate_every": 4, "validation_people": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """A sample folder of its own with a tiny run in it, in place of the real one."""
    folder = tmp_path_factory.mktemp("bundle") / "sample_data"
    folder.mkdir()
    for path in sample_directory().iterdir():
        if path.name != "run":
            (folder / path.name).symlink_to(path)
    patch = pytest.MonkeyPatch()
    patch.setenv("SEMINAR_SAMPLE_DIR", str(folder))
    made = make_bundle(folder, settings=SMALL)
    assert made["run"] == RUN and made["bytes"] < MOST_BYTES
    yield folder
    patch.undo()


def everything(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def test_it_answers_every_question_in_an_empty_workspace_and_is_not_written_to(sample, workspace):
    before = everything(sample)
    assert set(bundled_runs()) == {RUN, PSU}
    assert [row["run"] for row in list_runs(workspace)["runs"]] == [RUN, PSU]
    study = open_study(workspace, RUN)
    person, item = study.dataset.person_ids[0], study.dataset.item_ids[1]
    assert 0 <= retrieve(workspace, RUN, person, item)["recall"] <= 1
    assert len(population(workspace, RUN)["people"]) == study.dataset.n_people
    assert gap(workspace, RUN, "before")["step"] == 0 and gap(workspace, RUN, "after")["run"] == RUN
    draw(workspace, RUN, ["before", "after"], request=MapRequest())
    assert not workspace.maps.exists() and not workspace.runs.exists()  # the map came with the run
    assert everything(sample) == before


def test_rows_of_tokens_that_no_query_has_are_zero_and_the_others_are_there(sample, workspace):
    study = open_study(workspace, RUN)
    table = study.model.channels.token_embedding.detach().numpy()
    used = np.zeros(len(table), bool)
    used[np.unique(study.dataset.query_tokens)] = True
    assert not table[~used].any() and table[used][1:].any(1).all()


def test_it_cannot_be_replaced_or_deleted(sample, workspace):
    with pytest.raises(ExistsError, match="comes with the sample and is read-only"):
        pretrain(workspace, SAMPLE, PSU, orders=Orders(overwrite=True))
    for kind in ("run", "checkpoints"):
        with pytest.raises(ExistsError, match="read-only"):
            delete(workspace, kind, RUN)
    assert (sample / "run" / RUN / "run.json").is_file()


def test_what_is_measured_of_it_is_kept_in_the_workspace(sample, workspace):
    assert Workspace(workspace.root).measured_dir(RUN) == workspace.root / "measured" / RUN
    assert Workspace(workspace.root).measured_dir("mine") == workspace.runs / "mine"
