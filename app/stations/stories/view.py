"""Station Stories: saved views in order, with captions, notes and comments; presented, and saved as one page.

Others may change the story that is shown. So a button names its slide, never the story as it was drawn, and
`changes.py` changes the story as it is by now.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl

import streamlit as st

from app import loaders, state, widgets
from app.components.presenter import present
from app.parameters import read_query
from app.stations.stories import changes
from seminar_core.access import may_operate
from seminar_core.stories import edit
from seminar_core.stories.page import story_page
from seminar_core.stories.story import BUNDLED, Slide, Story, load_story, story_names

SHOWN = "seminar_story_shown"
VIEWER = "Only an operator may change stories."


def render() -> None:
    """Draw the station."""
    names = story_names(loaders.workspace())
    name = st.selectbox("Story", names[1:] + names[:1], key="story", width=300)
    story = load_story(loaders.workspace(), str(name))
    st.subheader(widgets.plain(story.title), anchor=False)
    tools(story)
    with st.container():
        changes.refusal_but_of({slide.id for slide in story.slides})
    if story.name == BUNDLED:
        st.caption("This story comes with the sample and cannot be changed. “Save view” on any page starts your own.")
    elif not may_operate():
        st.caption(VIEWER)
    for number, slide in enumerate(story.slides):
        with st.container(border=True, key=f"slide_{slide.id}"):
            one_slide(story, number, slide)


def page_of(story: Story) -> str:
    """The story as one HTML page, as `story export` writes it."""
    return story_page(loaders.workspace(), story)[0]


def tools(story: Story) -> None:
    """Present, export, and undo of the last change."""
    with st.container(horizontal=True, key="story_tools"):
        if st.button("Present", type="primary", icon=":material/slideshow:", key="present"):
            with widgets.explained("present"), st.spinner("Drawing the slides …"):
                st.session_state[SHOWN] = page_of(story)
        if st.button(
            "Export as one file", icon=":material/html:", key="export", help="One HTML file that needs no network"
        ):
            with widgets.explained("export"):
                with st.spinner("Drawing the slides …"):
                    page = page_of(story)
                save_page(story, page)
        if changes.may_undo(story.name):
            st.button(
                "Undo the last change of the story", key="story_undo", on_click=changes.undo, icon=":material/undo:"
            )
    st.caption("While presenting: arrow keys change the slide, n hides the notes, Escape ends it.")
    if st.session_state.get(SHOWN):
        present(st.session_state[SHOWN], story.title, on_close=lambda: st.session_state.pop(SHOWN, None))


def save_page(story: Story, page: str) -> None:
    """Offer the page as a file until anything else is done: drawn again, it may be of another story."""
    st.download_button(
        f"Save {story.name}.html ({len(page.encode()) / 1e6:.1f} MB)", page, f"{story.name}.html", "text/html",
        key="export_save", on_click="ignore", icon=":material/download:",
    )  # fmt: skip


def one_slide(story: Story, number: int, slide: Slide) -> None:
    """Caption, notes, what it is of, its comments, and what can be done with it."""
    what = " · ".join(part for part in (slide.view, slide.dataset, slide.run, slide.person, slide.item) if part)
    st.markdown(f"**{number + 1}. {widgets.plain(slide.caption or slide.view)}**")
    st.caption(widgets.plain(what))
    if slide.note:
        st.markdown(widgets.plain(slide.note))
    for said in slide.comments:
        st.markdown(f"**{widgets.plain(said.name)}**, {said.time[:16].replace('T', ' ')}: {widgets.plain(said.text)}")
    with st.container(horizontal=True):
        if slide.link and st.button("Open", key=f"open_{slide.id}", icon=":material/open_in_new:"):
            reopen(slide)
        if story.name != BUNDLED:
            arrange(story, number, slide)
    if story.name != BUNDLED:
        with st.container():
            changes.refusal_of(slide.id)
        if may_operate():
            words(story.name, slide)


def arrange(story: Story, number: int, slide: Slide) -> None:
    """Move and delete a slide; a viewer sees why not."""
    viewer = not may_operate()
    last = len(story.slides) - 1
    asked = (
        ("Up", "arrow_upward", number == 0, partial(edit.moved, slide=slide.id, by=-1)),
        ("Down", "arrow_downward", number == last, partial(edit.moved, slide=slide.id, by=1)),
        ("Delete", "delete", False, partial(edit.without, slide=slide.id)),
    )
    for label, icon, end, change in asked:
        st.button(
            label, key=f"{label.lower()}_{slide.id}", icon=f":material/{icon}:", disabled=end or viewer,
            help=VIEWER if viewer else None, on_click=changes.make, args=(story.name, slide.id, change),
        )  # fmt: skip


def words(name: str, slide: Slide) -> None:
    """Forms for the caption, the notes and a comment of a slide of story `name`."""
    caption, note = changes.word_keys(slide)
    said, text = changes.comment_keys(slide.id)
    st.session_state.setdefault(caption, slide.caption)
    st.session_state.setdefault(note, slide.note)
    with st.expander("Edit and comment", key=f"words_{slide.id}", type="compact"):
        with st.form(f"edit_{slide.id}", border=False):
            st.text_input("Caption", key=caption)
            st.text_area("Speaker notes", key=note, height=90)
            st.form_submit_button("Save the changes", on_click=changes.reword, args=(name, slide))
        with st.form(f"comment_{slide.id}", border=False):
            st.text_input("Your name", key=said)
            st.text_area("Comment", key=text, height=70)
            st.form_submit_button("Add the comment", on_click=changes.comment, args=(name, slide.id))


def reopen(slide: Slide) -> None:
    """Open the view where it was saved, with its choices."""
    station, _, query = slide.link.partition("?")
    choices, _ = read_query(dict(parse_qsl(query)))
    state.put(**choices)
    widgets.open_station(station)
