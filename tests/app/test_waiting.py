"""Pages that wait for a process beside the server: they go on, say how far it is, and can stop it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from app.work import waiting
from app.work.desk import Ticket
from seminar_core.alignment.stages import card_of, open_stage
from tests.app import heavy_tasks
from tests.app.conftest import words_of

HERE = {"dataset": "tiny", "run": "run", "stages": "before,after", "drawing": "plotly"}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory):
    from tests.tiny_run import make_run

    return make_run(tmp_path_factory.mktemp("waiting"))


def test_the_station_goes_on_while_its_map_and_its_card_are_made(open_app, untouched, monkeypatch):
    monkeypatch.setenv("SEMINAR_WORKERS", "1")
    monkeypatch.setattr(waiting, "QUICK_S", 0.0)
    at = open_app(untouched, "alignment", **HERE)
    assert not at.exception and not at.error
    assert "**PCA**" in words_of(at), "the map is there at once, as PCA"
    assert any(text.value.startswith("UMAP of this run · ") for text in at.text), (words_of(at), at.text)
    assert "Number card of before · Number card of after" in words_of(at)

    (umap,) = (t for t in waiting.desk()._tickets.values() if t.what == "UMAP of this run")
    at.button(key=f"stop_{umap.key}").click().run()
    assert umap.ended.wait(20)
    until = time.monotonic() + 120
    while waiting.desk().live():
        assert time.monotonic() < until
        time.sleep(0.2)
    at.run()
    assert "“UMAP of this run” was stopped" in words_of(at).replace("\\", "") and "**PCA**" in words_of(at)
    pairs = next(frame.value for frame in at.dataframe if "pair" in frame.value.columns).set_index("pair")
    said = card_of(open_stage(untouched, "run", "after"))["pairs"]["T>I"]
    assert pairs.loc["text > image", "gap"].endswith(f"{said['centroid_gap']['value']:.2f}")
    at.button(key="umap_error_again").click().run()
    assert any(t.what == "UMAP of this run" for t in waiting.desk()._tickets.values()), "asked for again"
    waiting.desk().wait_only_for(waiting.session(), set())


def two_panels() -> None:
    from pathlib import Path

    from app.work import waiting
    from app.work.desk import Ticket
    from tests.app import heavy_tasks

    for name in ("first", "frontier of *p_1_* [x](y)"):
        waiting.panel(waiting.Pending([Ticket(name, name, heavy_tasks.slow, (), Path("note"))]))


def test_a_person_id_stands_as_it_is_in_every_panel():
    at = AppTest.from_function(two_panels).run()
    assert not at.exception
    assert [text.value for text in at.text][-1] == "Waiting for: frontier of *p_1_* [x](y)"
    assert not any("p_1_" in element.value for kind in ("caption", "markdown") for element in at.get(kind))


def test_a_waiting_line_says_place_progress_company_and_a_death(tmp_path):
    ticket = Ticket("k", "Number card of after", heavy_tasks.slow, (), tmp_path / "note", askers={"a", "b", "c"})
    assert (
        waiting.words(ticket, 3, 0, 1, "") == "Number card of after · place 3 in the queue · 2 others wait for it too"
    )
    ticket.askers, ticket.deaths = {"a"}, 1
    assert waiting.words(ticket, 0, 120, 200, "drawing") == (
        "Number card of after · drawing 120 of 200 · its process died and was started again"
    )


def test_a_question_is_known_by_what_is_asked_of_which_content():
    def key(**changes):
        given = {"what": "w", "task": heavy_tasks.slow, "arguments": (), "of": ("run", "content")} | changes
        return waiting.Heavy(**given).key

    assert key() == key(what="in other words", arguments=("/elsewhere",))
    assert len({key(), key(of=("run", "changed")), key(task=heavy_tasks.dies)}) == 3


def test_a_part_drawn_alone_lets_go_what_it_no_longer_asks_for(monkeypatch):
    left: list[set[str]] = []
    desk = SimpleNamespace(wait_only_for=lambda session, keys: left.append(set(keys)))
    monkeypatch.setattr(waiting, "desk", lambda: desk)
    monkeypatch.setattr(waiting.st, "session_state", {})
    asked = waiting.st.session_state
    with waiting.page():
        asked[waiting.ASKED].add("card")
        with waiting.part("what_if", alone=False):
            asked[waiting.ASKED].add("K = 50")
    for k in (60, 70):
        with waiting.part("what_if", alone=True):
            asked[waiting.ASKED].add(f"K = {k}")
    assert left == [{"card", "K = 50"}, {"card", "K = 60"}, {"card", "K = 70"}]
