"""The station Life finds the people that the command line finds, and shows each event it has."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from app import widgets
from app.stations.life import figures
from app.stations.life import loaders as sources
from seminar_core.cli.main import app, load_areas
from seminar_core.data.importers.table import import_table
from seminar_core.data.life_pages import life
from seminar_core.data.opening import open_dataset
from seminar_core.lives.people import find_people
from seminar_core.search.population import population
from tests.app.conftest import cards_of, choose_row, words_of


def test_the_list_of_people_is_the_commands(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", find="lamp")
    expected = find_people(open_dataset(tiny_workspace, "tiny"), "lamp")
    shown = at.dataframe[0].value
    assert shown.person.tolist() == [row["person"] for row in expected]
    assert shown.matches.tolist() == [row["matches"] for row in expected]
    assert f"showing {len(expected)} of {len(expected)} people" in words_of(at)


def test_sorting_by_gap_uses_the_population_of_the_run(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", run="run", sort="gap")
    people = sorted(population(tiny_workspace, "run")["people"], key=lambda r: -r["gap"])
    assert at.dataframe[0].value.person.tolist() == [row["person"] for row in people]
    without = open_app(tiny_workspace, "life", dataset="tiny", sort="gap")
    assert "belong to a trained run" in words_of(without)


def commanded(workspace, *words: str) -> dict:
    """What the command line answers."""
    load_areas()
    done = CliRunner().invoke(app, [*words, "--json", "--workspace", str(workspace.root)])
    return json.loads(done.stdout)


def test_every_number_of_the_list_and_of_the_life_is_the_commands(open_app, tiny_workspace):
    said = commanded(tiny_workspace, "people", "--dataset", "tiny", "--run", "run", "--sort", "gap", "--query", "lamp")
    shown = open_app(tiny_workspace, "life", dataset="tiny", run="run", sort="gap", find="lamp").dataframe[0].value
    for column in ("person", "events", "searches", "matches", "gap"):
        assert shown[column].tolist() == [row[column] for row in said["people"]], column
    events = commanded(tiny_workspace, "life", "--dataset", "tiny", "--person", "p2")["events"]
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p2")
    numbers = {metric.label: metric.value for metric in at.metric}
    assert numbers["Searches"] == str(sum(bool(row["query"]) for row in events))
    assert numbers["Distinct items"] == str(len({row["item"] for row in events}))
    assert numbers["Days"] == f"{(events[-1]['time_s'] - events[0]['time_s']) / 86_400:,.0f}"
    newest, table = events[::-1][:50], at.dataframe[-1].value
    assert [int(time.timestamp()) for time in table.time] == [row["time_s"] for row in newest]
    for column in ("item", "query", "action"):
        assert table[column].fillna("").tolist() == [row[column] or "" for row in newest], column


def test_a_file_of_a_life_says_when_it_was_in_any_zone(open_app, workspace, tmp_path):
    path = tmp_path / "events.csv"
    # the hour that the clocks of Berlin show twice
    path.write_text(
        "person,time,item,query\n" + "\n".join(f"p,{1_698_537_600 + 1200 * n},i{n},lamp" for n in range(12))
    )
    import_table(workspace, path, "autumn")
    dataset = open_dataset(workspace, "autumn")
    time_s = dataset.store.life(dataset.person_row("p")).time_s
    open_app(workspace, "life", dataset="autumn", person="p")
    frame = sources.event_frame("autumn", "p", np.arange(12), "Europe/Berlin")
    assert len(set(sources.as_drawn(frame)["time"])) < 12
    (tmp_path / "life.csv").write_bytes(widgets.as_csv(frame.assign(person="p")))
    (tmp_path / "life.parquet").write_bytes(widgets.as_parquet(frame.assign(person="p")))
    for file in ("life.csv", "life.parquet"):
        import_table(workspace, tmp_path / file, file.replace(".", "_"))
        again = open_dataset(workspace, file.replace(".", "_"))
        assert again.store.life(again.person_row("p")).time_s.tolist() == time_s.tolist(), file


def test_the_tables_behind_the_figures_of_a_life_name_the_zone(open_app, tiny_workspace, monkeypatch):
    kept = {}
    monkeypatch.setattr(widgets, "chart", lambda figure, *, name, table, **rest: kept.update({name: table}))
    choices = {"person": "p2", "person_b": "p3", "zone": "Asia/Tokyo"}
    assert not open_app(tiny_workspace, "life", dataset="tiny", **choices).exception
    tables = {name: table() if callable(table) else table for name, table in kept.items()}
    assert set(tables) == {"interests", "people_compared", "timeline"}
    assert {str(table["time"].dt.tz) for table in tables.values()} == {"Asia/Tokyo"}


def test_a_person_is_chosen_again_after_the_choice_was_taken_back(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny")
    person = at.dataframe[0].value.person.iloc[2]
    for _ in range(2):
        at = choose_row(at, "people", 2)
        assert not at.exception and at.text_input(key="w_person").value == person
        at = at.button(key="undo").click().run()
        assert at.text_input(key="w_person").value == ""


@pytest.mark.parametrize("filtered", ["text", "lanes", "actions", "categories"])
def test_a_new_filter_begins_with_its_newest_events_in_one_step(open_app, tiny_workspace, filtered):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1", page="1")
    if filtered == "text":
        at = at.text_input(key="w_text").input("lamp").run()
    elif filtered == "lanes":
        at = at.button_group(key="w_lanes").set_value("search").run()
    else:
        field = at.multiselect(key=f"w_{filtered}")
        at = field.set_value(field.options[:1]).run()
    assert not at.exception and filtered in at.query_params and "page" not in at.query_params
    at = at.button(key="undo").click().run()
    assert filtered not in at.query_params and "page" in at.query_params


def test_nobody_found_says_so(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", find="zzz*zzz")
    assert "Nobody searched for “zzz*zzz”" in words_of(at)


def test_the_table_is_the_life_newest_first(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1")
    expected = life(open_dataset(tiny_workspace, "tiny"), "p1")["events"][::-1][:50]
    shown = at.dataframe[-1].value
    assert shown.event.astype(str).tolist() == [row["event"] for row in expected]
    assert shown.title.tolist() == [row["title"] or "" for row in expected]
    assert {m.label: m.value for m in at.metric}["Events"] == str(
        len(life(open_dataset(tiny_workspace, "tiny"), "p1")["events"])
    )


def test_filters_say_how_much_they_show(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1", lanes="search")
    events = life(open_dataset(tiny_workspace, "tiny"), "p1")["events"]
    searches = [row for row in events if row["query"]]
    assert f"showing {len(searches)} of {len(searches)} events ({len(events)} in the life)" in words_of(at)
    heading = cards_of(at, "query_groups")[0]["heading"]
    assert heading == f"“{searches[-1]['query']}”"


def test_an_unknown_person_is_explained_with_near_ones(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1x")
    assert "person 'p1x' is not known" in words_of(at) and not at.exception
    at.button(key="life_error_unknown_person").click().run()
    assert "person" not in at.query_params


def test_markup_in_titles_and_queries_is_text(open_app, workspace, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(
        "person,time,item,query\n" + "\n".join(f"<i>p</i>,{t},i{t},<script>alert(1)</script>" for t in range(5))
    )
    import_table(workspace, path, "bad")
    at = open_app(workspace, "life", dataset="bad", person="<i>p</i>")
    assert not at.exception
    for element in at.get("markdown"):
        assert not element.proto.allow_html
    assert cards_of(at, "query_groups")[0]["heading"] == "“<script>alert(1)</script>”"
    spec = at.get("plotly_chart")[1].proto.spec
    assert "<script>" not in spec and "&lt;script&gt;" in spec


def test_a_brush_becomes_seconds_in_the_chosen_zone():
    event = {"selection": {"points": [], "box": [{"x": ["2023-11-15 12:00", "2023-11-15 10:00"]}]}}
    low, high = widgets.selected_range(event)
    assert (low, high) == ("2023-11-15 10:00", "2023-11-15 12:00")
    assert (
        widgets.seconds(low, "UTC") == 1_700_042_400 and widgets.seconds(low, "Europe/Vienna") == 1_700_042_400 - 3600
    )
    assert widgets.selected_range({}) is None


def test_selected_points_are_known_by_their_ids():
    points = [{"customdata": 7}, {"customdata": [3, 1]}, {"customdata": 7}, {"x": 1}]
    assert widgets.selected_ids({"selection": {"points": points}}) == [7, 3]
    assert widgets.selected_ids(None) == []


def test_an_empty_timeline_says_so():
    import pandas as pd

    figure = figures.timeline(pd.DataFrame({"time": []}), pd.DataFrame())
    assert "No event" in figure.layout.annotations[0].text
    assert "no" in figures.interests([], np.zeros((0, 0)), []).layout.annotations[0].text.lower()


@pytest.mark.parametrize("choices", [{"actions": "buy"}, {"from_s": "9", "to_s": "1"}, {"categories": "castle"}])
def test_a_filter_that_does_not_exist_is_explained(open_app, tiny_workspace, choices):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1", **choices)
    assert not at.exception and at.error


def test_another_person_leaves_what_belongs_to_the_life_before(open_app, tiny_workspace):
    chosen = {"item": "i3", "at": "40", "event": "3", "from_s": "1", "to_s": "2", "hide_from_s": "1", "page": "1"}
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1", **chosen)
    next(field for field in at.text_input if field.label == "Person").set_value(" p2 ").run()
    assert not at.exception
    assert at.query_params["person"] == ["p2"] or at.query_params["person"] == "p2"
    assert "item" in at.query_params  # the same target asked of another life
    assert not {"at", "event", "from_s", "to_s", "hide_from_s", "page"} & set(at.query_params)
    at.button(key="undo").click().run()
    assert {"at", "event", "from_s", "to_s", "hide_from_s", "page"} <= set(at.query_params)


def test_a_filter_that_shows_nothing_says_so_and_leads_back(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p1", text="zzzz", from_s="1", lanes="search")
    assert "events matches this period and filter" in words_of(at) and not at.exception
    at.button(key="no_filter").click().run()
    assert not {"text", "from_s", "lanes"} & set(at.query_params)
    assert "events; the bars count every event" in words_of(at)


def test_what_a_filter_hides_is_no_silence_and_ends_no_session(open_app, workspace, tmp_path):
    path = tmp_path / "events.csv"
    rows = [f"p,{1_700_000_000 + 1000 * n},i{n},{'lamp' if n in (0, 400) else ''}" for n in range(401)]
    path.write_text("person,time,item,query\n" + "\n".join(rows))
    import_table(workspace, path, "steady")
    at = open_app(workspace, "life", dataset="steady", person="p", lanes="search")
    assert "showing 2 of 2 events (401 in the life)" in words_of(at)
    spec = at.get("plotly_chart")[1].proto.spec
    assert "sessions (1)" in spec and " days" not in spec
    assert len(cards_of(at, "query_groups")) == 2


def test_a_query_opens_to_what_was_chosen_and_left_and_closes_again(open_app, tiny_workspace):
    dataset = open_dataset(tiny_workspace, "tiny")
    life_of = dataset.store.life(dataset.person_row("p2"))
    event = int(np.flatnonzero(life_of.query > 0)[-1])
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p2", search=str(event))
    said = commanded(tiny_workspace, "life", "--dataset", "tiny", "--person", "p2", "--search", str(event))["search"]
    assert said["says"] in words_of(at) and str(event) in [item["event"] for item in said["items"]]
    marks = [card.get("mark") for card in cards_of(at, "opened_cards")[0]["cards"]]
    assert marks == [{"chosen": "✓ chosen", "left": "✕ left"}.get(item["fate"], "seen") for item in said["items"]]
    at.button(key="search_close").click().run()
    assert said["says"] not in words_of(at)
    wrong = open_app(tiny_workspace, "life", dataset="tiny", person="p2", search="99999")
    assert "is no search" in words_of(wrong) and "for example" in words_of(wrong)


def test_two_people_are_compared_and_exchanged(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p2", person_b="p3")
    said = commanded(tiny_workspace, "life", "--dataset", "tiny", "--person", "p2", "--beside", "p3")["comparison"]
    assert said["says"] in words_of(at)
    at.button(key="exchange_people").click().run()
    swapped = commanded(tiny_workspace, "life", "--dataset", "tiny", "--person", "p3", "--beside", "p2")["comparison"]
    assert swapped["says"] in words_of(at)
    for other, words in (("p2", "compared with itself"), ("nobody", "nobody")):
        assert words in words_of(open_app(tiny_workspace, "life", dataset="tiny", person="p2", person_b=other))


def test_both_lives_have_the_same_interests_in_the_same_colours():
    shares = np.array([[[0.25, 1.0], [0.75, 0.0]], [[0.5, 0.0], [0.5, 1.0]]])
    drawn = figures.compared([1, 2], shares, ["lamps", "tents"], ["a", "b"])
    above, below = drawn.data[:2], drawn.data[2:]
    assert [t.line.color for t in above] == [t.line.color for t in below]
    assert [t.name for t in above] == ["lamps", "tents"] and [list(t.y) for t in below] == shares[1].tolist()
    assert [t.showlegend for t in drawn.data] == [True, True, False, False]
    assert drawn.layout.yaxis.title.text == "a: share" and drawn.layout.yaxis2.title.text == "b: share"
