"""The command line's frame: one JSON object and nothing else on standard output, named errors, right exit status."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from seminar_core.cli.main import command
from seminar_core.errors import UnknownRunError


@pytest.fixture
def application() -> typer.Typer:
    app = typer.Typer()

    @command(app, "double")
    def double(workspace, *, number: Annotated[int, typer.Option()] = 2) -> dict:
        if number < 0:
            raise UnknownRunError("run", "x", ["a", "b"])
        return {"double": 2 * number, "root": workspace.root, "odd": float("nan")}

    @command(app, "other")
    def other(workspace) -> dict:
        return {"rows": [{"a": 1}]}

    return app


def test_an_answer_is_one_json_object(application, tmp_path):
    result = CliRunner().invoke(application, ["double", "--number", "4", "--json", "--workspace", str(tmp_path)])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"double": 8, "root": str(tmp_path), "odd": None}


def test_a_refusal_is_status_one_with_kind_message_and_hint(application):
    result = CliRunner().invoke(application, ["double", "--number", "-1", "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "unknown_run" and "'x' is not known" in error["message"] and error["hint"]


def test_a_refusal_in_words_goes_to_standard_error(application):
    result = CliRunner().invoke(application, ["double", "--number", "-1"])
    assert result.exit_code == 1 and result.stdout == "" and "next:" in result.stderr


def test_wrong_usage_is_status_two(application):
    assert CliRunner().invoke(application, ["double", "--nonsense"]).exit_code == 2


def test_words_show_rows_one_a_line(application):
    assert "rows: 1\n  a=1" in CliRunner().invoke(application, ["other"]).stdout
