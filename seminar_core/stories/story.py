"""What a story is: slides by name of view, in a JSON file of the workspace; the one of the sample comes along.

Stories, read by command and page. A slide says what is looked at and never holds a figure: figures are made from the
run when the story is shown, so that a story can be told of another run, and nothing in it is older than the run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

from ..access import audited
from ..errors import CorruptFileError, ExistsError, SeminarError, UnknownNameError
from ..files import locked, read_json, write_json
from ..workspace import Workspace, checked_name

VIEWS = ("data", "life", "retrieve", "population", "gap", "map", "training")
BUNDLED = "sample"
FORMAT = 1
TEXT, LIST, OBJECT = (str, "a text"), (list, "a list"), (dict, "an object")
KINDS: dict[str, tuple[Any, str]] = {"shortlist": ((int, float), "a number"), "settings": OBJECT}
"""Kinds of the fields of a slide in a file; all others are texts."""


@dataclass(frozen=True)
class Comment:
    """What somebody said about a slide: `time` in UTC as ISO 8601."""

    name: str
    time: str
    text: str


@dataclass(frozen=True)
class Slide:
    """One view of a story.

    Fields:
        view: one of `VIEWS`; a story of another version may hold one that is not known here.
        dataset, run, person, item: what it is of; an empty item is the person's true next one.
        shortlist: of `retrieve`: the scan keeps this many times K; 0 = the scan alone decides.
        caption: the heading.
        note: what a presenter says, in plain words.
        settings: of `retrieve`: further fields of a `Question` by name, for instance `{"k": 20}`.
        link: station and query string at which the app shows the view; empty where it was not saved there.
        comments: in order of time.
        id: what the slide is called within its story, wherever it is moved; empty = the story gives it one.
    """

    view: str
    dataset: str = "sample"
    run: str = ""
    person: str = ""
    item: str = ""
    shortlist: float = 4.0
    caption: str = ""
    note: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    link: str = ""
    comments: tuple[Comment, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Story:
    """Slides in order.

    Fields:
        name: of the story.
        title: its heading.
        slides: in order, each with an id of its own.
        format: of the file that it was read from.
    """

    name: str
    title: str
    slides: tuple[Slide, ...]
    format: int = FORMAT

    def __post_init__(self) -> None:
        object.__setattr__(self, "slides", with_ids(self.slides))


def with_ids(slides: Sequence[Slide]) -> tuple[Slide, ...]:
    """The slides, each with an id of its own: a slide without one, or with that of one before it, gets a free number.

    Whoever reads an older file, which has none, gives the same ids; the next change writes them into it.
    """
    given = {slide.id for slide in slides}
    free = (number for number in map(str, count(1)) if number not in given)
    seen = {""}
    found = []
    for slide in slides:
        found.append(replace(slide, id=next(free)) if slide.id in seen else slide)
        seen.add(slide.id)
    return tuple(found)


def sample_story() -> Story:
    """The story that comes with the sample: one life, what is kept of it, what codes change, the gap, pretraining."""
    run, person = "sample-seminar", "p0302"
    return Story(
        BUNDLED,
        "What a lifelong history says about one item",
        (
            Slide(
                "life",
                person=person,
                caption="One person, one long history",
                note="This is everything one person searched for and looked at. Interests come, drift and return. "
                "Most ranking models see the last few dozen events; we want to ask all of them.",
            ),
            Slide(
                "retrieve",
                run=run,
                person=person,
                caption="What the history says about the item that came next",
                note="Each bar is an event that the model attends to, and its height how much. Hover over one to see "
                "what it was. Events of months ago can speak as loudly as those of today.",
            ),
            Slide(
                "retrieve",
                run=run,
                person="p0251",
                shortlist=0.0,
                caption="What quantisation changes",
                note="Quantisation stores each event in a few bytes, and only those are scanned. Events that the scan "
                "lost, and those it kept in their place, have colours of their own.",
            ),
            Slide(
                "population",
                run=run,
                caption="Why it hardly matters",
                note="The same for everybody in the data set: how much of the attention the quantised scan loses. "
                "Scoring a longer shortlist exactly brings most of it back.",
            ),
            Slide(
                "map",
                run=run,
                caption="Text, pictures, attributes and queries, before and after pretraining",
                note="Every point is one item seen through one modality. Where the modalities are islands, no score "
                "can compare a word with a picture. Compare the left side with the right.",
            ),
            Slide(
                "gap",
                run=run,
                caption="The gap in numbers",
                note="The cosine between an item's text and its picture, and how often an item's own picture is among "
                "the ten nearest to its text.",
            ),
            Slide(
                "training",
                run=run,
                caption="What pretraining buys",
                note="How well the pretrained part ranks held-out items, and how well the model does that starts from "
                "it. The documentation compares it with training from scratch, with intervals.",
            ),
        ),
    )


def story_names(workspace: Workspace) -> list[str]:
    """The bundled story and those of the workspace."""
    own = sorted(path.stem for path in workspace.stories.glob("[!.]*.json")) if workspace.stories.is_dir() else []
    return [BUNDLED, *(name for name in own if name != BUNDLED)]


def load_story(workspace: Workspace, name: str) -> Story:
    """A story by name.

    Raises:
        UnknownNameError: there is none.
        CorruptFileError: its file is no story.
    """
    if name == BUNDLED:
        return sample_story()
    path = own_file(workspace, name)
    if not path.is_file():
        raise UnknownNameError("story", name, story_names(workspace))
    return from_json(name, read_json(path), path)


def own_file(workspace: Workspace, name: str) -> Path:
    """The file of a story of the workspace; it need not exist.

    Raises:
        ExistsError: the name is that of the bundled one.
    """
    if checked_name(name, "story") == BUNDLED:
        raise ExistsError(f"the story {BUNDLED!r} comes with the sample", hint="choose another name")
    return workspace.stories / f"{name}.json"


def open_story(workspace: Workspace, story: str) -> Story:
    """A story by name, or from a file that somebody else has sent.

    Raises:
        MissingFileError: it is a path, and nothing is there.
        UnknownNameError, CorruptFileError: as `load_story`.
    """
    path = Path(story)
    if story not in story_names(workspace) and (path.is_file() or path.suffix == ".json" or path.name != story):
        return from_json(path.stem, read_json(path), path)
    return load_story(workspace, story)


def from_json(name: str, found: Any, path: Path) -> Story:
    """A story from its file; fields of a slide that this version does not know are left out.

    Raises:
        CorruptFileError: it is no story.
    """
    try:
        slides = expected(expected(found, OBJECT, "it").get("slides"), LIST, "slides")
        read = tuple(read_slide(slide, f"slide {number}") for number, slide in enumerate(slides, start=1))
        return Story(name, str(found.get("title") or name), read, int(found.get("format", 0)))
    except (TypeError, ValueError) as error:
        raise CorruptFileError(f"{path} is no story: {error}", hint="mend the file, or delete it") from error


def read_slide(found: Any, what: str) -> Slide:
    """A slide from its object in a file.

    Raises:
        TypeError: a field is of another kind.
    """
    expected(found, OBJECT, what)
    given = {"view": None, **{one.name: found[one.name] for one in fields(Slide) if one.name in found}}
    said = expected(given.pop("comments", []), LIST, f"comments of {what}")
    for name, value in given.items():
        expected(value, KINDS.get(name, TEXT), f"{name} of {what}")
    comments = [
        Comment(*(str(comment.get(key, "")) for key in ("name", "time", "text")))
        for comment in (expected(one, OBJECT, f"comment of {what}") for one in said)
    ]
    return Slide(**given, comments=tuple(comments))


def expected(value: Any, kind: tuple[Any, str], what: str) -> Any:
    """`value`, which is of that kind.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind[0]):
        raise TypeError(f"{what} is {value!r}, expected {kind[1]}")
    return value


def change_story(
    workspace: Workspace, name: str, change: Callable[[Story], Story], *, begun: Story | None = None
) -> tuple[Story, Story]:
    """Change a story as it is by now: what it was, and what it is. Whoever changes it at the same time waits.

    Args:
        workspace: that holds it.
        name: of the story.
        change: gives the new story from the present one.
        begun: what is changed where there is no such story yet; None = that is an error.

    Raises:
        NotAllowedError: the person of the moment is no operator.
        ExistsError: it is the bundled one.
        UnknownNameError, CorruptFileError: as `load_story`.
    """
    path = own_file(workspace, name)
    with audited(workspace, "change story", name), locked(path.with_name(f".lock-{name}")):
        before = begun if begun is not None and not path.is_file() else load_story(workspace, name)
        after = change(before)
        if after != before:
            slides = [asdict(slide) for slide in after.slides]
            write_json(path, {"format": FORMAT, "title": after.title, "slides": slides})
    return before, after


def with_slide(workspace: Workspace, name: str, slide: Slide, title: str | None = None) -> Story:
    """The story with one slide more, saved; begun where there is none.

    Raises:
        UnknownNameError: no such view.
        NotAllowedError, ExistsError: as `change_story`.
    """
    if slide.view not in VIEWS:
        raise UnknownNameError("view", slide.view, VIEWS)
    new = replace(slide, id=uuid.uuid4().hex[:8])

    def longer(old: Story) -> Story:
        return replace(old, title=title or old.title, slides=(*old.slides, new))

    return change_story(workspace, name, longer, begun=Story(name, title or name, ()))[1]


def described(story: Story) -> dict[str, Any]:
    """The story as the commands answer it."""
    slides: Sequence[Mapping[str, Any]] = [asdict(slide) for slide in story.slides]
    views = [slide.view for slide in story.slides]
    return {"story": story.name, "title": story.title, "format": story.format, "views": views, "slides": slides}


def story_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Every story as `story list` answers it; a damaged one says so in `error`."""
    rows: list[dict[str, Any]] = []
    for name in story_names(workspace):
        try:
            rows.append({**described(load_story(workspace, name)), "error": None})
        except SeminarError as error:
            nothing: dict[str, Any] = {"title": None, "format": None, "views": [], "slides": []}
            rows.append({"story": name, **nothing, "error": error.message})
    return rows
