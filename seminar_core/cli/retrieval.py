"""Commands about retrieval: `codebooks`, `retrieve`, `explain`, `frontier`, `population`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..retrieval.spec import DEFAULT
from ..workspace import Workspace
from .main import command, report_progress

RunOption = Annotated[str, typer.Option("--run", help="Name of a run; `runs` lists them.")]
KOption = Annotated[int | None, typer.Option("--k", help="Events kept per head; else the run's own K.")]
SpecOption = Annotated[str, typer.Option("--spec", help="Specification of the quantiser.")]


def numbers(text: str | None) -> tuple[float, ...] | None:
    """`1,0.5,0,2` as numbers.

    Raises:
        ConfigError: a part that is no number.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--weights {text!r} are not numbers", hint="give four, as in 0.5,0.2,0.2,0.1") from error


def question(
    person: Annotated[str, typer.Option("--person", help="Person id as in the source data.")],
    item: Annotated[str, typer.Option("--item", help="Target item id as in the source data.")],
    query: Annotated[str | None, typer.Option("--query", help="Query typed with the target.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Event before which the life is visible, or `end`.")] = None,
    k: KOption = None,
    spec: SpecOption = DEFAULT,
    shortlist: Annotated[float, typer.Option("--shortlist", help="The scan keeps F x K pairs; 0 = one stage.")] = 4.0,
    weights: Annotated[str | None, typer.Option("--weights", help="q,a,t,i: explicit channel weights.")] = None,
    mask: Annotated[list[str] | None, typer.Option("--mask", help="q, a, t or i: left out; repeatable.")] = None,
    hide_from: Annotated[int | None, typer.Option("--hide-from", help="Start of a left-out period, UTC s.")] = None,
    hide_to: Annotated[int | None, typer.Option("--hide-to", help="End of it, UTC s.")] = None,
    head: Annotated[int | None, typer.Option("--head", help="One head alone, from 0.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Another first stage in place of --spec.")] = None,
) -> Any:
    """The options as a `Question`."""
    from ..search.question import Question

    return Question(
        person,
        item,
        query=query,
        at=at,
        k=k,
        spec=spec,
        shortlist=shortlist,
        weights=numbers(weights),
        mask=tuple(part.strip().upper() for name in mask or () for part in name.split(",") if part.strip()),
        hide_from_s=hide_from,
        hide_to_s=hide_to,
        head=head,
        method=method,
    )


def asking(*left_out: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """A command `f(workspace, asked, ...)` with the options of `question`, some left out, in place of `asked`."""
    options = {n: p for n, p in inspect.signature(question, eval_str=True).parameters.items() if n not in left_out}

    def with_options(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        @functools.wraps(function)
        def carried_out(workspace: Workspace, **told: Any) -> dict[str, Any]:
            asked = question(**{name: told.pop(name) for name in options})
            return function(workspace, asked=asked, **told)

        own = [p for n, p in inspect.signature(function, eval_str=True).parameters.items() if n != "asked"]
        both = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own[1:], *options.values())]
        carried_out.__signature__ = inspect.Signature([own[0], *both])  # type: ignore[attr-defined]
        return carried_out

    return with_options


@asking()
def retrieve(workspace: Workspace, run: RunOption, asked: Any) -> dict[str, Any]:
    """Exact beside approximate retrieval for one target."""
    from ..search.answer import ask
    from ..search.study import open_study

    return ask(open_study(workspace, run), asked).said


@asking("method")
def explain(
    workspace: Workspace,
    run: RunOption,
    asked: Any,
    event: Annotated[str, typer.Option("--event", help="Position in the life of the event to explain.")],
) -> dict[str, Any]:
    """Why an event was kept or lost."""
    from ..search.explanation import explain_event
    from ..search.study import open_study
    from ..search.trace import trace

    study = open_study(workspace, run)
    return explain_event(study, trace(study, asked, timed=False), event)


RowsOption = Annotated[int | None, typer.Option("--rows", help="Train on at most so many rows; all are encoded.")]


def codebooks(
    workspace: Workspace, run: RunOption, spec: SpecOption = DEFAULT, rows: RowsOption = None
) -> dict[str, Any]:
    """Train codebooks for a run and encode its catalogue."""
    from ..search.study import make_codebooks, open_study

    return make_codebooks(open_study(workspace, run), spec, rows=rows, progress=report_progress())


def frontier(
    workspace: Workspace,
    run: RunOption,
    person: Annotated[str | None, typer.Option("--person", help="One person instead of a sample.")] = None,
    target_recall: Annotated[float, typer.Option("--target-recall", help="What the suggestion has to reach.")] = 0.95,
) -> dict[str, Any]:
    """Recall, attention mass, bytes and latency of every specification on this run."""
    from ..search.budget import frontier as measure

    return measure(workspace, run, person=person, target_recall=target_recall, progress=report_progress())


def population(workspace: Workspace, run: RunOption, spec: SpecOption = DEFAULT, k: KOption = None) -> dict[str, Any]:
    """Every person: what the quantised scan loses (PQ loss), life length, modality gap."""
    from ..search.population import population as measure

    return measure(workspace, run, spec=spec, k=k, progress=report_progress())


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, function in (
        ("codebooks", codebooks),
        ("retrieve", retrieve),
        ("explain", explain),
        ("frontier", frontier),
        ("population", population),
    ):
        command(app, name)(function)
