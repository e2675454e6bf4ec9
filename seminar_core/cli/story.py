"""Commands about stories: `story list`, `show`, `export`, `add`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress

Name = Annotated[str, typer.Argument(metavar="STORY", help="The story's name, as `story list` shows it.")]
NameOrFile = Annotated[str, typer.Argument(metavar="STORY", help="The story's name, or its file.")]


def list_(workspace: Workspace) -> dict[str, Any]:
    """List the stories: the one of the sample and your own."""
    from ..stories.story import story_rows

    return {"stories": story_rows(workspace)}


def show(workspace: Workspace, story: NameOrFile) -> dict[str, Any]:
    """Say what a story's slides are."""
    from ..stories.story import described, open_story

    return described(open_story(workspace, story))


def export(
    workspace: Workspace,
    story: NameOrFile,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("story.html"),
) -> dict[str, Any]:
    """Write a story as one HTML file that needs no network."""
    from ..stories.page import export_story
    from ..stories.story import open_story

    return export_story(workspace, open_story(workspace, story), out, report_progress())


def add(
    workspace: Workspace,
    story: Name,
    view: Annotated[str, typer.Option("--view", help="data, life, retrieve, population, gap, map or training.")],
    dataset: Annotated[str, typer.Option("--dataset", help="Of a life.")] = "sample",
    run: Annotated[str, typer.Option("--run", help="Run that is shown.")] = "",
    person: Annotated[str, typer.Option("--person", help="Person id.")] = "",
    item: Annotated[str, typer.Option("--item", help="Target item; else the true next one.")] = "",
    shortlist: Annotated[float, typer.Option("--shortlist", help="0 = the scan alone decides.")] = 4.0,
    caption: Annotated[str, typer.Option("--caption", help="Heading of the slide.")] = "",
    note: Annotated[str, typer.Option("--note", help="What a presenter says.")] = "",
    title: Annotated[str | None, typer.Option("--title", help="Heading of the story.")] = None,
) -> dict[str, Any]:
    """Put a view at the end of a story, which begins with its first."""
    from ..stories.story import Slide, described, with_slide

    slide = Slide(view, dataset, run, person, item, shortlist, caption, note)
    return described(with_slide(workspace, story, slide, title))


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    group = typer.Typer(help="Stories: views with captions as one offline page.", no_args_is_help=True)
    app.add_typer(group, name="story")
    for name, function in (("list", list_), ("show", show), ("export", export), ("add", add)):
        command(group, name)(function)
