"""Changes of a story: order, words and comments of its slides. Each gives a new story; nothing is written here.

A slide is named by its id, so that a change that was asked for on an older drawing meets the slide that was meant.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidDataError, StaleError
from .story import Comment, Slide, Story

OTHER = {"caption": "another caption", "note": "other speaker notes"}


def place_of(story: Story, slide: str) -> int:
    """Number of the slide with this id, counted from 0.

    Raises:
        StaleError: the story has none.
    """
    for number, one in enumerate(story.slides):
        if one.id == slide:
            return number
    raise StaleError(
        f"the slide {slide!r} is no longer in the story {story.name!r}: it was deleted meanwhile",
        hint="the page shows the story as it is now",
    )


def moved(story: Story, slide: str, by: int) -> Story:
    """The slide moved by so many places; at either end it stays."""
    slides, number = list(story.slides), place_of(story, slide)
    one = slides.pop(number)
    slides.insert(min(max(number + by, 0), len(slides)), one)
    return replace(story, slides=tuple(slides))


def without(story: Story, slide: str) -> Story:
    """The story without the slide."""
    number = place_of(story, slide)
    return replace(story, slides=story.slides[:number] + story.slides[number + 1 :])


def reworded(story: Story, seen: Slide, *, caption: str, note: str) -> Story:
    """The slide that was seen so, with this heading and these notes; of the two, what was not changed stays as it is.

    Raises:
        StaleError: somebody has changed the same words since they were seen.
    """
    number = place_of(story, seen.id)
    now = story.slides[number]
    asked = {"caption": caption, "note": note}
    new: dict[str, Any] = {name: word for name, word in asked.items() if word != getattr(seen, name)}
    if taken := [name for name in new if getattr(now, name) != getattr(seen, name)]:
        raise StaleError(
            f"slide {number + 1} has {' and '.join(OTHER[name] for name in taken)} by now: "
            f"{'; '.join(getattr(now, name) for name in taken)!r}",
            hint="save again to have yours in its place",
        )
    return changed(story, replace(now, **new))


def commented(story: Story, slide: str, *, name: str, text: str, now: datetime | None = None) -> Story:
    """The slide with one comment more.

    Raises:
        InvalidDataError: no name or no text.
    """
    if missing := [what for what, said in (("name", name), ("text", text)) if not said.strip()]:
        raise InvalidDataError(f"the comment has no {' and no '.join(missing)}", hint="fill in both")
    time = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    one = story.slides[place_of(story, slide)]
    return changed(story, replace(one, comments=(*one.comments, Comment(name.strip(), time, text.strip()))))


def changed(story: Story, slide: Slide) -> Story:
    """The story with another slide in the place of the one with its id."""
    return replace(story, slides=tuple(slide if one.id == slide.id else one for one in story.slides))


def undone(now: Story, before: Story, after: Story) -> Story:
    """`now` without the one change that led from `before` to `after`; what others have changed since stays.

    Raises:
        StaleError: nothing of that change is left.
    """
    old, new = ({slide.id: slide for slide in story.slides} for story in (before, after))
    slides = [reverted(one, old[one.id], new[one.id]) if one.id in old and one.id in new else one for one in now.slides]
    there = {one.id for one in slides}
    for number, slide in enumerate(before.slides):
        if slide.id not in new and slide.id not in there:
            slides.insert(number, slide)
    found = moved_back(replace(now, slides=tuple(slides)), before, after)
    if found == now:
        raise StaleError(
            f"nothing is left of your last change of the story {now.name!r}",
            hint="somebody has changed the same place since",
        )
    return found


def reverted(now: Slide, old: Slide, new: Slide) -> Slide:
    """A slide without what led from `old` to `new`: its words where they still are the new ones, and its comments."""
    words: dict[str, Any] = {
        name: getattr(old, name) for name in ("caption", "note") if getattr(now, name) == getattr(new, name)
    }
    said = tuple(one for one in now.comments if one in old.comments or one not in new.comments)
    return replace(now, comments=said, **words)


def moved_back(now: Story, before: Story, after: Story) -> Story:
    """The story with the slide that was moved from `before` to `after` as far the other way.

    Where none was moved, or one of those that changed places has been deleted since, nothing moves.
    """
    old, new, there = (tuple(slide.id for slide in story.slides) for story in (before, after, now))
    if sorted(old) != sorted(new):
        return now
    displaced = [one for one, other in zip(old, new, strict=True) if one != other]
    if not displaced or not set(displaced) <= set(there):
        return now
    shifted = next(one for one in displaced if rest(old, one) == rest(new, one))
    return moved(now, shifted, old.index(shifted) - new.index(shifted))


def rest(ids: tuple[str, ...], one: str) -> list[str]:
    """All but one."""
    return [other for other in ids if other != one]
