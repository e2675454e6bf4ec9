"""The commands about stories: their keys, a story as a file or a name, and one damaged file among others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from seminar_core.access import AUDIT, READ_ONLY
from seminar_core.cli import story
from seminar_core.files import read_lines
from seminar_core.workspace import Workspace


@pytest.fixture
def run(workspace: Workspace):
    """Call a command with --json: (exit status, answer)."""
    app = typer.Typer()
    story.register(app)

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(app, ["story", *words, "--json", "--workspace", str(workspace.root)])
        return done.exit_code, json.loads(done.stdout)

    return call


def test_a_story_is_shown_and_exported_by_name_and_from_a_file(run, workspace: Workspace, tmp_path: Path):
    run("add", "mine", "--view", "training", "--run", "gone", "--caption", "One", "--title", "Mine")
    status, answer = run("add", "mine", "--view", "life", "--dataset", "nowhere", "--person", "p1")
    assert status == 0 and answer["views"] == ["training", "life"]
    (workspace.stories / "mine.json").rename(tmp_path / "their story.json")
    status, answer = run("show", str(tmp_path / "their story.json"))
    assert (status, answer["story"], answer["title"], answer["views"]) == (
        0,
        "their story",
        "Mine",
        ["training", "life"],
    )
    assert answer["slides"][0]["caption"] == "One"
    out = tmp_path / "mine.html"
    status, answer = run("export", str(tmp_path / "their story.json"), "--out", str(out))
    assert (status, answer["path"], answer["bytes"]) == (0, str(out), out.stat().st_size)
    assert answer["views"] == ["training", "life"] and [row["slide"] for row in answer["missing"]] == [1, 2]


def test_a_file_that_is_not_there_and_a_name_that_is_not_known_are_told_apart(run, tmp_path: Path):
    assert run("show", str(tmp_path / "no.json"))[1]["error"]["kind"] == "missing_file"
    answer = run("show", "no")[1]["error"]
    assert answer["kind"] == "unknown_name" and "known: sample" in answer["message"]


def test_a_damaged_story_is_listed_with_its_error_and_the_others_beside_it(run, workspace: Workspace):
    run("add", "mine", "--view", "data")
    (workspace.stories / "bad.json").write_text('{"slides": 3}')
    (workspace.stories / "two words.json").write_text('{"slides": []}')
    status, answer = run("list")
    rows = {row["story"]: row for row in answer["stories"]}
    assert status == 0 and list(rows) == ["sample", "bad", "mine", "two words"]
    assert rows["mine"]["error"] is None and rows["mine"]["views"] == ["data"]
    assert "bad.json is no story" in rows["bad"]["error"] and rows["bad"]["views"] == []
    assert "'two words' is not allowed" in rows["two words"]["error"]
    assert run("show", "bad")[1]["error"]["kind"] == "corrupt_file"


@pytest.mark.parametrize(
    ("slide", "said"),
    [
        ({"view": "data", "caption": 5}, "caption of slide 2 is 5, expected a text"),
        ({"view": "data", "shortlist": "4"}, "shortlist of slide 2 is '4', expected a number"),
        ({"view": "data", "settings": ["k"]}, r"settings of slide 2 is ['k'], expected an object"),
        ({"caption": "no view"}, "view of slide 2 is None, expected a text"),
        ({"view": "data", "comments": [3]}, "comment of slide 2 is 3, expected an object"),
        ("data", "slide 2 is 'data', expected an object"),
    ],
)
def test_a_field_of_another_kind_is_named(run, workspace: Workspace, slide: Any, said: str):
    workspace.stories.mkdir(parents=True)
    (workspace.stories / "bad.json").write_text(json.dumps({"slides": [{"view": "data"}, slide]}))
    status, answer = run("show", "bad")
    assert status == 1 and answer["error"]["kind"] == "corrupt_file" and said in answer["error"]["message"]


def test_a_viewer_changes_no_story_and_the_audit_file_has_who_did_and_who_was_refused(run, workspace, monkeypatch):
    assert run("add", "mine", "--view", "data")[0] == 0
    monkeypatch.setenv(READ_ONLY, "1")
    status, answer = run("add", "mine", "--view", "data")
    assert status == 1 and answer["error"]["kind"] == "not_allowed" and len(run("show", "mine")[1]["views"]) == 1
    lines = read_lines(workspace.root / AUDIT)
    assert [(line["action"], line["what"], line["outcome"]) for line in lines] == [
        ("change story", "mine", "done"), ("change story", "mine", "refused"),
    ]  # fmt: skip
