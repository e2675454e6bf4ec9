"""`jobs start|list|show|cancel|resume|logs`: background jobs from the command line.

Command line. `jobs start COMMAND ...` keeps `--json`, `--workspace`, `--engine`, `--processes` and `--nodes` for itself
wherever they stand and passes all other words on to the command, which is checked for wrong usage before anything
starts.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
import typer.main

from ..workspace import Workspace
from . import main

jobs_app = typer.Typer(no_args_is_help=True, help="Background jobs: start, watch, cancel, resume.")

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's name, as `jobs list` shows it.")]


def check_usage(words: list[str]) -> None:
    """Parse the command's words without running it; wrong usage ends with status 2, as when typed.

    Raises:
        ConfigError: a setting that the command does not know, or that is outside its range.
        MissingFileError, CorruptFileError: the file of settings cannot be read.
    """
    group: Any = typer.main.get_command(main.app)
    name, rest = words[0], words[1:]
    command = group.commands.get(name)
    if command is not None:
        check_settings(name, command.make_context(f"seminar_core {name}", list(rest)).params)


def check_settings(name: str, told: dict[str, Any]) -> None:
    """Read the settings among a command's parsed options as the command itself will; raises what that raises."""
    from ..training.recipe import FinetuneConfig, PretrainConfig
    from ..training.settings import load_config

    kinds: dict[str, type] = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "reproduce": FinetuneConfig}
    if name in kinds:
        load_config(kinds[name], told["config"], told["settings"] or (), seed=told["seed"], device=told["device"])


def start(
    workspace: Workspace,
    words: Annotated[list[str], typer.Argument(metavar="COMMAND ...", help="The command and its options.")],
    engine: Annotated[str, typer.Option("--engine", help="local or slurm")] = "local",
    processes: Annotated[int, typer.Option("--processes", min=1, help="Processes that train it together.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines of a cluster to spread them over.")] = 1,
) -> dict[str, Any]:
    """Start a command as a background job and return at once."""
    from ..jobs import control as jobs
    from ..jobs.state import COMMANDS

    if words[0] in COMMANDS:
        check_usage(words)
    return {"jobs": [jobs.start(workspace, words, engine=engine, processes=processes, nodes=nodes)]}


def list_jobs(workspace: Workspace) -> dict[str, Any]:
    """All jobs, oldest first."""
    from ..jobs import control as jobs

    return {"jobs": jobs.rows(workspace)}


def show(workspace: Workspace, job: Job) -> dict[str, Any]:
    """One job."""
    from ..jobs import control as jobs

    return {"jobs": [jobs.show(workspace, job)]}


def cancel(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Stop a job: it checkpoints and ends within 10 s, or is killed."""
    from ..jobs import control as jobs

    return {"jobs": [jobs.cancel(workspace, job)]}


def resume(
    workspace: Workspace,
    job: Job,
    smaller_batch: Annotated[
        bool, typer.Option("--smaller-batch", help="With half the batch, after it ran out of memory.")
    ] = False,
) -> dict[str, Any]:
    """Continue a stopped, failed or lost job from its last checkpoint."""
    from ..jobs import control as jobs

    return {"jobs": [jobs.resume(workspace, job, smaller_batch=smaller_batch)]}


def logs(
    workspace: Workspace,
    job: Job,
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many of the last lines.")] = 200,
) -> dict[str, Any]:
    """The tail of a job's log."""
    from ..jobs import control as jobs

    return {"job": job, "lines": jobs.logs(workspace, job, lines)}


def register(app: typer.Typer) -> None:
    """Add the `jobs` group to the command line."""
    main.command(jobs_app, "start", passes_words_on=True)(start)
    for name, function in (("list", list_jobs), ("show", show), ("cancel", cancel), ("resume", resume), ("logs", logs)):
        main.command(jobs_app, name)(function)
    app.add_typer(jobs_app, name="jobs")
