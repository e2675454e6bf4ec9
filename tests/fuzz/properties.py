"""What must hold for every input: an answer or a named error, never a trace, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.parameters import PARAMETERS, read_query, write_query
from seminar_core.cli import main as command_line
from seminar_core.data.hints import Hints, make_hints
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.pictures import normalised
from seminar_core.encoders.given import Given
from seminar_core.errors import ConfigError, SeminarError
from seminar_core.progress import silent
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import leaves, load_config
from seminar_core.workspace import Workspace
from tests.fuzz import inputs
from tests.tiny_run import make_run

# Commands that train, serve, measure or fill a disk are left out: their words are read by the same code.
WORKING = {
    "app", "bench", "codebooks", "encode", "finetune", "map", "pretrain", "reproduce", "sample", "start", "resume",
    "frontier",
}  # fmt: skip


@dataclass(frozen=True)
class Property:
    """A kind of input and what must hold for it.

    Fields:
        strategy: of the inputs.
        check: raises when it does not hold.
        quick: inputs in `make test`.
    """

    strategy: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    quick: int


def tables(files: tuple[inputs.File, inputs.File | None]) -> None:
    """An import answers or raises a named error, keeps account of the rows, and leaves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path, workspace = Path(folder, "in"), Workspace(Path(folder, "workspace"))
        path.mkdir()
        for file in filter(None, files):
            (path / file.name).write_bytes(file.data)
        try:
            answer = import_table(workspace, path, "data", path / "rejected.csv")
        except SeminarError as error:
            assert error.message and error.hint and ".partial-" not in error.message, error.message
        else:
            data = open_dataset(workspace, "data")
            assert data.n_events == answer["events"] == len(data.store.item) > 0
        assert not list(workspace.datasets.glob(".partial-*"))


def pictures(data: bytes) -> None:
    """A picture is stored or is none."""
    found = normalised(data)
    assert found is None or normalised(found) is not None


@cache
def tiny() -> Workspace:
    """A workspace with a data set and two runs, made once a process."""
    root = Path(tempfile.mkdtemp(prefix="seminar-fuzz-"))
    return make_run(root)


def vectors(data: bytes) -> None:
    """Given vectors are read or refused by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vectors.parquet")
        path.write_bytes(data)
        with contextlib.suppress(SeminarError):
            found = Given(path, with_queries=True).encode(open_dataset(tiny(), "tiny"), silent)
            assert len(found.items) == open_dataset(tiny(), "tiny").n_items + 1


def links(query: dict[str, str]) -> None:
    """A link is read with a notice for what is wrong, and what was read makes a link that reads the same."""
    choices, notices = read_query(query)
    known = [name for name in query if name in PARAMETERS]
    assert set(choices) == set(PARAMETERS) and len(notices) <= len(query)
    again, _ = read_query(write_query(choices))
    for name in known:
        assert repr(again[name]) == repr(choices[name]), name


def hint_files(data: bytes) -> None:
    """A file of hints is read or refused by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hints.toml")
        path.write_bytes(data)
        with contextlib.suppress(SeminarError):
            make_hints(path)


def setting_files(given: tuple[bytes, list[str]]) -> None:
    """Settings of trainings are read or refused by name, from a file and from words."""
    data, words = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.toml")
        path.write_bytes(data)
        for kind in (PretrainConfig, FinetuneConfig):
            with contextlib.suppress(SeminarError):
                load_config(kind, path)
            with contextlib.suppress(ConfigError):
                load_config(kind, None, words)


@cache
def commands() -> dict[tuple[str, ...], list[str]]:
    """Words of every reading command -> its options."""
    command_line.load_areas()
    found: dict[tuple[str, ...], list[str]] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                walk(inner, (*words, name))
        elif not WORKING & set(words):
            options = [opt for p in command.params for opt in p.opts if opt.startswith("--")]
            found[words] = [opt for opt in options if opt not in ("--help", "--yes", "--workspace", "--json")]

    walk(typer.main.get_command(command_line.app), ())
    return found


@st.composite
def command_words(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str]]:
    """A command, and words and options that fit or do not."""
    words, options = draw(st.sampled_from(sorted(commands().items())))
    said = draw(st.lists(inputs.nasty, max_size=2))
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        fitting = {"--dataset": "tiny", "--run": "run", "--person": "p1", "--item": "i1"}
        value = fitting[option] if option in fitting and draw(st.booleans()) else draw(inputs.nasty)
        said += [option, value]
    return words, [word.replace("\0", "") for word in said]  # no shell passes a NUL


def words(said: tuple[tuple[str, ...], list[str]]) -> None:
    """A command ends with 0, 1 and an error as data, or 2; never with a trace."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        frame = ["--json", "--workspace", str(tiny().root)]
        done = CliRunner().invoke(command_line.app, [*said[0], *frame, *said[1]])
    if done.exception is not None and not isinstance(done.exception, SystemExit | click.exceptions.Exit):
        raise done.exception
    assert done.exit_code in (0, 1, 2), done.output
    if done.exit_code == 1:
        assert json.loads(done.stdout)["error"]["hint"]


settings_words = st.lists(
    st.tuples(
        st.sampled_from([n for kind in (PretrainConfig, FinetuneConfig) for n in leaves(kind())]), inputs.nasty
    ).map("=".join),
    max_size=3,
)
link_parameters = st.dictionaries(st.sampled_from((*PARAMETERS, "v", "odd")), inputs.nasty, max_size=5)
PROPERTIES = {
    "tables": Property(
        st.tuples(inputs.table_files(), st.none() | inputs.table_files("items")), tables, quick=20
    ),
    "pictures": Property(inputs.pictures, pictures, quick=200),
    "vectors": Property(inputs.vector_files(), vectors, quick=50),
    "links": Property(link_parameters, links, quick=200),
    "hints": Property(inputs.toml_files(tuple(f.name for f in fields(Hints))), hint_files, quick=100),
    "settings": Property(
        st.tuples(inputs.toml_files(("seed", "steps", "width", "model")), settings_words), setting_files, quick=60
    ),
    "words": Property(command_words(), words, quick=20),
}  # fmt: skip


def run(name: str, examples: int, seen: list[int], **profile: Any) -> None:
    """Draw inputs of a kind and check each; the number that was drawn is added to `seen`."""
    wanted = PROPERTIES[name]

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), **profile)
    @given(wanted.strategy)
    def every(value: Any) -> None:
        seen.append(1)
        wanted.check(value)

    every()


def clean_up() -> None:
    """Remove the tiny workspace."""
    if tiny.cache_info().currsize:
        shutil.rmtree(tiny().root.parent, ignore_errors=True)
        tiny.cache_clear()
