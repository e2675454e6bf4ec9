"""Commands about retrieval: `codebooks`, `retrieve`, `explain`, `frontier`, `population`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..retrieval.spec import DEFAULT
from ..workspace import Workspace
from .main import command, report_progress

RunOption = Annotated[str, typer.Option("--run", help="Name of a run; `runs` lists them.")]
PersonOption = Annotated[str, typer.Option("--person", help="Person id as in the source data.")]
ItemOption = Annotated[str, typer.Option("--item", help="Target item id as in the source data.")]
QueryOption = Annotated[str | None, typer.Option("--query", help="Query typed with the target.")]
AtOption = Annotated[str | None, typer.Option("--at", help="Event before which the life is visible, or `end`.")]
KOption = Annotated[int | None, typer.Option("--k", help="Events kept per head; else the run's own K.")]
SpecOption = Annotated[str, typer.Option("--spec", help="Specification of the quantiser.")]
ShortlistOption = Annotated[float, typer.Option("--shortlist", help="The scan keeps F x K; 0 = one stage.")]
WeightsOption = Annotated[str | None, typer.Option("--weights", help="q,a,t,i: explicit channel weights.")]
MaskOption = Annotated[list[str] | None, typer.Option("--mask", help="q, a, t or i: a channel left out; repeatable.")]
HideFromOption = Annotated[int | None, typer.Option("--hide-from", help="Start of a left-out period, UTC seconds.")]
HideToOption = Annotated[int | None, typer.Option("--hide-to", help="End of it, UTC seconds.")]
HeadOption = Annotated[int | None, typer.Option("--head", help="One head alone, from 0.")]
MethodOption = Annotated[str | None, typer.Option("--method", help="Another first stage in place of --spec.")]


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
    person: str,
    item: str,
    query: str | None,
    at: str | None,
    k: int | None,
    spec: str,
    shortlist: float,
    weights: str | None,
    mask: list[str] | None,
    hide_from: int | None,
    hide_to: int | None,
    head: int | None,
    method: str | None,
) -> Any:
    """The options as a `Question`."""
    from ..search.trace import Question

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


def retrieve(
    workspace: Workspace,
    run: RunOption,
    person: PersonOption,
    item: ItemOption,
    query: QueryOption = None,
    at: AtOption = None,
    k: KOption = None,
    spec: SpecOption = DEFAULT,
    shortlist: ShortlistOption = 4.0,
    weights: WeightsOption = None,
    mask: MaskOption = None,
    hide_from: HideFromOption = None,
    hide_to: HideToOption = None,
    head: HeadOption = None,
    method: MethodOption = None,
) -> dict[str, Any]:
    """Exact beside approximate retrieval for one target."""
    from ..search.answer import answer
    from ..search.study import open_study
    from ..search.trace import trace

    asked = question(person, item, query, at, k, spec, shortlist, weights, mask, hide_from, hide_to, head, method)
    study = open_study(workspace, run)
    return answer(study, trace(study, asked))


def explain(
    workspace: Workspace,
    run: RunOption,
    person: PersonOption,
    item: ItemOption,
    event: Annotated[str, typer.Option("--event", help="Position in the life of the event to explain.")],
    query: QueryOption = None,
    at: AtOption = None,
    k: KOption = None,
    spec: SpecOption = DEFAULT,
    shortlist: ShortlistOption = 4.0,
    weights: WeightsOption = None,
    mask: MaskOption = None,
    hide_from: HideFromOption = None,
    hide_to: HideToOption = None,
    head: HeadOption = None,
) -> dict[str, Any]:
    """Why an event was kept or lost."""
    from ..search.explanation import explain_event
    from ..search.study import open_study
    from ..search.trace import trace

    asked = question(person, item, query, at, k, spec, shortlist, weights, mask, hide_from, hide_to, head, None)
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
    """Every person: what the codes alone lose (PQ loss), life length, modality gap."""
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
