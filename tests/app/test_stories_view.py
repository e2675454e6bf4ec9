"""A view is saved from its station, its story is changed and undone, and what is damaged is said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from app import state, widgets
from seminar_core.access import READ_ONLY
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.jobs import control as jobs
from seminar_core.stories import edit
from seminar_core.stories.story import Slide, Story, change_story, load_story, story_names, with_slide
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of


def form_script(station: str) -> None:
    """What the dialog holds: AppTest redraws whole pages, which closes dialogs."""
    from app import saving, state

    state.begin()
    saving.form(station)
    state.finish()


@pytest.fixture
def open_form(monkeypatch) -> Callable[..., AppTest]:
    """`open_form(workspace, "life", person="p1")` draws the form of a station with these choices in the URL."""

    def open_it(workspace: Workspace, station: str, **choices: str) -> AppTest:
        monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
        at = AppTest.from_function(form_script, default_timeout=60, kwargs={"station": station})
        for name, value in choices.items():
            at.query_params[name] = value
        return at.run()

    return open_it


def saved(at: AppTest, workspace: Workspace) -> Slide:
    """The slide that the form's button adds to the story that it offers."""
    at.button(key="save_now").click().run()
    assert not at.exception and "Saved as slide" in words_of(at)
    return load_story(workspace, at.selectbox(key="save_story").value).slides[-1]


def button_script() -> None:
    """The button of a station."""
    from app import saving

    saving.button("data")


def test_the_open_view_is_saved_with_its_settings_and_opens_again(open_app, open_form, tiny_workspace, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(widgets, "open_station", opened.append)
    at = open_form(tiny_workspace, "retrieval", dataset="tiny", run="run", person="p1", k="5", shortlist="0")
    at.text_input(key="save_caption_retrieve").set_value("Five events")
    assert "tiny · run · p1" in words_of(at)
    slide = saved(at, tiny_workspace)
    assert (slide.view, slide.run, slide.person, slide.shortlist) == ("retrieve", "run", "p1", 0.0)
    assert slide.settings == {"k": 5} and slide.caption == "Five events"
    at = open_app(tiny_workspace, "stories", dataset="tiny")
    at.button(key=f"open_{slide.id}").click().run()
    assert opened == ["retrieval"] and at.session_state[state.CHOICES]["k"] == 5


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({"k": "7", "spec": "PQ4x4"}, {"k": 7, "spec": "PQ4x4"}),
        ({}, {"k": 50}),
        ({"k": "0"}, {}),  # the run's own, as on the page
        ({"k": "5000"}, {"k": 1000}),  # the most that the page takes
    ],
)
def test_everybody_s_losses_are_saved_at_the_page_s_specification_and_k(open_form, tiny_workspace, asked, settings):
    at = open_form(tiny_workspace, "retrieval", dataset="tiny", run="run", person="p1", query="lamp", **asked)
    at.radio(key="save_what").set_value("population").run()
    assert saved(at, tiny_workspace).settings == settings


def test_home_saves_the_person_of_its_picture(open_form, tiny_workspace):
    of_the_picture = str(report(open_dataset(tiny_workspace, "tiny"))["example_person"])
    other = next(p for p in ("p1", "p2") if p != of_the_picture)
    assert saved(open_form(tiny_workspace, "home", dataset="tiny", person=other), tiny_workspace).person == (
        of_the_picture
    )


def test_life_without_a_person_shows_nothing_that_could_be_saved(open_form, tiny_workspace):
    at = open_form(tiny_workspace, "life", dataset="tiny")
    assert "no person is chosen" in words_of(at) and not [b for b in at.button if b.key == "save_now"]


@pytest.mark.parametrize(
    ("choices", "run", "job"),
    [
        ({"job": "pretrain-0001"}, "watched", "pretrain-0001"),
        ({}, "newest", "pretrain-0002"),
        ({"part": "start"}, "run", ""),
        ({"part": "compare", "runs": "psu,run"}, "psu", ""),
    ],
)
def test_training_saves_the_run_that_is_seen(open_form, tiny_workspace, monkeypatch, choices, run, job):
    rows = [
        {"job": "pretrain-0001", "command": "pretrain", "run": "watched"},
        {"job": "pretrain-0002", "command": "pretrain", "run": "newest"},
    ]
    monkeypatch.setattr(jobs, "rows", lambda workspace: rows)
    at = open_form(tiny_workspace, "training", dataset="tiny", run="run", **choices)
    slide = saved(at, tiny_workspace)
    assert slide.run == run and (f"job={job}" in slide.link) == bool(job)


def test_a_job_that_trains_nothing_is_no_view(open_form, tiny_workspace, monkeypatch):
    monkeypatch.setattr(jobs, "rows", lambda workspace: [{"job": "import-0001", "command": "import", "run": "x"}])
    at = open_form(tiny_workspace, "training", dataset="tiny", run="run")
    assert "job 'import-0001' trains no run" in words_of(at) and not [b for b in at.button if b.key == "save_now"]


@pytest.fixture
def ids(workspace: Workspace) -> list[str]:
    """Ids of the slides of a story `mine` with the captions first and second."""
    for caption in ("first", "second"):
        story = with_slide(workspace, "mine", Slide("life", person="p0302", caption=caption))
    return [slide.id for slide in story.slides]


def captions(workspace: Workspace) -> list[str]:
    return [slide.caption for slide in load_story(workspace, "mine").slides]


def by_another(workspace: Workspace, change: Callable[[Story], Story]) -> None:
    """Another session changes the story while a page shows it."""
    change_story(workspace, "mine", change)


def press(at: AppTest, label: str, slide: int = 0) -> AppTest:
    """Press the button with this label of the forms of a slide, counted from 0."""
    return [button for button in at.button if button.label == label][slide].click().run()


def test_slides_are_ordered_deleted_undone_and_commented(open_app, workspace: Workspace, ids):
    at = open_app(workspace, "stories")
    at.button(key=f"down_{ids[0]}").click().run()
    assert captions(workspace) == ["second", "first"]
    at.button(key=f"delete_{ids[1]}").click().run()
    assert captions(workspace) == ["first"]
    at.button(key="story_undo").click().run()
    assert captions(workspace) == ["second", "first"]
    at.text_input(key=f"comment_name_{ids[1]}").set_value("Ada")
    at.text_area(key=f"comment_text_{ids[1]}").set_value("why this one?")
    press(at, "Add the comment")
    assert not at.exception and load_story(workspace, "mine").slides[0].comments[0].text == "why this one?"
    assert "**Ada**" in words_of(at) and "why this one?" in words_of(at)
    assert at.text_area(key=f"comment_text_{ids[1]}").value == ""


def test_what_others_did_since_the_page_was_drawn_stays(open_app, workspace: Workspace, ids):
    """A comment, an order: a button carries its slide alone, and undo takes back its own change alone."""
    at = open_app(workspace, "stories")
    by_another(workspace, partial(edit.commented, slide=ids[0], name="Bea", text="mine"))
    at.button(key=f"down_{ids[0]}").click().run()
    by_another(workspace, partial(edit.commented, slide=ids[1], name="Bea", text="mine too"))
    at.button(key="story_undo").click().run()
    slides = load_story(workspace, "mine").slides
    assert [(one.caption, one.comments[0].text) for one in slides] == [("first", "mine"), ("second", "mine too")]
    assert not [button for button in at.button if button.key == "story_undo"]


def test_a_comment_meets_the_slide_that_was_meant_and_one_for_a_deleted_slide_is_not_lost(open_app, workspace, ids):
    at = open_app(workspace, "stories")
    by_another(workspace, partial(edit.moved, slide=ids[0], by=1))
    at.text_input(key=f"comment_name_{ids[0]}").set_value("Ann")
    at.text_area(key=f"comment_text_{ids[0]}").set_value("about the first")
    press(at, "Add the comment")
    assert [len(one.comments) for one in load_story(workspace, "mine").slides] == [0, 1]
    by_another(workspace, partial(edit.without, slide=ids[0]))
    at.text_area(key=f"comment_text_{ids[0]}").set_value("more about it")
    press(at, "Add the comment", 1)
    assert "was deleted meanwhile" in words_of(at) and at.code[0].value == "more about it"


def test_a_comment_without_a_name_is_refused_at_its_slide_and_stays_in_its_field(open_app, workspace: Workspace, ids):
    at = open_app(workspace, "stories")
    at.text_area(key=f"comment_text_{ids[0]}").set_value("my long comment")
    press(at, "Add the comment")
    assert "the comment has no name" in words_of(at)
    assert at.text_area(key=f"comment_text_{ids[0]}").value == "my long comment"
    at.text_input(key=f"comment_name_{ids[0]}").set_value("Ada")
    press(at, "Add the comment")
    assert "has no name" not in words_of(at) and load_story(workspace, "mine").slides[0].comments[0].name == "Ada"


def test_notes_that_two_write_at_once_are_told_and_stay_in_the_field(open_app, workspace: Workspace, ids):
    at = open_app(workspace, "stories")
    seen = load_story(workspace, "mine").slides[0]
    by_another(workspace, partial(edit.reworded, seen=seen, caption="first", note="theirs"))
    at.text_area(key=f"note_{ids[0]}_").set_value("ten minutes of notes")
    press(at, "Save the changes")
    assert "slide 1 has other speaker notes by now: 'theirs'" in words_of(at)
    assert at.text_area(key=f"note_{ids[0]}_theirs").value == "ten minutes of notes"
    press(at, "Save the changes")
    assert load_story(workspace, "mine").slides[0].note == "ten minutes of notes"


def test_a_viewer_sees_why_nothing_can_be_changed_and_a_page_from_before_changes_nothing(
    open_app, workspace: Workspace, ids, monkeypatch
):
    at = open_app(workspace, "stories")
    monkeypatch.setenv(READ_ONLY, "1")
    at.button(key=f"delete_{ids[0]}").click().run()
    assert "change story 'mine' was refused" in words_of(at) and captions(workspace) == ["first", "second"]
    assert "Only an operator may change stories." in words_of(at)
    changing = [at.button(key=f"{what}_{one}") for what in ("up", "down", "delete") for one in ids]
    assert all(button.disabled and button.help == "Only an operator may change stories." for button in changing)
    assert not at.text_area
    assert not at.button(key="present").disabled and not at.button(key="export").disabled
    elsewhere = AppTest.from_function(button_script).run().button(key="save_view")
    assert elsewhere.disabled and elsewhere.help == "Only an operator may change stories."


def test_an_exported_page_is_offered_until_the_story_is_drawn_again(open_app, workspace: Workspace, ids):
    """It is of the story as it was at the click; what others have said since would not be in it."""
    at = open_app(workspace, "stories")
    at.button(key="export").click().run()
    assert len(at.get("download_button")) == 1
    by_another(workspace, partial(edit.commented, slide=ids[0], name="Bea", text="fresh"))
    at.run()
    assert "fresh" in words_of(at) and not at.get("download_button")


def test_a_damaged_story_is_explained_and_another_can_be_chosen(open_app, workspace: Workspace):
    workspace.stories.mkdir(parents=True)
    (workspace.stories / "bad.json").write_text('{"slides": [1]}')
    at = open_app(workspace, "stories")
    assert "is no story" in words_of(at)
    at.selectbox(key="story").set_value("sample").run()
    assert "One person, one long history" in words_of(at) and story_names(workspace) == ["sample", "bad"]
