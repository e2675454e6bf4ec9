"""Choices survive the URL, the stations and an undo; a link that cannot be read says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app import state
from app.parameters import PARAMETERS, read_query, write_query


def test_defaults_are_not_written():
    choices, notices = read_query({})
    assert notices == [] and write_query(choices) == {}


def test_every_choice_is_read_by_the_app():
    folder = Path(state.__file__).parent
    source = "".join(path.read_text() for path in folder.rglob("*.py") if path.name != "parameters.py")
    unread = [name for name in PARAMETERS if not re.search(rf'\b(get|bound|pick_run)\(\s*"{name}"', source)]
    assert not unread


def test_a_link_holds_the_version_and_what_was_changed():
    choices, _ = read_query({})
    query = write_query({**choices, "k": 20, "weights": (1.0, 0.5, 0.0, 2.0), "mask": ("Q", "I"), "to_s": 5})
    assert query == {"v": "1", "k": "20", "weights": "1,0.5,0,2", "mask": "Q,I", "to_s": "5"}


def test_a_name_with_a_comma_stays_one_name():
    chosen = {**read_query({})[0], "categories": ("Clothing, Shoes & Jewelry", "50% off"), "actions": ("buy",)}
    query = write_query(chosen)
    assert query == {"v": "1", "categories": "Clothing%2C Shoes & Jewelry,50%25 off", "actions": "buy"}
    assert read_query(query) == (chosen, [])
    assert read_query({"v": "1", "categories": "50% off,toys"})[0]["categories"] == ("50% off", "toys")


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "person": TEXT,
            "query": TEXT,
            "categories": st.lists(TEXT.filter(bool), max_size=3, unique=True).map(tuple),
            "k": st.integers(0, 10_000),
            "held_out": st.booleans(),
            "weights": st.just(()) | st.tuples(*[st.integers(0, 40).map(lambda n: n / 8)] * 4),
            "hide_from_s": st.none() | st.integers(-(10**9), 10**10),
            "event": st.lists(st.integers(0, 10**6).map(str), max_size=5, unique=True).map(tuple),
        },
    )
)
def test_what_is_written_is_read_back(changes):
    choices = {**read_query({})[0], **changes}
    again, notices = read_query(write_query(choices))
    assert again == choices and notices == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"v": "0", "k": "5"}, "another version of the app (0; this is 1)"),
        ({"v": "1", "colour_by": "x"}, "“colour_by” is not known here"),
        ({"v": "1", "k": "many"}, "“k=many” is not events kept per head; the default is used instead: 50"),
        ({"v": "1", "k": "-1"}, "“k=-1”"),
        ({"v": "1", "weights": "1,x"}, "“weights=1,x”"),
        ({"v": "1", "weights": "1,2"}, "“weights=1,2” is not explicit channel weights q,a,t,i"),
        ({"v": "1", "event": "3,last"}, "“event=3,last” is not events whose loss is explained"),
        ({"v": "1", "head": "first"}, "“head=first” is not one attention head"),
        ({"v": "1", "hide_from_s": "1670000000000"}, "is not the start of the left-out period in seconds since 1970"),
        ({"v": "1", "zone": "Mars/Olympus"}, "“zone=Mars/Olympus” is not time zone in which times are shown"),
        ({"v": "1", "selected": "../x"}, "“selected=../x” is not digest of the selection"),
    ],
)
def test_what_a_link_holds_that_cannot_be_used_is_said(query, says):
    _, notices = read_query(query)
    assert any(says in notice for notice in notices)


def test_what_can_be_read_of_an_old_link_is_used():
    choices, notices = read_query({"v": "0", "person": "7", "gone": "1"})
    assert choices["person"] == "7" and len(notices) == 2


def script() -> None:
    import streamlit as st

    from app import state

    state.begin()
    st.slider("Keep", 1, 200, **state.bound("k"))
    st.multiselect("Mask", ["Q", "A"], **state.bound("mask", options=["Q", "A"]))
    st.button("Undo", on_click=state.undo)
    st.text(state.link())
    state.finish()


def test_a_widget_shows_the_link_writes_it_and_is_undone():
    at = AppTest.from_function(script)
    at.query_params["k"] = "20"
    at.run()
    assert at.slider[0].value == 20
    at.slider[0].set_value(30).run()
    assert at.query_params["k"] == "30" and at.text[0].value == "?v=1&k=30"
    at.multiselect[0].select("Q").run()
    assert at.query_params["mask"] == "Q"
    at.button[0].click().run()
    assert at.multiselect[0].value == [] and at.slider[0].value == 30
    at.button[0].click().run()
    assert at.slider[0].value == 20 and at.query_params["k"] == "20"


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_way_back_takes_the_choice_back_at_once_unless_a_run_was_interrupted(interrupted):
    at = AppTest.from_function(script)
    at.query_params["k"] = "20"
    at.run()
    at.slider[0].set_value(30).run()
    assert at.query_params["k"] == "30"
    at.session_state[state.UNSETTLED] = interrupted  # an interrupted run had no time to write the address
    at.query_params.clear()
    at.query_params["k"] = "20"
    at.run()
    assert at.slider[0].value == (30 if interrupted else 20)


@pytest.mark.parametrize("left", ["png", "svg"])
def test_the_picture_format_follows_undo_and_a_choice_at_another_figure(left):
    def script() -> None:
        import streamlit as st

        from app import state, widgets

        state.begin()
        st.button("Undo", key="undo_it", on_click=state.undo)
        widgets.picture_format("one")
        widgets.picture_format("two")
        state.finish()

    test = AppTest.from_function(script)
    test.query_params["picture"] = left
    test.run()
    chosen = "svg" if left == "png" else "png"

    def shown() -> list[str]:
        return [test.session_state[f"picture_{name}"] for name in ("one", "two")]

    assert shown() == [left, left]
    test.button_group(key="picture_two").set_value(chosen).run()
    assert shown() == [chosen, chosen]
    test.button(key="undo_it").click().run()
    assert shown() == [left, left]


def choices_of(script) -> AppTest:
    at = AppTest.from_function(script).run()
    assert not at.exception
    return at


def test_another_data_set_lets_go_what_was_chosen_in_the_one_before():
    def script():
        import streamlit as st

        from app import state
        from app.parameters import OF_ONE_DATASET

        state.begin()
        state.put(run="r", person="p", item_b="i", categories=("red",), hide_from_s=5, selected="ab", k=20)
        state.put(dataset="other", person="q")
        kept = {name: state.get(name) for name in OF_ONE_DATASET if state.get(name)}
        state.undo()
        st.json({"kept": kept, "k": state.get("k"), "back": [state.get("person"), state.get("categories")]})

    said = json.loads(choices_of(script).json[0].value)
    assert said == {"kept": {"person": "q"}, "k": 20, "back": ["p", ["red"]]}


def test_what_a_page_settles_itself_is_no_step_to_take_back():
    def script():
        import streamlit as st

        from app import state

        state.begin()
        state.put(person="7")
        for _ in range(2):
            if not state.get("stages"):
                state.assume(stages=("before", "after"))
            shown = state.get("stages")
            state.undo()
        st.json({"shown": shown, "person": state.get("person")})

    assert json.loads(choices_of(script).json[0].value) == {"shown": ["before", "after"], "person": ""}
