"""The commands about data: their answers have the promised keys, their failures the promised form."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from seminar_core.cli import datasets, deletion
from seminar_core.data.synthetic import sample as synthetic
from seminar_core.workspace import Workspace
from tests.tiny import write_table


@pytest.fixture
def run(workspace: Workspace):
    """Call a command with --json: (exit status, answer)."""
    app = typer.Typer()
    datasets.register(app)
    deletion.register(app)

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(app, [*words, "--json", "--workspace", str(workspace.root)])
        return done.exit_code, json.loads(done.stdout)

    return call


@pytest.fixture
def table(tmp_path: Path, run) -> Path:
    path = write_table(tmp_path / "table", people=6, items=9)
    assert run("import", "table", str(path), "--name", "tiny")[0] == 0
    return path


def test_import_answers_its_keys(run, table: Path, tmp_path: Path) -> None:
    status, answer = run("import", "table", str(table), "--name", "tiny", "--rejected", str(tmp_path / "r.csv"))
    assert status == 0
    assert list(answer) == ["dataset", "events", "people", "items", "rejected", "seconds", "peak_mb", "guesses"]
    assert (answer["people"], answer["items"], answer["rejected"]) == (6, 9, 0)
    assert (tmp_path / "r.csv").read_text().startswith("row,reason,person,time,item")


def test_listing_reporting_and_showing(run, table: Path) -> None:
    assert "tiny" in [row["dataset"] for row in run("datasets")[1]["datasets"]]
    assert list(run("report", "--dataset", "tiny")[1])[:3] == ["events", "people", "items"]
    people = run("people", "--dataset", "tiny", "--limit", "2", "--query", "lamp")[1]["people"]
    assert len(people) <= 2
    status, answer = run("life", "--dataset", "tiny", "--person", "p3", "--from", "1", "--to", "4")
    assert status == 0
    assert [row["event"] for row in answer["events"]] == ["1", "2", "3"]
    assert list(answer["events"][0]) == ["event", "time_s", "item", "title", "query", "action", "label"]


def test_failures_are_data(run, table: Path) -> None:
    status, answer = run("life", "--dataset", "tiny", "--person", "nobody")
    assert status == 1
    assert set(answer["error"]) == {"kind", "message", "hint"}
    assert run("import", "tabel", str(table), "--name", "x")[1]["error"]["hint"] == "did you mean 'table'?"
    assert run("people", "--dataset", "tiny", "--sort", "gap")[1]["error"]["kind"] == "not_ready"


def test_sample_writes_a_sample(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "write_sample", functools.partial(synthetic.write_sample, items=150))
    status, answer = run("sample", "--out", str(tmp_path / "s"), "--people", "2", "--seed", "3")
    assert status == 0
    assert set(answer) == {"path", "sha256", "people", "items", "events"}
    assert answer["people"] == 2


def test_deleting_says_first_what_depends_on_it(run, table: Path, workspace: Workspace) -> None:
    run_dir = workspace.run_dir("first")
    run_dir.mkdir(parents=True)
    (run_dir / "run.json").write_text(json.dumps({"dataset": "tiny", "parent": None}))
    (workspace.maps / "abc").mkdir(parents=True)
    (workspace.maps / "abc" / "map.json").write_text(json.dumps({"source": {"run": "first", "dataset": "tiny"}}))
    status, answer = run("delete", "dataset", "tiny")
    assert status == 1
    assert answer["error"]["kind"] == "not_confirmed"
    assert "will be stale: runs first; maps abc" in answer["error"]["message"]
    assert workspace.dataset_dir("tiny").is_dir()
    workspace.answers.mkdir()
    (workspace.answers / "of-a-life.json").write_text("{}")
    status, answer = run("delete", "dataset", "tiny", "--yes")
    assert not workspace.answers.exists(), "what the app worked out of it"
    assert (status, answer["deleted"]) == (0, "tiny")
    assert not workspace.dataset_dir("tiny").exists()
    assert run_dir.is_dir()
    assert run("delete", "run", "first", "--yes")[1]["dependents"] == {"maps": ["abc"]}
    assert run("delete", "map", "abc", "--yes")[0] == 0
    assert list(workspace.maps.iterdir()) == list(workspace.runs.iterdir()) == []


def test_what_cannot_be_deleted_is_named(run, table: Path) -> None:
    assert run("delete", "dataset", "tinny", "--yes")[1]["error"]["hint"] == "did you mean 'tiny'?"
    assert run("delete", "story", "x", "--yes")[1]["error"]["message"].endswith("known: checkpoints, dataset, map, run")
    assert run("delete", "run", "../tiny", "--yes")[1]["error"]["kind"] == "unsafe_path"


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--no-header"], "header"), (["--column", "person=userId"], "columns"), (["--time-unit", "ms"], "time_unit")],
)
def test_formats_other_than_table_take_no_hints(run, tmp_path: Path, flags: list[str], named: str) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
    status, answer = run("import", "auto", str(tmp_path), "--name", "data", *flags)
    assert (status, answer["error"]["kind"]) == (1, "config")
    assert answer["error"]["message"] == f"format movielens takes no hints, and {named} was given"
