"""Commands about data: `sample`, `import`, `datasets`, `report`, `people`, `life`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Cancelled, ChildDiedError, ConfigError, NotReadyError, ResourceError, UnknownNameError
from ..workspace import Workspace
from .main import command, report_progress

DatasetOption = Annotated[str, typer.Option("--dataset", help="Name of a data set; `datasets` lists them.")]


def sample(
    workspace: Workspace,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; else the bundled sample_data/.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 0,
    people: Annotated[int, typer.Option("--people", min=1, help="How many people.")] = 400,
    noise: Annotated[bool, typer.Option("--noise", help="Nothing to learn but item frequencies.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Instead, train the run that comes with the sample anew.")] = False,
) -> dict[str, Any]:
    """Write the bundled sample data set anew, or the trained run that comes with it."""
    from ..beside import sample_directory
    from ..data.synthetic.sample import write_sample

    if run:
        from ..studies.bundle import make_bundle

        return make_bundle(out or sample_directory(), progress=report_progress())
    return write_sample(out or sample_directory(), seed=seed, people=people, noise=noise)


def import_(
    workspace: Workspace,
    format: Annotated[str, typer.Argument(help="auto, table, movielens, kuaisar, amazon, jdsearch or taobao-mm.")],
    path: Annotated[Path, typer.Argument(help="Directory (or events file) to read.")],
    name: Annotated[str, typer.Option("--name", help="Name of the data set; an existing one is replaced.")],
    rejected: Annotated[Path | None, typer.Option("--rejected", help="CSV for the rows that cannot be used.")] = None,
    hints: Annotated[Path | None, typer.Option("--hints", help="TOML file of the flags below.")] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="One character, or tab, semicolon.")] = None,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of text files, such as latin-1.")] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="The first line is a row already.")] = False,
    column: Annotated[list[str] | None, typer.Option("--column", help="person=userId; repeatable.")] = None,
    time_unit: Annotated[str | None, typer.Option("--time-unit", help="s, ms, us or ns.")] = None,
    time_format: Annotated[str | None, typer.Option("--time-format", help="As strptime: %m/%d/%Y %H:%M.")] = None,
    queries: Annotated[str | None, typer.Option("--queries", help="amazon: category (default) or first-words.")] = None,
    offer: Annotated[bool, typer.Option("--offer", help="Keep the version that is there until `settle`.")] = False,
    most_rows: Annotated[int | None, typer.Option("--most-rows", min=1, help="Rows that a file may have.")] = None,
    most_memory_mb: Annotated[
        int | None, typer.Option("--most-memory-mb", min=1, help="Memory that it may use, in a process of its own.")
    ] = None,
    most_seconds: Annotated[
        int | None, typer.Option("--most-seconds", min=1, help="Seconds that it may take, in a process of its own.")
    ] = None,
) -> dict[str, Any]:
    """Import a data set."""
    arguments = dict(locals())
    if most_memory_mb is not None or most_seconds is not None:
        return import_supervised(workspace, path, name, arguments)
    from ..data.hints import make_hints, refuse_hints
    from ..data.importers import IMPORTERS, import_table
    from ..data.importers.amazon import QUERIES, import_amazon
    from ..data.importers.auto import recognised
    from ..data.limits import Terms
    from ..data.stages import remove_leftovers
    from ..data.versions import remove_released

    remove_leftovers(workspace)
    remove_released(workspace)
    because: dict[str, Any] = {}
    if format == "auto":
        format, why = recognised(path)
        because = {"format": format, "recognised_by": why}
    if format not in IMPORTERS:
        raise UnknownNameError("format", format, ["auto", *IMPORTERS])
    told = make_hints(
        hints,
        column or (),
        delimiter=delimiter,
        encoding=encoding,
        header=False if no_header else None,
        time_unit=time_unit,
        time_format=time_format,
    )
    if queries is not None and format != "amazon":
        raise ConfigError(f"format {format} has its own queries, not {queries!r}", hint="leave --queries out")
    terms = Terms(offer=offer, most_rows=most_rows)
    if format == "table":
        return because | import_table(workspace, path, name, rejected, report_progress(), told, terms)
    refuse_hints(told, format)
    if terms != Terms():
        raise ConfigError(
            f"format {format} is imported whole and at once, not with --offer or --most-rows",
            hint="leave them out: they are for the format `table`",
        )
    if format == "amazon":
        return because | import_amazon(workspace, path, name, rejected, report_progress(), queries or QUERIES[0])
    return because | IMPORTERS[format](workspace, path, name, rejected, report_progress())


def import_supervised(workspace: Workspace, path: Path, name: str, told: dict[str, Any]) -> dict[str, Any]:
    """This very import in a child that may use no more than `told` says; what a killed one leaves is cleared away."""
    from ..access import audited
    from ..data.versions import clear_killed
    from ..jobs.governor import Bounds, supervised

    bounds = Bounds(told.pop("most_memory_mb"), told.pop("most_seconds"))
    words = ["import", *words_of(told), f"--workspace={workspace.root}", "--", told["format"], str(path)]
    try:
        return supervised(words, f"the import of {name!r}", bounds, report_progress())
    except (ResourceError, ChildDiedError, Cancelled) as error:
        clear_killed(workspace, path, name, stages=not isinstance(error, ChildDiedError))
        with audited(workspace, "import", name):
            raise


def words_of(told: dict[str, Any]) -> list[str]:
    """The options among a command's arguments as words."""
    words = []
    for name, value in told.items():
        option = f"--{name.replace('_', '-')}"
        if name in ("workspace", "format", "path") or value is None or value is False:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        words += [option] if value is True else [f"{option}={one}" for one in values]
    return words


def settle(
    workspace: Workspace,
    name: Annotated[str, typer.Argument(help="Data set of which a version waits (import --offer).")],
    discard: Annotated[bool, typer.Option("--discard", help="Let it go; the version that is there stays.")] = False,
) -> dict[str, Any]:
    """Accept the version of a data set that was offered, or discard it."""
    from ..data.versions import offered
    from ..data.versions import settle as settle_version

    if (version := offered(workspace, name)) is None:
        raise NotReadyError(
            f"no version of data set {name!r} waits", hint=f"offer one: import ... --name {name} --offer"
        )
    settle_version(workspace, name, version, accept=not discard)
    return {"dataset": name, "version": version, "accepted": not discard}


def datasets(workspace: Workspace) -> dict[str, Any]:
    """List the data sets of the workspace."""
    from ..data.opening import list_datasets

    return {"datasets": list_datasets(workspace)}


def report(workspace: Workspace, dataset: DatasetOption) -> dict[str, Any]:
    """Say what a data set holds and what is wrong with it."""
    from ..data.opening import open_dataset
    from ..data.report import report as data_report

    return data_report(open_dataset(workspace, dataset, report_progress()))


def people(
    workspace: Workspace,
    dataset: DatasetOption,
    query: Annotated[str | None, typer.Option("--query", help="Only people with a search that contains this.")] = None,
    sort: Annotated[str, typer.Option("--sort", help="length, gap or pq-loss.")] = "length",
    run: Annotated[str | None, typer.Option("--run", help="The run that gap and pq-loss come from.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many people at most.")] = 50,
) -> dict[str, Any]:
    """Find people."""
    from ..data.opening import open_dataset
    from ..lives.people import find_people

    opened = open_dataset(workspace, dataset, report_progress())
    if run is None:
        return {"people": find_people(opened, query, sort, limit)}
    from ..search.population import population
    from ..training.run_files import check_run_of

    check_run_of(workspace, run, opened.name)
    rows = population(workspace, run)["people"]
    gap, pq_loss = ({row["person"]: row[key] for row in rows} for key in ("gap", "pq_loss"))
    return {"people": find_people(opened, query, sort, limit, gap=gap, pq_loss=pq_loss)}


def life(
    workspace: Workspace,
    dataset: DatasetOption,
    person: Annotated[str, typer.Option("--person", help="Person id as in the source data.")],
    start: Annotated[int | None, typer.Option("--from", help="First event; negative counts from the end.")] = None,
    stop: Annotated[int | None, typer.Option("--to", help="Event after the last one shown.")] = None,
    search: Annotated[int | None, typer.Option("--search", help="Open the search that this event belongs to.")] = None,
    beside: Annotated[str | None, typer.Option("--beside", help="Compare the interests with this person's.")] = None,
) -> dict[str, Any]:
    """Show one life, newest event last."""
    from ..data.life_pages import life as life_of
    from ..data.opening import open_dataset

    opened = open_dataset(workspace, dataset, report_progress())
    answer = life_of(opened, person, start, stop)
    if search is not None:
        from ..lives.searches import open_search

        lived = opened.store.life(opened.person_row(person))
        answer["search"] = open_search(opened, lived, search).as_dict(opened, lived)
    if beside is not None:
        from ..lives.comparison import compare_lives

        answer["comparison"] = compare_lives(opened, person, beside).as_dict()
    return answer


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, function in (
        ("sample", sample),
        ("import", import_),
        ("settle", settle),
        ("datasets", datasets),
        ("report", report),
        ("people", people),
        ("life", life),
    ):
        command(app, name)(function)
