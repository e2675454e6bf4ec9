"""`pretrain`, `finetune` and `runs` on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SeminarError
from ..progress import Progress, installed, silent
from ..workspace import Workspace
from .main import command, report_progress

DatasetOption = Annotated[str, typer.Option("--dataset", help="Data set to train on.")]
RunOption = Annotated[str, typer.Option("--run", help="Name of the run that is made.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A setting as key=value; may be given several times.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Decides initial weights, batches and samples.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the run's last checkpoint; the budget and batch_size may change.")
]


@contextmanager
def only_the_first_speaks() -> Iterator[Progress]:
    """How to report progress; of several processes of a launcher the others end without an answer.

    An error of theirs goes to standard error: the first process has usually met the same and answers with it. In a
    background job it goes on, so that the job can say whose it was.
    """
    from ..training.launch import launched

    group = launched()
    if group is None or group.writes:
        yield report_progress()
        return
    try:
        yield silent
    except SeminarError as error:
        if installed() is not None:
            raise
        typer.echo(f"process {group.rank}: {error.message}", err=True)
        raise typer.Exit(1) from error
    raise typer.Exit(0)


def pretrain(
    workspace: Workspace,
    dataset: DatasetOption,
    run: RunOption,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> dict[str, Any]:
    """Train a Pretraining Search Unit: neighbours, alignment, relevance."""
    from ..training.pretrain import pretrain as train
    from ..training.recipe import PretrainConfig
    from ..training.session import Orders
    from ..training.settings import given_settings, with_values

    with only_the_first_speaks() as progress:
        given = given_settings(PretrainConfig, config, settings or (), seed=seed, device=device)
        chosen = with_values(PretrainConfig(), given)
        orders = Orders(overwrite=overwrite, resume=resume, progress=progress, given=frozenset(given))
        answer = train(workspace, dataset, run, config=chosen, orders=orders)
    return answer


def finetune(
    workspace: Workspace,
    dataset: DatasetOption,
    run: RunOption,
    model: Annotated[str, typer.Option("--model", help="seminar, seminar-pq, or a baseline by name.")] = "seminar",
    parent: Annotated[str | None, typer.Option("--from", help="Pretrained run to restore.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> dict[str, Any]:
    """Train a downstream model, from scratch or from a pretrained run."""
    from ..training.finetune import finetune as train
    from ..training.recipe import FinetuneConfig
    from ..training.session import Orders
    from ..training.settings import given_settings, with_values

    with only_the_first_speaks() as progress:
        given = given_settings(FinetuneConfig, config, settings or (), seed=seed, device=device)
        chosen = with_values(FinetuneConfig(), given)
        orders = Orders(overwrite=overwrite, resume=resume, progress=progress, given=frozenset(given))
        answer = train(workspace, dataset, run, model=model, parent=parent, config=chosen, orders=orders)
    return answer


def runs(workspace: Workspace) -> dict[str, Any]:
    """List the runs of the workspace."""
    from ..training.run_files import list_runs

    return list_runs(workspace)


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    command(app, "pretrain")(pretrain)
    command(app, "finetune")(finetune)
    command(app, "runs")(runs)
