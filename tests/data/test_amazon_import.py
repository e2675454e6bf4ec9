"""Amazon reviews in the schemas of 2014, 2018 and 2023, with queries by category path or by the first words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from seminar_core.data.importers import IMPORTERS
from seminar_core.data.importers.amazon import import_amazon
from seminar_core.data.importers.auto import recognised
from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError, CorruptFileError, MissingColumnError, MissingFileError

PATHS = [["Movies & TV", "Movies", "Action of the Movies"], ["Books"], ["Sale", "Discs"]]


def old_review(person: str, item: str, second: int, stars: float) -> dict:
    return {
        "reviewerID": person, "asin": item, "reviewerName": "x", "helpful": [0, 0], "reviewText": "good",
        "summary": "s", "overall": stars, "unixReviewTime": second, "reviewTime": "07 1, 2014",
    }  # fmt: skip


REVIEWS = [("u1", "A", 100, 5.0), ("u1", "B", 200, 3.0), ("u2", "A", 300, 4.0), ("u2", "A", 400, 1.0)]


def lines(rows: list[dict]) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


def write_release(folder: Path, release: int) -> Path:
    folder.mkdir()
    if release == 2014:
        meta: list = [
            {
                "asin": "A",
                "title": "The Big Red Film of All",
                "description": "Loud.",
                "brand": "Nord",
                "categories": PATHS,
            },
            {"asin": "A", "title": "again", "categories": [["x", "y"]]},
            {"asin": "B", "categories": [["Books"]]},
        ]
        (folder / "meta_Movies.json.gz").write_bytes(gzip.compress("\n".join(map(repr, meta)).encode()))
        (folder / "reviews_Movies_5.json.gz").write_bytes(
            gzip.compress(lines([old_review(*r) for r in REVIEWS]).encode())
        )
    elif release == 2018:
        meta = [
            {"asin": "A", "title": "The Big Red Film of All", "description": ["Loud."], "feature": ["4K"],
             "brand": "Nord", "category": ["Movies &amp; TV", "Movies", "Action of the Movies"]},
            {"asin": "B", "title": "", "category": []},
        ]  # fmt: skip
        (folder / "meta_Movies.json").write_text(lines(meta))
        (folder / "Movies_5.json").write_text(
            lines([old_review(*r) | {"verified": True, "vote": "2"} for r in REVIEWS])
        )
    else:
        meta = [
            {"parent_asin": "A", "main_category": "Movies & TV", "title": "The Big Red Film of All", "features": ["4K"],
             "description": ["Loud."], "store": "Nord", "categories": PATHS[0], "details": {"Format": "Disc"}},
            {"parent_asin": "B", "title": None, "categories": []},
        ]  # fmt: skip
        (folder / "meta_Movies.jsonl").write_text(lines(meta))
        rows = [
            {"rating": stars, "title": "t", "text": "x", "images": [], "asin": "old", "parent_asin": item,
             "user_id": person, "timestamp": second * 1000 + 7, "helpful_vote": 0, "verified_purchase": True}
            for person, item, second, stars in REVIEWS
        ]  # fmt: skip
        (folder / "Movies.jsonl").write_text(lines(rows))
    return folder


@pytest.mark.parametrize("release", [2014, 2018, 2023])
def test_each_release_is_reviews_with_queries_of_the_category_path(workspace, tmp_path, release):
    folder = write_release(tmp_path / "in", release)
    assert recognised(folder)[0] == "amazon"
    answer = IMPORTERS["amazon"](workspace, folder, "az")
    assert (answer["events"], answer["rejected"], answer["people"], answer["items"]) == (4, 0, 2, 2)
    data = open_dataset(workspace, "az")
    path = "movies tv action"  # stop words and the second and third "movies" are gone
    others = ["sale discs", path] if release == 2014 else [path, path]  # paths of one level are none; paths take turns
    rows = []
    for person in ("u1", "u2"):
        life = data.store.life(data.person_row(person))
        columns = zip(life.time_s, life.item, life.query, life.label, strict=True)
        rows += [(int(t), data.item_ids[i], data.query_texts[q], int(y)) for t, i, q, y in columns]
    assert rows[:2] == [(100, "A", path, 1), (200, "B", "", 0)]
    assert sorted(query for _, _, query, _ in rows[2:]) == sorted(others if release != 2014 else [path, "sale discs"])
    assert [y for *_, y in rows[2:]] == [1, 0]
    assert data.titles[1:] == ["The Big Red Film of All", None] and data.actions == ["review"]
    assert data.descriptions[1] == ("Loud." if release == 2014 else "Loud. 4K")
    values = {data.attribute_values[v] for v in data.attributes[1] if v}
    assert {"category=Movies & TV", "category=Movies", "brand=Nord"} <= values
    assert data.category_names[data.category[1]] == "Movies & TV"


def test_the_first_five_words_of_the_title_are_queries_on_request(workspace, tmp_path):
    import_amazon(workspace, write_release(tmp_path / "in", 2023), "az", queries="first-words")
    assert sorted(open_dataset(workspace, "az").query_texts) == ["", "The Big Red Film of"]
    with pytest.raises(ConfigError, match="queries 'words' are not known"):
        import_amazon(workspace, tmp_path / "in", "az", queries="words")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 5: "),
        ("[1]", "line 5: the line is no JSON object"),
        ("{'a': __import__('os')}", "line 5: malformed node"),
        ("[" * 100_000, "line 5: "),
        (json.dumps(old_review("u", "A", 1, 1) | {"overall": "good"}), "line 5: a rating or a time is no number"),
        ('{"reviewerID": "u", "asin": "A", "overall": 1, "unixReviewTime": 1e999}', "line 5: a rating or a time"),
        ("\udcff", "line 5: 'utf-8' codec can't decode"),
    ],
)
def test_a_line_that_is_no_review_is_named(workspace, tmp_path, line, words):
    folder = write_release(tmp_path / "in", 2018)
    with (folder / "Movies_5.json").open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(CorruptFileError) as caught:
        IMPORTERS["amazon"](workspace, folder, "az")
    assert words in caught.value.message and "Movies_5.json" in caught.value.message


def test_reviews_without_a_person_are_rejected_and_other_files_refused(workspace, tmp_path):
    folder = write_release(tmp_path / "in", 2018)
    with (folder / "Movies_5.json").open("a") as file:
        file.write('\n{"asin": "A", "overall": 3.0, "unixReviewTime": 5}\n')
    answer = IMPORTERS["amazon"](workspace, folder, "az")
    assert (answer["events"], answer["rejected"]) == (4, 1)
    (folder / "Movies_5.json").write_text('{"user": 1}\n')
    with pytest.raises(MissingColumnError, match=r"the first record has neither reviewerID .* it has 'user'"):
        IMPORTERS["amazon"](workspace, folder, "az")
    packed = folder / "Movies_5.json.gz"
    packed.write_bytes(gzip.compress(lines([old_review(*r) for r in REVIEWS]).encode())[:40])
    (folder / "Movies_5.json").unlink()
    with pytest.raises(CorruptFileError, match=r"Movies_5\.json\.gz, line 0: Compressed file ended"):
        IMPORTERS["amazon"](workspace, folder, "az")
    packed.unlink()
    with pytest.raises(MissingFileError, match="has no file of reviews"):
        IMPORTERS["amazon"](workspace, folder, "az")
