"""Numbers outside their range are named on the command line: status 1 with a named error, or 2 for wrong usage."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seminar_core.cli.main import app, load_areas
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset
from tests.tiny_run import COARSE, make_run

ASK = ("retrieve", "--run", "run", "--person", "p1", "--item", "i3", "--spec", COARSE)
WHY = ("explain", "--run", "run", "--person", "p1", "--item", "i3", "--spec", COARSE, "--event")
PRETRAIN = ("pretrain", "--dataset", "tiny", "--run", "new")
FINETUNE = ("finetune", "--dataset", "tiny", "--run", "new", "--model", "seminar")
REPRODUCE = ("reproduce", "--dataset", "tiny")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    load_areas()
    workspace = make_run(tmp_path_factory.mktemp("numbers"))
    make_dataset(workspace, "other", people=3, items=20)
    return workspace


def refused(workspace: Workspace, *words: str) -> tuple[int, str]:
    """Exit status, and everything that was said."""
    before = sorted(path.name for path in workspace.runs.iterdir())
    done = CliRunner().invoke(app, [*words, "--json", "--workspace", str(workspace.root)])
    assert done.exit_code in (1, 2), f"{words} ended with {done.exit_code}: {done.stdout[-500:]}"
    assert isinstance(done.exception, SystemExit), f"{words} raised {done.exception!r}"
    assert sorted(path.name for path in workspace.runs.iterdir()) == before, f"{words} left a run behind"
    if done.exit_code == 2:
        return 2, re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    error = json.loads(done.stdout)["error"]
    assert error["kind"] != "error" and error["hint"]
    return 1, error["message"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("codebooks", "--run", "run", "--rows", "0"), "--rows is 0"),
        (("codebooks", "--run", "run", "--rows", "-5"), "--rows is -5"),
        (("codebooks", "--run", "run", "--rows", "many"), "--rows"),
        ((*ASK, "--k", "0"), "k is 0"),
        ((*ASK, "--k", "-3"), "k is -3"),
        ((*ASK, "--shortlist", "-1"), "shortlist is -1"),
        ((*ASK, "--shortlist", "0.5"), "shortlist is 0.5"),
        ((*ASK, "--shortlist", "nan"), "shortlist is nan"),
        ((*ASK, "--weights", "1,2"), "2"),
        ((*ASK, "--weights", "nan,1,1,1"), "nan"),
        ((*ASK, "--weights", "-1,1,1,1"), "-1"),
        ((*ASK, "--weights", "0,0,0,0"), "zero"),
        ((*ASK, "--head", "-1"), "head -1"),
        ((*ASK, "--head", "99"), "head 99"),
        ((*ASK, "--at", "-1"), "'-1'"),
        ((*ASK, "--at", "99999"), "'99999'"),
        ((*ASK, "--at", "\u0663"), "'\u0663'"),
        ((*ASK, "--at", "9" * 5000), "999"),
        ((*ASK, "--hide-from", "9", "--hide-to", "1"), "9"),
        ((*WHY, "99999"), "99999"),
        ((*WHY, "-1"), "-1"),
        ((*WHY, "\u0663"), "\u0663"),
        ((*WHY, "9" * 5000), "999"),
        (("frontier", "--run", "run", "--target-recall", "2"), "2"),
        (("frontier", "--run", "run", "--target-recall", "-0.1"), "-0.1"),
        (("people", "--dataset", "tiny", "--limit", "0"), "--limit"),
        (("people", "--dataset", "tiny", "--limit", "-1"), "--limit"),
        (("people", "--dataset", "other", "--run", "run", "--sort", "gap"), "among the runs of data set 'other'"),
        (("worklist", "--run", "run", "--limit", "0"), "--limit"),
        (("gap", "--run", "run", "--seed", "-1"), "--seed"),
        (("map", "--run", "run", "--method", "pca", "--seed", "-1", "--out", "never.parquet"), "--seed"),
        (("map", "--run", "run", "--seed", str(2**32), "--out", "never.parquet"), "--seed"),
        ((*PRETRAIN, "--seed", "-1"), "--seed"),
        ((*PRETRAIN, "--seed", str(10**30)), "seed = 1000"),
        ((*PRETRAIN, "--set", "seed=-1"), "seed = -1"),
        ((*FINETUNE, "--set", f"seed={2**63}"), "seed = 9223"),
        ((*REPRODUCE, "--seed", str(10**30)), "seed = 1000"),
        ((*PRETRAIN, "--set", "batch_size=0"), "batch_size"),
        ((*PRETRAIN, "--set", "steps=-1"), "steps"),
        ((*PRETRAIN, "--set", "width=0"), "width"),
        ((*PRETRAIN, "--set", "learning_rate=nan"), "learning_rate"),
        ((*FINETUNE, "--set", "keep=0"), "keep"),
        ((*FINETUNE, "--set", "negatives=0"), "negatives"),
        ((*FINETUNE, "--set", "max_length=0"), "max_length"),
        ((*FINETUNE, "--set", "hidden=99999999999"), "GB are free on cpu"),
        ((*PRETRAIN, "--set", "width=4000000000"), "width = 4000000000"),
        ((*PRETRAIN, "--set", "batch_size=99999999999"), "batch_size = 99999999999"),
        (("jobs", "start", *PRETRAIN, "--set", "stesp=9"), "setting 'stesp' is not known"),
        (("jobs", "start", *FINETUNE, "--set", "keep=0"), "keep"),
        (("jobs", "start", *REPRODUCE, "--set", "stesp=9"), "setting 'stesp' is not known"),
        (("jobs", "start", *FINETUNE, "--config", "none.toml"), "none.toml does not exist"),
        (("evaluate", "--run", "run", "--negatives", "0"), "0"),
        (("evaluate", "--run", "run", "--negatives", "-1"), "-1"),
        (("evaluate", "--run", "run", "--negatives", "\u00b2"), "\u00b2"),
        (("evaluate", "--run", "run", "--negatives", "\u0663"), "\u0663"),
        (("evaluate", "--run", "run", "--negatives", "9" * 5000), "999"),
        ((*REPRODUCE, "--seeds", "0"), "0"),
        ((*REPRODUCE, "--seeds", "-1"), "-1"),
        (("sample", "--out", "never", "--people", "0"), "--people"),
        (("sample", "--out", "never", "--seed", "-1"), "--seed"),
        (("jobs", "logs", "pretrain-1", "--lines", "0"), "--lines"),
    ],
)
def test_a_number_outside_its_range_is_named(workspace: Workspace, words: tuple[str, ...], says: str, monkeypatch):
    monkeypatch.chdir(workspace.root.parent)
    _, said = refused(workspace, *words)
    assert says in said
    assert not list(Path.cwd().glob("never*")) and not workspace.jobs.exists()
