"""What the pages tell a reader to type is typed: every command of their blocks, and every example in Python."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seminar_core.cli.main import app, load_areas
from seminar_core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (["python", "-m", "seminar_core"], ["seminar"])
# What would take minutes is carried out with a smaller budget, said here and nowhere on the pages.
SMALLER = {
    "pretrain": [("--set", "steps=2"), ("--set", "validation_people=10")],
    "finetune": [("--set", "steps=2"), ("--set", "validation_people=10")],
    "codebooks": [("--rows", "600"), ("--spec", "QC64,RQ8x4fs")],
}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


def lines(page: str) -> list[tuple[str, str]]:
    """Each line of a page's console blocks, and the comment behind it."""
    found = [line.partition("#") for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [(line.strip(), comment.strip()) for line, _, comment in found if line.strip()]


def words_of(line: str) -> list[str] | None:
    """The words after the program's name; None where another program is called."""
    words = shlex.split(line)
    return next((words[len(name) :] for name in PROGRAMS if words[: len(name)] == name), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands for FOLDER on the pages: somebody's own log."""
    load_areas()
    place = tmp_path_factory.mktemp("log") / "FOLDER"
    assert CliRunner().invoke(app, ["sample", "--out", str(place), "--people", "12"]).exit_code == 0
    return place


@pytest.fixture
def call(own: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Types a line in a folder that holds FOLDER, over a workspace of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(own.root))
    (tmp_path / "FOLDER").symlink_to(folder)
    runner = CliRunner()

    def invoke(*words: str):
        told = [one for one in SMALLER.get(words[0], []) if one[0] == "--set" or one[0] not in words]
        return runner.invoke(app, [*words, *(word for one in told for word in one)])

    yield invoke
    for row in json.loads(invoke("jobs", "list", "--json").stdout)["jobs"]:
        invoke("jobs", "cancel", row["job"])


@pytest.mark.parametrize("page", ["README.md", "docs/start.md", "docs/command-line.md", "docs/troubleshooting.md"])
def test_every_command_of_a_page_works_or_is_refused_as_the_page_says(page, call):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    typed = 0
    for line, comment in lines(page):
        words = words_of(line)
        if words is None:
            program, *rest = shlex.split(line)
            assert program == "make" and rest[0] in targets, f"{page}: nobody has tried {line!r}"
        elif page.endswith("troubleshooting.md"):
            done = call(*words, "--json")
            assert done.exit_code == 1 and json.loads(done.stdout)["error"]["kind"] == comment, line
            typed += 1
        else:
            done = call(*words)
            assert done.exit_code == 0, f"{page}: {line}\n{done.output[-2000:]}{done.exception!r}"
            typed += 1
    assert typed > 5


def test_every_example_in_python_answers_what_its_page_says(own: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(own.root))
    names: dict[str, object] = {}
    runner, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), 0
    for number, block in enumerate(blocks("docs/python.md", "python")):
        example = doctest.DocTestParser().get_doctest(block, names, f"python.md[{number}]", "docs/python.md", 0)
        runner.run(example, clear_globs=False)
        names = example.globs
        tried += len(example.examples)
    assert tried > 20 and runner.summarize(verbose=False).failed == 0


def test_the_readmes_example_in_python_runs(own: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(own.root))
    (block,) = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert {"sc", "ds", "run"} <= names.keys()
