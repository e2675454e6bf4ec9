"""Changes of a story: order, words and comments of its slides. Each gives a new story; nothing is written here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ..errors import ConfigError
from .story import Comment, Story


def checked(story: Story, number: int) -> int:
    """`number` where the story has such a slide, counted from 0.

    Raises:
        ConfigError: it has not.
    """
    if not 0 <= number < len(story.slides):
        raise ConfigError(f"slide {number + 1} of {len(story.slides)}", hint="reload the page: the story was changed")
    return number


def moved(story: Story, number: int, by: int) -> Story:
    """Slide `number` moved by so many places; at either end it stays."""
    slides = list(story.slides)
    one = slides.pop(checked(story, number))
    slides.insert(min(max(number + by, 0), len(slides)), one)
    return replace(story, slides=tuple(slides))


def without(story: Story, number: int) -> Story:
    """The story without slide `number`."""
    checked(story, number)
    return replace(story, slides=story.slides[:number] + story.slides[number + 1 :])


def reworded(story: Story, number: int, *, caption: str, note: str) -> Story:
    """Slide `number` with another heading and other notes."""
    slides = list(story.slides)
    slides[checked(story, number)] = replace(slides[number], caption=caption, note=note)
    return replace(story, slides=tuple(slides))


def commented(story: Story, number: int, *, name: str, text: str, now: datetime | None = None) -> Story:
    """Slide `number` with one comment more.

    Raises:
        ConfigError: no name or no text.
    """
    if not name.strip() or not text.strip():
        raise ConfigError("the comment has no name or no text", hint="fill in both")
    time = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    slides = list(story.slides)
    one = slides[checked(story, number)]
    slides[number] = replace(one, comments=(*one.comments, Comment(name.strip(), time, text.strip())))
    return replace(story, slides=tuple(slides))
