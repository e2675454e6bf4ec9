"""MovieLens: tags become the queries of ratings; the published folder gives its published counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seminar_core.data.importers import IMPORTERS
from seminar_core.data.importers.movielens import import_movielens
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.errors import CorruptFileError, MissingColumnError, MissingFileError
from seminar_core.workspace import Workspace
from tests.data.test_pictures import encoded

DAY = 86_400


def write_movielens(folder: Path, ratings: str, tags: str, movies: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, header, text in (
        ("ratings", "userId,movieId,rating,timestamp", ratings),
        ("tags", "userId,movieId,tag,timestamp", tags),
        ("movies", "movieId,title,genres", movies),
    ):
        (folder / f"{stem}.csv").write_text("\n".join([header, *(line.strip() for line in text.split("\n") if line)]))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    ratings = f"1,10,4.0,1000000\n1,20,3.5,{1000000 + 5 * DAY}\n2,10,5.0,2000000\n2,30,0.5,2000000"
    tags = f"""1,10,late,{1000000 + DAY + 1}
    1,10,second,{1000000 + 60}
    1,10,first,{1000000 - DAY}
    2,30,bad,2000010
    2,20,lonely,7"""
    movies = (
        '10,"Toy, The (1995)",Animation|Comedy\n20,No Year,(no genres listed)\n30,C (2001),Drama\n40,Unseen (1999),War'
    )
    folder = write_movielens(tmp_path / "ml", ratings, tags, movies)
    facts = {"movieId": 10, "plot": "Toys.", "director": "A, B", "actors": "C", "country": "N/A"}
    (folder / "plots.jsonl").write_text(json.dumps(facts) + "\n")
    (folder / "posters").mkdir()
    (folder / "posters" / "30.jpg").write_bytes(encoded((128, 190), "JPEG"))
    return folder


def test_a_worked_example(workspace: Workspace, small: Path) -> None:
    answer = import_movielens(workspace, small, "ml")
    assert (answer["people"], answer["items"], answer["events"], answer["rejected"]) == (2, 4, 7, 0)
    data = open_dataset(workspace, "ml")

    def life(person: str) -> list[tuple]:
        found = data.store.life(data.person_row(person))
        return [
            (int(t), data.item_ids[i], data.query_texts[q], int(label), data.actions[a])
            for t, i, q, label, a in zip(found.time_s, found.item, found.query, found.label, found.action, strict=True)
        ]

    assert life("1") == [
        (1000000, "10", "first", 1, "rate"),  # the rating's time on the first of its tags
        (1000060, "10", "second", 1, "tag"),
        (1000000 + DAY + 1, "10", "late", -1, "tag"),  # more than a day after the rating: an event of its own
        (1000000 + 5 * DAY, "20", "", 0, "rate"),
    ]
    assert life("2") == [
        (7, "20", "lonely", -1, "tag"),
        (2000000, "10", "", 1, "rate"),
        (2000000, "30", "bad", 0, "rate"),
    ]


def test_films_have_texts_attributes_and_posters(workspace: Workspace, small: Path) -> None:
    import_movielens(workspace, small, "ml")
    data = open_dataset(workspace, "ml")
    assert data.titles == [None, "Toy, The (1995)", "No Year", "C (2001)", "Unseen (1999)"]
    assert data.descriptions == [None, "Animation, Comedy. Toys.", None, "Drama", "War"]
    values = {data.attribute_values[v] for v in data.attributes[1] if v}
    assert values == {"category=Animation", "category=Comedy", "decade=1990s", "director=A", "director=B", "actors=C"}
    assert [data.category_names[c] for c in data.category] == ["", "Animation", "", "Drama", "War"]
    assert data.has_picture.tolist() == [False, False, False, True, False]


def test_bad_ratings_are_rejected_with_their_row(workspace: Workspace, small: Path, tmp_path: Path) -> None:
    (small / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,great,100\n1,30,3.0,soon\n")
    assert import_movielens(workspace, small, "ml", tmp_path / "rejected.csv")["rejected"] == 2
    rows = pd.read_csv(tmp_path / "rejected.csv", dtype=str)
    assert rows[["row", "reason", "label"]].to_numpy().tolist() == [
        ["2", "bad_label", "rating great"],
        ["3", "unreadable_time", "0"],
    ]


def test_malformed_rows_are_named_and_a_tag_outlives_its_rating(workspace: Workspace, tmp_path: Path) -> None:
    """Ratings: no number, one column too many, too late; a tag beside each, and one with a column too many."""
    ratings = f"1,10,4.0,100\n2,10,abc,200\n3,10,5.0,300,junk\n4,10,5.0,{10**11}"
    tags = f"2,10,first,210\n3,10,second,310\n4,10,third,400\n1,10,two,parts,110\n4,10,late,{10**11}\n1,10,good,120"
    movies = "10,American President, The (1995),Comedy\n11,B (1999),Drama"
    folder = write_movielens(tmp_path / "ml", ratings, tags, movies)
    answer = import_movielens(workspace, folder, "ml", tmp_path / "rejected.csv")
    data = open_dataset(workspace, "ml")
    assert answer["events"] + answer["rejected"] == 9  # ten rows, two of which are one event
    assert data.query_texts[1:] == ["first", "good", "second", "third"]
    assert data.store.life(0).label.tolist() == [1] and data.store.life(1).label.tolist() == [-1]
    rows = pd.read_csv(tmp_path / "rejected.csv", dtype=str)
    assert rows[["row", "reason"]].to_numpy().tolist() == [
        ["2", "bad_label"], ["3", "extra_columns"], ["4", "time_after_2100"], ["8", "extra_columns"],
        ["9", "time_after_2100"],
    ]  # fmt: skip
    found = {row["kind"]: row["example_rows"] for row in report(data)["problems"]}
    assert found["item_extra_columns"] == [1]
    assert dict(zip(data.item_ids[1:], data.titles[1:], strict=True)) == {"11": "B (1999)", "10": None}


def test_a_folder_that_is_not_movielens(workspace: Workspace, small: Path) -> None:
    (small / "plots.jsonl").write_text('{"movieId": 10}\n{"plot"\n')
    with pytest.raises(CorruptFileError, match="line 2 is not a JSON object"):
        import_movielens(workspace, small, "ml")
    (small / "tags.csv").write_text("user,movieId,tag,timestamp\n")
    with pytest.raises(MissingColumnError, match=r"tags\.csv has no column 'userId'"):
        import_movielens(workspace, small, "ml")
    (small / "tags.csv").unlink()
    with pytest.raises(MissingFileError, match=r"tags\.csv does not exist"):
        import_movielens(workspace, small, "ml")
    assert not list(workspace.datasets.glob("[!.]*"))


def test_movielens_latest_small_has_its_published_counts(workspace: Workspace, movielens_dir: Path) -> None:
    answer = IMPORTERS["movielens"](workspace, movielens_dir, "ml-small")
    assert (answer["people"], answer["items"], answer["rejected"]) == (610, 9742, 0)
    ratings, tags = pd.read_csv(movielens_dir / "ratings.csv"), pd.read_csv(movielens_dir / "tags.csv")
    pairs = tags.merge(ratings, on=["userId", "movieId"], suffixes=("_tag", ""))
    near = pairs[(pairs["timestamp_tag"] - pairs["timestamp"]).abs() <= DAY]
    merged = len(near[["userId", "movieId"]].drop_duplicates())
    assert answer["events"] == len(ratings) + len(tags) - merged == 104_064

    data = open_dataset(workspace, "ml-small")
    found = report(data)
    assert (found["events_with_query"], found["items_with_image"]) == (3683, 2855)
    tied = ratings.duplicated(["userId", "timestamp"], keep=False).mean()
    assert found["tied_time_frac"] == pytest.approx(tied, abs=0.01)
    liked = near.sort_values("timestamp_tag").duplicated(["userId", "movieId"]) & (near["rating"] >= 4)
    assert np.count_nonzero(data.store.label == 1) == (ratings["rating"] >= 4).sum() + liked.sum()
    assert {row["kind"] for row in found["problems"]} == {"unsorted", "tied_time", "item_without_image"}


def test_an_old_release_is_utf8_or_latin1_line_by_line(workspace: Workspace, tmp_path: Path) -> None:
    """Both encodings are in circulation for ratings.dat: 10m is UTF-8, 1m Latin-1."""
    (tmp_path / "ratings.dat").write_text("1::1::5::10\n1::2::5::20\n")
    films = ["1::Misérables, Les (1995)::Drama\n".encode(), "2::Cité (1994)::Drama\n".encode("latin-1")]
    (tmp_path / "movies.dat").write_bytes(b"".join(films))
    IMPORTERS["movielens"](workspace, tmp_path, "old")
    assert open_dataset(workspace, "old").titles[1:] == ["Misérables, Les (1995)", "Cité (1994)"]
