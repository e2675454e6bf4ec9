"""What buttons of Stories do: change the story as it is by now, remember one step to take back, keep what was refused.

These are callbacks: they run before the page is drawn, so a refusal is kept for the drawing, at the slide it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import streamlit as st

from app import loaders, widgets
from seminar_core.errors import SeminarError
from seminar_core.stories import edit
from seminar_core.stories.story import Slide, Story, change_story, load_story

STEP, REFUSED = "seminar_story_step", "seminar_story_refused"


class Refused(NamedTuple):
    """A change that was refused: of which slide, why, and the words that were typed for it."""

    slide: str
    error: SeminarError
    typed: str


def make(name: str, slide: str, change: Callable[[Story], Story]) -> None:
    """Change story `name`; where that is refused, it is said at `slide`."""
    made(name, slide, change)


def made(name: str, slide: str, change: Callable[[Story], Story], typed: str = "") -> bool:
    """Change story `name`; False where that was refused, which is said at `slide`."""
    try:
        before, after = change_story(loaders.workspace(), name, change)
    except SeminarError as error:
        st.session_state[REFUSED] = Refused(slide, error, typed)
        return False
    if before != after:
        st.session_state[STEP] = before, after
    return True


def may_undo(name: str) -> bool:
    """Whether this session's last change was one of story `name`."""
    return STEP in st.session_state and st.session_state[STEP][0].name == name


def undo() -> None:
    """Take this session's last change back, and nothing else."""
    before, after = st.session_state[STEP]
    make(after.name, "", partial(edit.undone, before=before, after=after))
    del st.session_state[STEP]


def word_keys(slide: Slide) -> tuple[str, str]:
    """Keys of the fields of caption and notes: other words that somebody has saved are another field's."""
    return f"caption_{slide.id}_{slide.caption}", f"note_{slide.id}_{slide.note}"


def comment_keys(slide: str) -> tuple[str, str]:
    """Keys of the fields of name and text of a comment."""
    return f"comment_name_{slide}", f"comment_text_{slide}"


def reword(name: str, seen: Slide) -> None:
    """Save caption and notes; where others have changed them meanwhile, what was typed stays in the fields."""
    typed = [st.session_state[key] for key in word_keys(seen)]
    change = partial(edit.reworded, seen=seen, caption=typed[0], note=typed[1])
    if not made(name, seen.id, change, "\n\n".join(typed)):
        with suppress(SeminarError):
            for now in load_story(loaders.workspace(), name).slides:
                if now.id == seen.id:
                    st.session_state.update(zip(word_keys(now), typed, strict=True))


def comment(name: str, slide: str) -> None:
    """Add a comment; its text stays in the field where that was refused."""
    said, text = comment_keys(slide)
    typed = st.session_state[text]
    if made(name, slide, partial(edit.commented, slide=slide, name=st.session_state[said], text=typed), typed):
        st.session_state[text] = ""


def refusal_of(slide: str) -> None:
    """What was refused of this slide, once."""
    refused = st.session_state.get(REFUSED)
    if refused is not None and refused.slide == slide:
        del st.session_state[REFUSED]
        widgets.error_panel(refused.error, key="story_refused")


def refusal_but_of(slides: Collection[str]) -> None:
    """What was refused of no slide that is there, once; with the words whose field went with their slide."""
    refused = st.session_state.get(REFUSED)
    if refused is not None and refused.slide not in slides:
        refusal_of(refused.slide)
        if refused.typed:
            st.caption("What you wrote:")
            st.code(refused.typed, language=None, wrap_lines=True)
