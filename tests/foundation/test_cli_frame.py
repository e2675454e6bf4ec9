"""The command line's frame: one JSON object and nothing else on standard output, named errors, right exit status."""

from __future__ import annotations

import errno
import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from seminar_core.cli.main import command
from seminar_core.errors import UnknownRunError
from seminar_core.progress import reporting_to, silent


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


def test_help_says_what_a_command_does_and_leaves_out_what_readers_of_the_code_need():
    app = typer.Typer()

    @command(app, "double")
    def double(workspace) -> dict:
        """Double a number.

        Raises:
            UnknownRunError: no such run.
        """
        return {}

    said = CliRunner().invoke(app, ["--help"]).stdout
    assert "Double a number." in said and "Raises" not in said


def test_a_refusal_is_status_one_with_kind_message_and_hint(application):
    result = CliRunner().invoke(application, ["double", "--number", "-1", "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "unknown_run" and "'x' is not known" in error["message"] and error["hint"]


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/there/file"), "resource", "/there/file"),
        (OSError(errno.EROFS, "Read-only file system", "/there/file"), "file_access", "Read-only file system"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a", None, "b"), "file_access", "a -> b: Is a directory"),
        (OSError("without a number"), "file_access", "without a number"),
        (MemoryError(), "resource", "not enough memory"),
    ],
)
def test_what_the_machine_refuses_is_a_named_error(error, kind, says):
    app = typer.Typer()

    @command(app, "write")
    def write(workspace) -> dict:
        raise error

    result = CliRunner().invoke(app, ["--json"])
    said = json.loads(result.stdout)["error"]
    assert result.exit_code == 1 and said["kind"] == kind and says in said["message"] and said["hint"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_an_interrupt_from_the_keyboard_is_an_answer_too(error):
    app = typer.Typer()

    @command(app, "write")
    def write(workspace) -> dict:
        raise error

    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 1 and json.loads(result.stdout)["error"]["kind"] == "cancelled"


def test_any_other_failure_of_the_program_is_not_hidden():
    app = typer.Typer()

    @command(app, "write")
    def write(workspace) -> dict:
        raise RuntimeError("a mistake in the program")

    assert isinstance(CliRunner().invoke(app, ["--json"]).exception, RuntimeError)


def test_a_job_keeps_what_the_machine_refused_for_its_own_words():
    app = typer.Typer()

    @command(app, "write")
    def write(workspace) -> dict:
        raise OSError(errno.ENOSPC, "No space left on device")

    with reporting_to(silent):
        assert isinstance(CliRunner().invoke(app, ["--json"]).exception, OSError)


def test_a_refusal_in_words_goes_to_standard_error(application):
    result = CliRunner().invoke(application, ["double", "--number", "-1"])
    assert result.exit_code == 1 and result.stdout == "" and "next:" in result.stderr


def test_wrong_usage_is_status_two(application):
    assert CliRunner().invoke(application, ["double", "--nonsense"]).exit_code == 2


def test_words_show_rows_one_a_line(application):
    assert "rows: 1\n  a=1" in CliRunner().invoke(application, ["other"]).stdout
