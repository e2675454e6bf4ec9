"""The command line's frame: one Typer application, `--json` and `--workspace` anywhere, errors as data or words.

Every command is a plain function that returns its answer as a dict and is registered with `command(app, name)`. With
`--json` exactly one object goes to standard output; progress and logs go to standard error. Exit status: 0 done, 1 the
request could not be carried out, 2 wrong usage.
"""

from __future__ import annotations

import errno
import functools
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, util
from typing import Annotated, Any

# Small jobs on few cores lose more to spinning OpenMP threads than they gain; set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import typer

from ..access import keep_files_private
from ..errors import Cancelled, DamagedError, FileAccessError, ResourceError, SeminarError
from ..files import plain
from ..processes import end_with_parent
from ..progress import Progress, installed
from ..workspace import Workspace, default_workspace

AREAS = (
    "datasets",
    "encoding",
    "integrity",
    "story",
    "training",
    "evaluation",
    "retrieval",
    "alignment",
    "jobs",
    "comparison",
    "reproduction",
    "benchmarks",
    "deletion",
    "serving",
)

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]
WorkspaceOption = Annotated[
    str | None, typer.Option("--workspace", help="Where everything is kept; else $SEMINAR_WORKSPACE, else ./workspace.")
]

DUCKDB_INTERRUPTED = "Query interrupted"
"""What duckdb makes of Ctrl-C."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="SEMINAR Explorer on the command line. Every command takes --json and --workspace DIR.",
)


def show(answer: Any, indent: int = 0) -> None:
    """Print an answer for people: scalars as `key: value`, lists of rows one row a line."""
    pad = "  " * indent
    for key, value in answer.items():
        if isinstance(value, dict):
            typer.echo(f"{pad}{key}:")
            show(value, indent + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            typer.echo(f"{pad}{key}: {len(value)}")
            for row in value:
                typer.echo(f"{pad}  " + "  ".join(f"{k}={v}" for k, v in row.items()))
        else:
            typer.echo(f"{pad}{key}: {value}")


def refused_by_machine(error: OSError | MemoryError) -> SeminarError:
    """What the operating system refused, as an error with a next step."""
    if isinstance(error, MemoryError):
        return ResourceError(
            f"this machine has not enough memory{f': {error}' if str(error) else ''}",
            hint="ask for less at once, or close other programs",
        )
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = f"{' -> '.join(names)}: " if names else ""
    message = f"{where}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ResourceError(f"no space is left on disk: {message}", hint="free some space, then repeat the command")
    return FileAccessError(
        f"a file or directory could not be read or written: {message}",
        hint="check that the path is what it should be and may be written; --workspace DIR keeps everything elsewhere",
    )


def fail(error: SeminarError, as_json: bool) -> None:
    """Print the error as the caller asked for it and end with status 1."""
    if as_json:
        answer = error.answer if isinstance(error, DamagedError) else {}
        typer.echo(json.dumps({"error": error.as_dict()} | answer, ensure_ascii=False))
    else:
        typer.echo(f"error: {error.message}\n  next: {error.hint}", err=True)
    raise typer.Exit(1)


def command(
    group: typer.Typer, name: str, *, passes_words_on: bool = False
) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., None]]:
    """Register a function `f(workspace, ..., ) -> dict` as command `name`, adding `--json` and `--workspace`.

    The function's first parameter must be `workspace: Workspace`; it is filled from the option. With `passes_words_on`
    options that are not the function's own are left among its words instead of being refused.
    """

    def register(function: Callable[..., dict[str, Any]]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for n, p in signature.parameters.items() if n != "workspace"
        ]
        extra = [
            inspect.Parameter("workspace", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=WorkspaceOption),
            inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
        ]

        @functools.wraps(function)
        def run_command(*, workspace: str | None = None, as_json: bool = False, **arguments: Any) -> None:
            where: Workspace = default_workspace(workspace)
            keep_files_private(where)
            try:
                answer = function(where, **arguments)
            except SeminarError as error:
                fail(error, as_json)
            except (KeyboardInterrupt, RuntimeError) as error:
                if installed() is not None or (isinstance(error, RuntimeError) and str(error) != DUCKDB_INTERRUPTED):
                    raise
                hint = "repeat the command; pretrain and finetune also go on with --resume"
                fail(Cancelled("interrupted from the keyboard", hint=hint), as_json)
            except BrokenPipeError:
                raise  # nobody listens any more: Click ends quietly
            except (OSError, MemoryError) as error:
                if installed() is not None:
                    raise  # a job tells a full disk and missing memory in its own words, with how to resume
                logging.getLogger(__name__).debug("refused by the machine", exc_info=error)
                fail(refused_by_machine(error), as_json)
            else:
                if as_json:
                    typer.echo(json.dumps(plain(answer), ensure_ascii=False, allow_nan=False))
                else:
                    show(plain(answer))

        run_command.__signature__ = inspect.Signature(own + extra)  # type: ignore[attr-defined]
        about = (inspect.getdoc(function) or "").partition("\n\n")[0]  # what it raises is for readers of the code
        settings = {"ignore_unknown_options": True} if passes_words_on else None
        group.command(name, help=about, context_settings=settings)(run_command)
        return run_command

    return register


def report_progress() -> Progress:
    """The background job's callback inside a job; else one that writes to standard error, at most twice a second."""
    job = installed()
    if job is not None:
        return job
    last = 0.0

    def progress(done: int, total: int, message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.5 or done >= total:
            last = now
            typer.echo(f"{message}: {done}/{total}", err=True)

    return progress


def load_areas() -> None:
    """Let every area of the command line that is installed register its commands."""
    for area in AREAS:
        name = f"{__package__}.{area}"
        if util.find_spec(name) is not None:
            import_module(name).register(app)


def run() -> None:
    """Entry point."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells how it was loaded, in four lines
    end_with_parent()
    keep_files_private()
    load_areas()
    app()
