"""Stories: every figure is the command's, what is missing is said, and the page needs nothing but itself."""

from __future__ import annotations

import errno
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest

from seminar_core.alignment.stages import gap
from seminar_core.data.opening import open_dataset
from seminar_core.errors import (
    ConfigError,
    CorruptFileError,
    ExistsError,
    InvalidDataError,
    MissingFileError,
    ResourceError,
    StaleError,
    UnknownNameError,
)
from seminar_core.search.answer import retrieve
from seminar_core.search.population import population
from seminar_core.stories import edit, page
from seminar_core.stories.glossary import explained, glossary
from seminar_core.stories.page import export_story
from seminar_core.stories.slides import Stage, question_of
from seminar_core.stories.story import (
    Comment,
    Slide,
    Story,
    change_story,
    load_story,
    sample_story,
    story_names,
    with_slide,
)
from seminar_core.workspace import Workspace
from tests.tiny_run import COARSE, SPEC, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    return make_run(tmp_path_factory.mktemp("stories"))


def test_the_sample_story_is_told_whole_from_the_bundled_run(workspace, tmp_path):
    answer = export_story(workspace, sample_story(), tmp_path / "story.html")
    assert answer["slides"] == 7 and not answer["missing"] and answer["bytes"] < page.MOST_BYTES
    text = (tmp_path / "story.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)  # nothing from elsewhere
    dataset = open_dataset(workspace, "sample")
    life = dataset.store.life(dataset.person_row("p0302"))
    said = retrieve(workspace, "sample-seminar", "p0302", dataset.item_ids[int(life.item[-1])])["says"]
    assert said in text
    after = gap(workspace, "sample-seminar", "after")["pairs"]["T>I"]["recall@10"]["value"]
    assert f"{after:.2f} after." in text
    assert text.count('<abbr title="Storing each event') == 1 and "<dt>Quantisation</dt>" in text
    assert not workspace.runs.exists()


def test_a_story_of_a_deleted_run_or_person_shows_what_is_left(made, tmp_path):
    story = Story(
        "mine",
        "Mine",
        (
            Slide("life", dataset="tiny", person="p1", caption="a <b>life</b>"),
            Slide("retrieve", run="gone", person="p1"),
            Slide("life", dataset="tiny", person="nobody"),
        ),
        format=0,
    )
    answer = export_story(made, story, tmp_path / "mine.html")
    assert [row["slide"] for row in answer["missing"]] == [2, 3]
    assert "'gone' is not known" in answer["missing"][0]["why"]
    text = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert "2 of 3 slides cannot be shown" in text and "Written as format 0" in text
    assert "a &lt;b&gt;life&lt;/b&gt;" in text and "a <b>life</b>" not in text


def test_figures_are_drawn_also_where_the_first_slide_has_none_and_without_any_no_plotly_comes_along(made, tmp_path):
    slides = (Slide("training", run="gone"), Slide("life", dataset="tiny", person="p1"), Slide("data", dataset="tiny"))
    export_story(made, Story("mine", "Mine", slides), tmp_path / "mine.html")
    text = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert text.count("window.PlotlyConfig") == 1 and text.index("window.PlotlyConfig") < text.index("<section")
    assert export_story(made, Story("mine", "Mine", slides[:1]), tmp_path / "none.html")["bytes"] < 20_000


def test_a_slide_says_what_the_command_says(made):
    dataset = open_dataset(made, "tiny")
    life = dataset.store.life(dataset.person_row("p1"))
    shown = Stage(made).show(Slide("life", dataset="tiny", person="p1"))
    assert f"{len(life):,} events" in shown.words and shown.figure is not None


def test_a_view_of_another_version_is_said_on_its_slide_and_the_others_are_told(made, tmp_path):
    """`getattr` would also find what is no view, as `show`."""
    made.stories.mkdir(parents=True, exist_ok=True)
    slides = [{"view": "dance"}, {"view": "show"}, {"view": "life", "dataset": "tiny", "person": "p1", "tempo": 3}]
    (made.stories / "later.json").write_text(json.dumps({"format": 9, "title": "Later", "slides": slides}))
    answer = export_story(made, load_story(made, "later"), tmp_path / "later.html")
    assert [row["slide"] for row in answer["missing"]] == [1, 2]
    assert answer["missing"][0]["why"].startswith("This version does not know the view 'dance'")
    text = (tmp_path / "later.html").read_text(encoding="utf-8")
    assert "2 of 3 slides cannot be shown" in text and "Written as format 9" in text and "Person p1: " in text
    with pytest.raises(UnknownNameError, match="view 'dance'"):
        with_slide(made, "mine", Slide("dance"))
    assert "mine" not in story_names(made)


def names(story: Story) -> list[str]:
    """People of the slides in order."""
    return [slide.person for slide in story.slides]


@pytest.fixture
def story() -> Story:
    return Story("edited", "Edited", tuple(Slide("life", person=f"p{n}", caption="old", id=f"s{n}") for n in (1, 2, 3)))


def test_slides_are_moved_reworded_removed_and_commented_and_all_of_it_is_kept(made, story):
    assert names(edit.moved(story, "s1", 1)) == ["p2", "p1", "p3"]
    assert edit.moved(story, "s1", -1) == story and edit.moved(story, "s3", 5) == story
    assert names(edit.without(story, "s2")) == ["p1", "p3"]
    new = edit.reworded(story, story.slides[2], caption="Three", note="say this")
    new = edit.commented(new, "s3", name=" Ada ", text="why <this>?", now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    change_story(made, "edited", lambda _: new, begun=story)
    kept = load_story(made, "edited").slides[2]
    assert (kept.caption, kept.note, kept.id) == ("Three", "say this", "s3")
    assert kept.comments == (Comment("Ada", "2026-01-02T03:04:05+00:00", "why <this>?"),)
    assert "why &lt;this&gt;?" in page.section(1, Stage(made).show(kept), 3, set())
    with pytest.raises(InvalidDataError, match="the comment has no name and no text"):
        edit.commented(story, "s1", name="", text=" ")
    with pytest.raises(StaleError, match="'s4' is no longer in the story 'edited'"):
        edit.without(story, "s4")


def test_a_change_meets_the_story_as_it_is_by_now(story):
    """What others did between a drawing and a click stays: a comment, an order, the other field of a form."""
    others = edit.moved(edit.commented(story, "s1", name="Bea", text="mine"), "s1", 2)
    assert [(one.person, len(one.comments)) for one in edit.moved(others, "s2", 1).slides] == [
        ("p3", 0), ("p2", 0), ("p1", 1),
    ]  # fmt: skip
    assert edit.commented(others, "s2", name="Ann", text="two").slides[0].comments[0].text == "two"
    others = edit.reworded(others, story.slides[0], caption="theirs", note="")
    both = edit.reworded(others, story.slides[0], caption="old", note="mine").slides[2]
    assert (both.caption, both.note) == ("theirs", "mine")
    with pytest.raises(StaleError, match="slide 3 has another caption by now: 'theirs'"):
        edit.reworded(others, story.slides[0], caption="mine too", note="")


CHANGES = {
    "down": lambda one: edit.moved(one, "s1", 1),
    "up": lambda one: edit.moved(one, "s3", -1),
    "far": lambda one: edit.moved(one, "s3", -2),
    "delete": lambda one: edit.without(one, "s2"),
    "comment": lambda one: edit.commented(one, "s2", name="Ann", text="mine", now=datetime(2026, 1, 2, tzinfo=UTC)),
    "words": lambda one: edit.reworded(one, next(s for s in one.slides if s.id == "s2"), caption="mine", note="mine"),
}


@pytest.mark.parametrize("mine", CHANGES)
@pytest.mark.parametrize("theirs", ["none", "comment of s1", "new slide"])
def test_undo_takes_back_its_own_change_alone(story, mine, theirs):
    change = {
        "none": lambda one: one,
        "comment of s1": lambda one: edit.commented(
            one, "s1", name="Bea", text="b", now=datetime(2026, 2, 2, tzinfo=UTC)
        ),
        "new slide": lambda one: replace(one, slides=(*one.slides, Slide("data", id="new"))),
    }[theirs]
    after = CHANGES[mine](story)
    assert after != story and edit.undone(change(after), story, after) == change(story)


def test_undo_leaves_words_that_others_wrote_over_and_says_so_where_nothing_is_left(story):
    after = edit.reworded(story, story.slides[0], caption="mine", note="mine")
    others = edit.reworded(after, after.slides[0], caption="theirs", note="mine")
    back = edit.undone(others, story, after).slides[0]
    assert (back.caption, back.note) == ("theirs", "")
    for gone in (edit.without(after, "s1"), edit.undone(after, story, after)):
        with pytest.raises(StaleError, match="nothing is left of your last change"):
            edit.undone(gone, story, after)


def test_processes_that_add_to_one_story_at_once_all_add(workspace):
    add = (
        "import sys; from pathlib import Path; from seminar_core.workspace import Workspace\n"
        "from seminar_core.stories.story import Slide, with_slide\n"
        "for n in range(20): with_slide(Workspace(Path(sys.argv[1])), 'mine', Slide('data', caption=sys.argv[2]))"
    )
    started = [Popen([sys.executable, "-c", add, str(workspace.root), str(n)]) for n in range(3)]
    assert [one.wait() for one in started] == [0, 0, 0]
    captions = [slide.caption for slide in load_story(workspace, "mine").slides]
    assert [captions.count(str(n)) for n in range(3)] == [20, 20, 20]


def test_a_file_without_ids_is_given_the_same_by_everybody_and_no_slide_has_that_of_another(made):
    slides = [{"view": "data"}, {"view": "life", "id": "2"}, {"view": "map"}, {"view": "gap", "id": "2"}]
    made.stories.mkdir(parents=True, exist_ok=True)
    (made.stories / "old.json").write_text(json.dumps({"format": 1, "title": "Old", "slides": slides}))
    assert [slide.id for slide in load_story(made, "old").slides] == ["1", "2", "3", "4"]
    change_story(made, "old", lambda old: edit.moved(old, "1", 1))
    assert [(slide.view, slide.id) for slide in load_story(made, "old").slides[:2]] == [("life", "2"), ("data", "1")]
    added = with_slide(made, "old", Slide("training")).slides[-1].id
    assert added not in {"1", "2", "3", "4", "5"}  # a number that a deleted slide had is not given again


def test_a_saved_question_is_asked_with_its_settings():
    slide = Slide("retrieve", run="run", person="p1", shortlist=0.0, settings={"k": 3, "mask": ["I"], "later": 1})
    question = question_of(slide)
    assert (question.k, question.mask, question.shortlist, question.item) == (3, ("I",), 0.0, "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"k": "many"}, "k is 'many', expected a whole number"),
        ({"weights": "abc"}, "weights is 'abc', expected a list of numbers"),
        ({"mask": [1]}, r"mask is \[1\], expected a list of texts"),
        ({"at": 3}, "at is 3, expected a text"),
    ],
)
def test_settings_that_are_no_question_are_said_on_the_slide(made, settings, said):
    shown = Stage(made).show(Slide("retrieve", run="run", person="p1", settings=settings))
    assert shown.figure is None and re.search(said, shown.missing)


def test_a_slide_seen_from_an_event_asks_about_the_item_that_was_met_there(made):
    dataset = open_dataset(made, "tiny")
    life = dataset.store.life(dataset.person_row("p1"))
    there = dataset.item_ids[int(life.item[20])]
    assert there != dataset.item_ids[int(life.item[-1])]
    shown = Stage(made).show(Slide("retrieve", run="run", person="p1", settings={"spec": SPEC, "at": "20"}))
    assert shown.words == retrieve(made, "run", "p1", there, at="20", spec=SPEC)["says"]
    at_end = Slide("retrieve", run="run", person="p1", settings={"spec": SPEC, "at": "end"})
    assert Stage(made).show(at_end).missing.startswith("at the end of the life of 'p1' there is no next item")
    assert Stage(made).show(replace(at_end, item=there)).words


def test_everybody_is_measured_at_the_slide_s_specification_and_k(made):
    found = population(made, "run", spec=COARSE, k=2)
    recall = np.mean([row["recall"] for row in found["people"]])
    words = Stage(made).show(Slide("population", run="run", settings={"spec": COARSE, "k": 2})).words
    assert f"keeps {recall:.1%} of" in words and f"{COARSE}, K = 2" in words


def test_the_data_view_counts_what_the_data_set_holds(made):
    shown = Stage(made).show(Slide("data", dataset="tiny"))
    events = len(open_dataset(made, "tiny").store.time_s)
    assert f"{events:,} events" in shown.words and sum(sum(bar.y) for bar in shown.figure.data) == events


def test_stories_are_saved_listed_and_begun_by_their_first_slide(workspace):
    story = with_slide(workspace, "mine", Slide("life", person="p0302", note="hello"), title="Mine")
    assert load_story(workspace, "mine") == story
    with_slide(workspace, "mine", Slide("population", run="sample-seminar"))
    assert [slide.view for slide in load_story(workspace, "mine").slides] == ["life", "population"]
    assert story_names(workspace) == ["sample", "mine"]
    with pytest.raises(ExistsError, match="comes with the sample"):
        with_slide(workspace, "sample", Slide("data"))
    with pytest.raises(UnknownNameError, match="story 'other'"):
        load_story(workspace, "other")
    (workspace.stories / "bad.json").write_text(json.dumps({"slides": [1]}))
    with pytest.raises(CorruptFileError, match="is no story"):
        load_story(workspace, "bad")


def test_an_export_that_is_too_large_names_its_largest_slide_and_writes_nothing(made, tmp_path, monkeypatch):
    story = Story("mine", "Mine", (Slide("life", dataset="tiny", person="p1"),))
    monkeypatch.setattr(page, "MOST_BYTES", 1000)
    with pytest.raises(ResourceError, match=r"slide 1 \(life\) has"):
        export_story(made, story, tmp_path / "story.html")
    assert not list(tmp_path.iterdir())


def test_where_no_file_can_be_is_said_before_anything_is_drawn(made, tmp_path, monkeypatch):
    story = Story("mine", "Mine", (Slide("life", dataset="tiny", person="p1"),))
    monkeypatch.setattr(Stage, "show", lambda self, slide: pytest.fail("drawn"))
    with pytest.raises(MissingFileError, match=r"the folder .*no does not exist"):
        export_story(made, story, tmp_path / "no" / "story.html")
    with pytest.raises(ConfigError, match=r"is a folder") as said:
        export_story(made, story, tmp_path)
    assert said.value.hint == f"give the file a name: --out {tmp_path / 'mine.html'}"


def test_an_export_into_a_full_disk_leaves_nothing_and_the_machine_s_own_error(made, tmp_path, monkeypatch):
    def cut_short(path, text, encoding):
        path.write_bytes(text.encode(encoding)[:1000])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", cut_short)
    with pytest.raises(OSError, match="No space left"):
        export_story(made, Story("mine", "Mine", ()), tmp_path / "story.html")
    assert not list(tmp_path.iterdir())


def test_a_term_is_explained_where_it_first_stands_and_once():
    told: set[str] = set()
    first = explained("Attention <b> and recall@10: attention.", told)
    assert first.count("<abbr") == 1 and first.startswith('<abbr title="How much each past event counts')
    assert ">Attention</abbr> &lt;b&gt; and recall@10: attention." in first and told == {"Attention"}
    assert explained("attention again", told) == "attention again"
    assert glossary(told).count("<dt>") == 1 and glossary(set()) == ""
