"""KuaiSAR in its published schema: small files written so, every row accounted for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seminar_core.data.importers import IMPORTERS
from seminar_core.data.importers.auto import recognised
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.errors import CorruptFileError, MissingColumnError, MissingFileError

T = 1_684_742_000_000  # milliseconds, written with decimals as the published files are
REC = (
    "user_id,item_id,time,timestamp,playing_time,duration_ms,click,forward,like,follow,search,search_item_related\n"
    f"1,10,2023-05-22 15:53:20,{T}.0,60792.0,45400.0,1,0,1,0,0,0\n"
    f"1,11,2023-05-22 15:53:21,{T + 1000}.0,0.0,45400.0,0,0,0,0,1,0\n"
    f"2,10,2023-05-22 15:53:22,{T + 2000}.0,10.0,45400.0,1,0,0,1,0,0\n"
    f"2,10,2023-05-22 15:53:22,{T}000.0,10.0,45400.0,1,0,0,0,0,0\n"
)
SRC = (
    "user_id,search_session_id,search_session_time,search_session_timestamp,keyword,search_source,item_id,click_cnt,item_type\n"
    f'1,1,2023-05-22 21:58:52,{T + 500},"[20, 34, 3]",USER_INPUT,12,2,VIDEO\n'
    f'1,1,2023-05-22 21:58:52,{T + 500},"[20, 34, 3]",USER_INPUT,10,0,VIDEO\n'
    f"2,2,2023-05-22 21:58:52,{T},[7],FEED,13,1,USER\n"
    ",2,2023-05-22 21:58:52,1,[7],FEED,13,1,USER\n"
)
LEVELS = ",".join(
    f"{n}_level_category_{part}" for n in ("first", "second", "third", "fourth") for part in ("id", "name", "name_en")
)
ITEMS = (
    f"item_id,caption,author_id,item_type,upload_time,upload_type,{LEVELS}\n"
    '10,"[1, 213, 24]",77,NORMAL,2023-04-22,LongImport,9,搞笑,Funny,136,搞笑段子,Funny joke,0,空,empty,0,空,empty\n'
    "11,[],0,NORMAL,1970-01-01,UNKNOWN,0,空,empty,0,空,empty,0,空,empty,0,空,empty\n"
)
USERS = "user_id,search_active_level,rec_active_level,onehot_feat1,onehot_feat2\n1,1,5,0,3\n9,2,2,1,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kuai"
    path.mkdir()
    for stem, text in (("rec_inter", REC), ("src_inter", SRC), ("item_features", ITEMS), ("user_features", USERS)):
        (path / f"{stem}.csv").write_text(text, encoding="utf-8")
    return path


def test_recommendations_and_searches_are_one_life(workspace, folder, tmp_path):
    assert recognised(folder) == ("kuaisar", "the file rec_inter.csv")
    answer = IMPORTERS["kuaisar"](workspace, folder, "kuai", tmp_path / "rejected.csv")
    assert (answer["events"], answer["rejected"], answer["people"], answer["items"]) == (6, 2, 2, 4)
    data = open_dataset(workspace, "kuai")
    life = data.store.life(data.person_row("1"))
    rows = zip(life.time_s, life.item, life.query, life.label, life.action, strict=True)
    assert [(int(t), data.item_ids[i], data.query_texts[q], int(y), data.actions[a]) for t, i, q, y, a in rows] == [
        (T // 1000, "10", "", 1, "like"),
        (T // 1000, "12", "20 34 3", 1, "search"),
        (T // 1000, "10", "20 34 3", 0, "search"),
        (T // 1000 + 1, "11", "", 0, "view"),
    ]
    second = data.store.life(data.person_row("2"))
    assert [data.actions[a] for a in second.action] == ["search", "follow"]
    rejected = pd.read_csv(tmp_path / "rejected.csv", dtype=str)
    assert rejected[["row", "reason"]].to_numpy().tolist() == [["4", "time_after_2100"], ["8", "empty_person"]]


def test_videos_have_captions_and_categories_and_people_their_features(workspace, folder):
    IMPORTERS["kuaisar"](workspace, folder, "kuai")
    data = open_dataset(workspace, "kuai")
    assert data.titles == [None, "1 213 24", None, None, None]
    assert [data.category_names[c] for c in data.category] == ["", "Funny", "", "", ""]
    values = {data.attribute_values[v] for v in data.attributes[data.item_row("10")] if v}
    assert values == {
        "category=Funny",
        "category=Funny joke",
        "author=77",
        "item_type=NORMAL",
        "upload_type=LongImport",
    }
    people = pd.read_parquet(data.path / "people.parquet")
    assert people.loc[0, "onehot_feat2"] == "3" and people.loc[0, "rec_active_level"] == "5"
    assert people["onehot_feat2"].isna().tolist() == [False, True]
    assert {p["kind"] for p in report(data)["problems"]} >= {"unknown_item", "item_without_text"}


def test_rows_of_features_with_a_value_too_many_are_named(workspace, folder):
    (folder / "item_features.csv").write_text(ITEMS.replace('"[1, 213, 24]"', "[1, 213, 24]"), encoding="utf-8")
    IMPORTERS["kuaisar"](workspace, folder, "kuai")
    data = open_dataset(workspace, "kuai")
    assert data.titles[data.item_row("10")] is None
    found = {row["kind"]: row["example_rows"] for row in report(data)["problems"]}
    assert found["item_extra_columns"] == [1]
    (folder / "user_features.csv").write_text(USERS.replace("9,2,2,1,1", "9,2,2,1,1,7"), encoding="utf-8")
    with pytest.raises(CorruptFileError, match=r"user_features\.csv, row 2: extra columns"):
        IMPORTERS["kuaisar"](workspace, folder, "kuai")


def test_a_folder_that_is_not_as_published_is_refused(workspace, folder):
    (folder / "item_features.csv").unlink()
    (folder / "user_features.csv").unlink()
    assert IMPORTERS["kuaisar"](workspace, folder, "kuai")["items"] == 4  # the features are optional
    (folder / "src_inter.csv").write_text(SRC.replace("click_cnt", "clicks"))
    with pytest.raises(MissingColumnError, match=r"src_inter\.csv has no column 'click_cnt'"):
        IMPORTERS["kuaisar"](workspace, folder, "kuai")
    (folder / "src_inter.csv").unlink()
    with pytest.raises(MissingFileError, match=r"src_inter\.csv does not exist"):
        IMPORTERS["kuaisar"](workspace, folder, "kuai")
