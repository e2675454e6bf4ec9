"""A view is saved from its station, its story is changed and undone, and what is damaged is said."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from app import state, widgets
from seminar_core.stories.story import Slide, load_story, story_names, with_slide
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of


def form_script() -> None:
    """What the dialog holds: AppTest redraws whole pages, which closes dialogs."""
    from app import saving, state

    state.begin()
    saving.form("retrieval")
    state.finish()


def test_the_open_view_is_saved_with_its_settings_and_opens_again(open_app, tiny_workspace, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(widgets, "open_station", opened.append)
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(tiny_workspace.root))
    at = AppTest.from_function(form_script, default_timeout=60)
    for name, value in {"dataset": "tiny", "run": "run", "person": "p1", "k": "5", "shortlist": "0"}.items():
        at.query_params[name] = value
    at.run()
    at.selectbox(key="save_story").set_value("mine")
    at.text_input(key="save_caption_retrieve").set_value("Five events")
    at.button(key="save_now").click().run()
    assert not at.exception and "Saved as slide 1 of mine" in words_of(at)
    slide = load_story(tiny_workspace, "mine").slides[0]
    assert (slide.view, slide.run, slide.person, slide.shortlist) == ("retrieve", "run", "p1", 0.0)
    assert slide.settings == {"k": 5} and slide.caption == "Five events"
    at = open_app(tiny_workspace, "stories", dataset="tiny")
    at.button(key="open_0").click().run()
    assert opened == ["retrieval"] and at.session_state[state.CHOICES]["k"] == 5


def test_slides_are_ordered_deleted_undone_and_commented(open_app, workspace: Workspace):
    for caption in ("first", "second"):
        with_slide(workspace, "mine", Slide("life", person="p0302", caption=caption))
    at = open_app(workspace, "stories")
    at.button(key="down_0").click().run()
    assert [slide.caption for slide in load_story(workspace, "mine").slides] == ["second", "first"]
    at.button(key="delete_0").click().run()
    assert [slide.caption for slide in load_story(workspace, "mine").slides] == ["first"]
    at.button(key="story_undo").click().run()
    assert [slide.caption for slide in load_story(workspace, "mine").slides] == ["second", "first"]
    at.text_input(key="comment_name_0").set_value("Ada")
    at.text_area(key="comment_text_0").set_value("why this one?")
    next(button for button in at.button if button.label == "Add the comment").click().run()
    assert not at.exception and load_story(workspace, "mine").slides[0].comments[0].text == "why this one?"
    assert "**Ada**" in words_of(at) and "why this one?" in words_of(at)


def test_a_damaged_story_is_explained_and_another_can_be_chosen(open_app, workspace: Workspace):
    workspace.stories.mkdir(parents=True)
    (workspace.stories / "bad.json").write_text('{"slides": [1]}')
    at = open_app(workspace, "stories")
    assert "is no story" in words_of(at)
    at.selectbox(key="story").set_value("sample").run()
    assert "One person, one long history" in words_of(at) and story_names(workspace) == ["sample", "bad"]
