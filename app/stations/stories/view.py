"""Station Stories: saved views in order, with captions, notes and comments; presented, and saved as one page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import parse_qsl

import streamlit as st

from app import loaders, state, widgets
from app.components.presenter import present
from app.parameters import read_query
from seminar_core.stories import edit
from seminar_core.stories.page import export_story
from seminar_core.stories.story import BUNDLED, Slide, Story, load_story, save_story, story_names

BEFORE, SHOWN = "seminar_story_before", "seminar_story_shown"


def render() -> None:
    """Draw the station."""
    names = story_names(loaders.workspace())
    name = st.selectbox("Story", names[1:] + names[:1], key="story", width=300)
    story = load_story(loaders.workspace(), str(name))
    st.subheader(widgets.plain(story.title), anchor=False)
    tools(story)
    if story.name == BUNDLED:
        st.caption("This story comes with the sample and cannot be changed. “Save view” on any page starts your own.")
    for number, slide in enumerate(story.slides):
        with st.container(border=True, key=f"slide_{number}"):
            one_slide(story, number, slide)


def page_of(story: Story) -> str:
    """The story as one HTML page, as `story export` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "story.html"
        export_story(loaders.workspace(), story, out)
        return out.read_text(encoding="utf-8")


def tools(story: Story) -> None:
    """Present, export, and undo of the last change."""
    with st.container(horizontal=True, key="story_tools"):
        if st.button("Present", type="primary", icon=":material/slideshow:", key="present"):
            with widgets.explained("present"), st.spinner("Drawing the slides …"):
                st.session_state[SHOWN] = page_of(story)
        ready = st.session_state.get(f"export_{story.name}")
        if st.button(
            "Export as one file", icon=":material/html:", key="export", help="One HTML file that needs no network"
        ):
            with widgets.explained("export"), st.spinner("Drawing the slides …"):
                ready = st.session_state[f"export_{story.name}"] = page_of(story)
        if ready:
            label = f"Save {story.name}.html ({len(ready.encode()) / 1e6:.1f} MB)"
            st.download_button(
                label, ready, f"{story.name}.html", "text/html", key="export_save", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip
        before = st.session_state.get(BEFORE)
        if before is not None and before.name == story.name:
            st.button("Undo the last change of the story", key="story_undo", on_click=undo, icon=":material/undo:")
    st.caption("While presenting: arrow keys change the slide, n hides the notes, Escape ends it.")
    if st.session_state.get(SHOWN):
        present(st.session_state[SHOWN], story.title, on_close=lambda: st.session_state.pop(SHOWN, None))


def keep(old: Story, new: Story) -> None:
    """Save a changed story; one step can be taken back."""
    save_story(loaders.workspace(), new)
    st.session_state[BEFORE] = old
    st.session_state.pop(f"export_{new.name}", None)


def undo() -> None:
    """Take the last change back."""
    save_story(loaders.workspace(), old := st.session_state.pop(BEFORE))
    st.session_state.pop(f"export_{old.name}", None)


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
        if slide.link and st.button("Open", key=f"open_{number}", icon=":material/open_in_new:"):
            reopen(slide)
        if story.name == BUNDLED:
            return
        last = len(story.slides) - 1
        moves = (("Up", "up", -1, number == 0), ("Down", "down", 1, number == last))
        for label, icon, by, end in moves:
            st.button(
                label, key=f"{icon}_{number}", icon=f":material/arrow_{icon}ward:", disabled=end, on_click=keep,
                args=(story, edit.moved(story, number, by)),
            )  # fmt: skip
        st.button(
            "Delete", key=f"delete_{number}", icon=":material/delete:", on_click=keep,
            args=(story, edit.without(story, number)),
        )  # fmt: skip
    with st.expander("Edit and comment", key=f"words_{number}", type="compact"):
        with st.form(f"edit_{number}", border=False):
            caption = st.text_input("Caption", value=slide.caption, key=f"caption_{number}_{slide.caption}")
            note = st.text_area("Speaker notes", value=slide.note, key=f"note_{number}_{slide.note}", height=90)
            if st.form_submit_button("Save the changes"):
                keep(story, edit.reworded(story, number, caption=caption, note=note))
                st.rerun()
        with st.form(f"comment_{number}", border=False, clear_on_submit=True):
            name = st.text_input("Your name", key=f"comment_name_{number}")
            text = st.text_area("Comment", key=f"comment_text_{number}", height=70)
            if st.form_submit_button("Add the comment"):
                with widgets.explained(f"comment_{number}_error"):
                    keep(story, edit.commented(story, number, name=name, text=text))
                    st.rerun()


def reopen(slide: Slide) -> None:
    """Open the view where it was saved, with its choices."""
    station, _, query = slide.link.partition("?")
    choices, _ = read_query(dict(parse_qsl(query)))
    state.put(**choices)
    widgets.open_station(station)
