"""Nothing lost, nothing foreign: every row of a text file is an event or named, and a path is a path."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seminar_core.data.hints import Hints, make_hints
from seminar_core.data.importers.table import import_table
from seminar_core.data.negatives import TrainingNegatives
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.data.splits import position_split
from seminar_core.data.tables.lines import LOOK_AHEAD, fields_of
from seminar_core.data.tables.text import count_records
from seminar_core.errors import ConfigError, CorruptFileError, EmptyDataError, InvalidDataError, MissingColumnError
from seminar_core.workspace import Workspace

HEAD = "person,time,item,query\n"
CASES = {  # folder -> events, rejected, people, items; or the words of its error
    "unclosed": (39, 1, 3, 4),
    "brackets": (2, 0, 1, 2),
    "bracket[s]": (2, 0, 1, 2),
    "person=zzz": (2, 0, 2, 2),
    "float_ids": (12, 0, 3, 4),
    "file_row_number": (2, 0, 1, 2),
    "nul_header": "NUL character",
    "ms_times": "--time-unit ms",
    "us_date": "--time-format",
    "upper_header": (12, 0, 3, 4),
    "semicolon": (12, 0, 3, 4),
    "tsv": (2, 0, 1, 2),
    "nohead": "--no-header",
    "latin1": "line 2, is not UTF-8",
    "latin1_late_items": "line 852, is not UTF-8",
    "jsonl": (12, 0, 3, 4),
    "nan_words": (12, 0, 4, 4),
    "neg_zero_times": (4, 2, 1, 2),
    "inner_quote": (4, 0, 2, 3),
    "float_id_items_parquet": (6, 0, 2, 3),
    "pq_decimal": (6, 0, 2, 3),
    "nbsp_item_id": (6, 0, 2, 3),
    "hf_image_struct": (6, 0, 2, 3),
    "bool_label_csv": (30, 0, 3, 7),
    "blank_lines": (1, 1, 1, 1),
}


def read(workspace: Workspace, path: Path, **hints) -> tuple[dict, dict]:
    answer = import_table(workspace, path, "data", hints=Hints(**hints))
    return answer, report(open_dataset(workspace, "data"))


def write(folder: Path, text: str, name: str = "events.csv", encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode(encoding))
    return folder


@pytest.mark.parametrize("name", CASES)
def test_inputs_that_people_brought_are_read_right(workspace, shared_dir, name):
    path, right = shared_dir / "cases" / name, CASES[name]
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    if isinstance(right, str):
        with pytest.raises((InvalidDataError, EmptyDataError, CorruptFileError, MissingColumnError)) as caught:
            import_table(workspace, path, "data")
        assert right in f"{caught.value.message} {caught.value.hint}"
        return
    answer = import_table(workspace, path, "data")
    assert tuple(answer[key] for key in ("events", "rejected", "people", "items")) == right


def test_an_unclosed_quote_costs_its_own_line_alone(workspace, tmp_path):
    rows = [f"u{n % 3},{n},i{n % 4},shoe" for n in range(40)]
    rows[20] = 'u1,20,i0,"red'
    answer, found = read(workspace, write(tmp_path / "in", HEAD + "\n".join(rows) + "\n"))
    assert (answer["events"], answer["rejected"]) == (39, 1)
    (row,) = [p for p in found["problems"] if p["kind"] == "unclosed_quote"]
    assert row["example_rows"] == [21]


def test_a_quoted_field_over_lines_is_one_field_also_beside_an_unclosed_one(workspace, tmp_path):
    text = HEAD + 'p,1,a,"two\nlines"\np,2,b,"red\np,3,c,\n'
    answer, _ = read(workspace, write(tmp_path / "in", text))
    assert (answer["events"], answer["rejected"]) == (2, 1)
    assert "two\nlines" in open_dataset(workspace, "data").query_texts


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ('"line one\nsays ""great"" film\nend"', 'line one\nsays "great" film\nend'),
        ('"a\n""quoted""\n\n"""', 'a\n"quoted"\n\n"'),
        ('"' + "line\n" * (LOOK_AHEAD - 2) + '"', "\n".join(["line"] * (LOOK_AHEAD - 2))),
        ('"x\ry"', "x\ry"),
        ("x\ry", "x\ry"),
        ('"' + "long " * 700_000 + '"', ("long " * 700_000).strip()),
    ],
    ids=["doubled quotes", "quote at the end", "many lines", "quoted return", "bare return", "3 MB"],
)
@pytest.mark.parametrize("other", ["", '\nb,"U,V\n'], ids=["blank line", "unclosed quote"])
def test_a_row_is_whole_also_where_the_file_is_read_line_by_line(workspace, tmp_path, description, text, other):
    write(tmp_path / "in", "person,time,item\np,1,a\n")
    items = f"item,title,description\na,T,{description}\n\nc,W,X\n{other}"
    write(tmp_path / "in", items, "items.csv")
    read(workspace, tmp_path / "in")
    data = open_dataset(workspace, "data")
    assert (data.item_ids[1:], data.titles[1:]) == (["a", "c"], ["T", "W"])
    assert data.descriptions[1:] == [text, "X"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_that_end_in_a_return_alone_are_lines(workspace, tmp_path, encoding):
    text = 'person,time,item,query\rp,1,a,\rp,2,b,"red\rshoes"\rp,3,c,"x\r'
    answer, found = read(workspace, write(tmp_path / "in", text, encoding=encoding))
    assert (answer["events"], answer["rejected"]) == (2, 1)
    assert open_dataset(workspace, "data").query_texts[1:] == ["red\nshoes"]
    assert [p["example_rows"] for p in found["problems"] if p["kind"] == "unclosed_quote"] == [[3]]


def test_quotes_inside_a_field_are_its_text(workspace, tmp_path):
    text = HEAD + 'p,1,a,12" vinyl\np,2,b,"Weird Al" Yankovic\np,3,c,"say ""hi"""\n'
    read(workspace, write(tmp_path / "in", text))
    assert set(open_dataset(workspace, "data").query_texts) >= {'12" vinyl', '"Weird Al" Yankovic', 'say "hi"'}


def test_blank_lines_are_no_rows_and_keep_the_numbers_true(workspace, tmp_path):
    answer, found = read(workspace, write(tmp_path / "in", HEAD + "p,1,a,\n\n\np,x,b,\np,3,c,\n\n\n"))
    assert (answer["events"], answer["rejected"]) == (2, 1)
    (row,) = [p for p in found["problems"] if p["kind"] == "unreadable_time"]
    assert row["example_rows"] == [4]


fields = st.text(st.sampled_from('ab",;\n '), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), fields), min_size=1, max_size=12), st.booleans())
def test_events_and_rejected_are_the_rows_that_a_writer_wrote(tmp_path_factory, rows, crlf):
    folder = tmp_path_factory.mktemp("rows")
    with (folder / "events.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n" if crlf else "\n")
        writer.writerow(["person", "time", "item", "query"])
        writer.writerows([f"p{person}", n, "i", query] for n, (person, query) in enumerate(rows))
    answer = import_table(Workspace(folder / "workspace"), folder, "data")
    assert answer["events"] + answer["rejected"] == len(rows) and not answer["rejected"]
    assert count_records(folder / "events.csv")[0] == len(rows) + 1


plain = st.lists(st.text(st.sampled_from("ab,"), max_size=8), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(plain, st.text(st.sampled_from('ab",'), max_size=8), plain)
def test_whatever_a_line_holds_every_one_is_an_event_or_named(tmp_path_factory, before, odd, after):
    """One line with quotes of any kind: two open ones could be one field, by the rules of CSV."""
    folder = tmp_path_factory.mktemp("lines")
    lines = ["x", *before, odd, *after]  # one row that is read whatever the others are
    write(folder, HEAD + "".join(f"p,{n},i,{line}\n" for n, line in enumerate(lines)))
    answer = import_table(Workspace(folder / "workspace"), folder, "data")
    assert answer["events"] + answer["rejected"] == len(lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('a,"b,c",d', (["a", "b,c", "d"], False)),
        ('"a""b",', (['a"b', ""], False)),
        ('x"y,z', (['x"y', "z"], False)),
        ('a,"b', (["a", '"b'], True)),
        ("", ([""], False)),
    ],
)
def test_fields_of_a_line(text, wanted):
    assert fields_of(text, ",") == wanted


@pytest.mark.parametrize("folder", ["in[s]", "in*", "in?", "person=zzz", "it's"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_path_is_a_path(tmp_path, folder, kind):
    """Beside folders that a pattern would match: only the named file is read, and its own columns."""
    for name, person in ((folder, "mine"), ("ins", "foreign"), ("in", "foreign")):
        (tmp_path / name).mkdir()
        table = pa.table({"person": [person], "time": [1], "item": ["a"]})
        if kind == "parquet":
            pq.write_table(table, tmp_path / name / "events.parquet")
        else:
            write(tmp_path / name, f"person,time,item\n{person},1,a\n")
    workspace = Workspace(tmp_path / folder / "workspace")
    import_table(workspace, tmp_path / folder, "data")
    assert open_dataset(workspace, "data").person_ids == ["mine"]


def test_ids_are_written_alike_in_both_files(workspace, tmp_path):
    write(tmp_path / "in", "person,time,item\n1.0,1,7.0\n1,2,8\u00a0\n1,3,v1.0\n")
    pq.write_table(pa.table({"item": [7.0, 8.0, None], "title": ["a", "b", "c"]}), tmp_path / "in" / "items.parquet")
    answer, found = read(workspace, tmp_path / "in")
    data = open_dataset(workspace, "data")
    assert data.person_ids == ["1"] and data.item_ids[1:] == ["7", "8", "v1.0"]
    assert answer["items"] == 3 and found["items_never_met"] == 0


def test_a_catalogue_that_is_never_met_is_said(workspace, tmp_path):
    write(tmp_path / "in", "person,time,item\np,1,A\n")
    write(tmp_path / "in", "item,title\na,x\nb,y\n", "items.csv")
    _, found = read(workspace, tmp_path / "in")
    (row,) = [p for p in found["problems"] if p["kind"] == "catalogue_never_met"]
    assert row["count"] == 2 and found["items_never_met"] == 2


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("p;1;a\nq;2;b\n", {"header": False, "delimiter": ";"}),
        ("Time\tPERSON\tItem\n1\tp\ta\n2\tq\tb\n", {}),
        ("userId,when,thing\np,1,a\nq,2,b\n", {"columns": {"person": "userId", "time": "when", "item": "thing"}}),
        ("1,p,a\n2,q,b\n", {"header": False, "columns": {"time": "1", "person": "2", "item": "3"}}),
        ("person,time,item\np,1000,a\nq,2000,b\n", {"time_unit": "ms"}),
        ("person|time|item\np|1970-01-01 00:00:01|a\nq|1970-01-01 00:00:02|b\n", {}),
        ("person,time,item\np,01/01/1970 00:00:01,a\nq,01/01/1970 00:00:02,b\n", {"time_format": "%m/%d/%Y %H:%M:%S"}),
    ],
)
def test_what_is_told_or_guessed_reads_the_same_lives(workspace, tmp_path, text, hints):
    answer, found = read(workspace, write(tmp_path / "in", text), **hints)
    data = open_dataset(workspace, "data")
    assert (answer["events"], answer["rejected"], data.person_ids) == (2, 0, ["p", "q"])
    assert (found["first_time_s"], found["last_time_s"]) == (1, 2)
    assert found["read_as"]["time_unit"] == hints.get("time_unit", "s")


def test_guesses_say_what_they_were_made_from_and_what_was_told(workspace, tmp_path):
    answer, found = read(workspace, write(tmp_path / "in", "Person;time;item\n1.0;5;a1\n2.0;6;a2\n"))
    assert (
        answer["guesses"]
        == found["guesses"]
        == {
            "delimiter": {"value": ";", "from": "the first line"},
            "encoding": {"value": "utf-8", "from": "no byte order mark, and every line is UTF-8"},
            "header": {"value": True, "from": "the names in the first line"},
            "columns": {"value": {"person": "Person"}, "from": "their case"},
            "time": {"value": "s", "from": "the format: unix seconds, or ISO 8601"},
            "person_ids": {"value": "whole numbers", "from": "all 2 different ones"},
            "item_ids": {"value": "text", "from": "'a1' among 2 different ones"},
        }
    )
    hints = {"header": False, "time_unit": "ms", "delimiter": "|"}
    told = read(workspace, write(tmp_path / "told", "1.5|5000|7\n"), **hints)[0]["guesses"]
    assert (told["delimiter"], told["time"]) == ({"value": "|", "from": "told"}, {"value": "ms", "from": "told"})
    assert (told["header"]["from"], told["columns"]["from"]) == ("told", "their place")
    assert (told["person_ids"]["value"], told["item_ids"]["value"]) == ("numbers", "whole numbers")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_an_encoding_that_is_told_is_read(workspace, tmp_path, encoding):
    folder = write(tmp_path / "in", HEAD + "p,1,a,café\n", encoding=encoding)
    read(workspace, folder, encoding=encoding)
    assert "café" in open_dataset(workspace, "data").query_texts


@pytest.mark.parametrize("utf8", ["events", "items"])
def test_what_is_told_of_one_file_leaves_another_that_is_utf8_as_it_is(workspace, tmp_path, utf8):
    encodings = {"events": "cp1252", "items": "cp1252"} | {utf8: "utf-8"}
    write(tmp_path / "in", HEAD + "p,1,a,café\n", encoding=encodings["events"])
    write(tmp_path / "in", "item,title\na,Crème\n", "items.csv", encoding=encodings["items"])
    answer, _ = read(workspace, tmp_path / "in", encoding="cp1252")
    data = open_dataset(workspace, "data")
    assert (data.query_texts[1:], data.titles[1:]) == (["café"], ["Crème"])
    said = {"events": answer["guesses"]["encoding"], "items": answer["guesses"]["items_encoding"]}
    assert said.pop(utf8) == {
        "value": "utf-8",
        "from": "every line is UTF-8, which cp1252, as it was told, would misread",
    }
    assert list(said.values()) == [{"value": "cp1252", "from": "told"}]


@pytest.mark.parametrize(
    ("encoding", "text"), [("gbk", "模"), ("utf-16-le", "a"), ("iso2022_jp", "靴"), ("cp1252", "a")]
)
def test_what_is_told_holds_where_utf8_would_be_an_accident(workspace, tmp_path, encoding, text):
    """The bytes of all of them are UTF-8 too."""
    folder = write(tmp_path / "in", HEAD + f"p,1,a,{text}\n", encoding=encoding)
    (folder / "events.csv").read_bytes().decode("utf-8")
    answer, _ = read(workspace, folder, encoding=encoding)
    assert open_dataset(workspace, "data").query_texts[1:] == [text]
    assert answer["guesses"]["encoding"] == {"value": encoding, "from": "told"}


def test_packed_files_and_json_lines_are_read(workspace, tmp_path):
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b"person,time,item\np,1,a\n"))
    assert import_table(workspace, tmp_path / "events.csv.gz", "packed")["events"] == 1
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"person,time,item\np,1,a\n" * 500)[:60])
    with pytest.raises(CorruptFileError, match="cannot be unpacked"):
        import_table(workspace, tmp_path / "cut.csv.gz", "cut")
    lines = [{"person": "p", "time": 1, "item": 7.0}, {"person": "q", "time": 2, "item": 8}]
    write(tmp_path / "json", "\n".join(map(json.dumps, lines)), "events.jsonl")
    import_table(workspace, tmp_path / "json", "json")
    assert open_dataset(workspace, "json").item_ids[1:] == ["7", "8"]


def test_true_and_false_are_labels(workspace, tmp_path):
    text = "person,time,item,label\np,1,a,True\np,2,b,False\np,3,c,\np,4,d,maybe\n"
    answer, _ = read(workspace, write(tmp_path / "in", text))
    assert answer["rejected"] == 1
    assert open_dataset(workspace, "data").store.label.tolist() == [1, 0, -1]


def test_dates_read_as_seconds_are_doubted(workspace, tmp_path):
    folder = write(tmp_path / "in", "person,time,item\np,20210101,a\np,20210102,b\n")
    _, found = read(workspace, folder)
    assert [p["kind"] for p in found["problems"]][:1] == ["early_times"]
    _, found = read(workspace, folder, time_format="%Y%m%d")
    assert found["last_time_s"] - found["first_time_s"] == 86_400


@pytest.mark.parametrize(
    ("written", "formats"),
    [
        ("09/13/2020 12:00:00 PM", ["%m/%d/%Y %I:%M:%S %p"]),
        ("13.09.2020 18:30", ["%d.%m.%Y %H:%M"]),
        ("13/Sep/2020:12:26:40 +0200", ["%d/%b/%Y:%H:%M:%S %z"]),
        ("03/04/2020", ["%m/%d/%Y", "%d/%m/%Y"]),
        ("yesterday", []),
    ],
)
def test_times_that_cannot_be_read_are_told_with_the_format_that_reads_them(workspace, tmp_path, written, formats):
    folder = write(tmp_path / "in", f"person,time,item\np,1,a\np,{written},b\np,2020-09-13,c\n")
    _, found = read(workspace, folder)
    (line,) = [p for p in found["problems"] if p["kind"] == "unreadable_time"]
    assert line["example_rows"] == [2]
    for name in formats:
        assert f"--time-format '{name}'" in line["hint"]
        (folder / "events.csv").write_text(f"person,time,item\np,{written},b\n")
        assert read(workspace, folder, time_format=name)[0]["rejected"] == 0
    assert ("only you know which" in line["hint"]) == (len(formats) > 1)
    assert line["hint"].startswith("write times as") == (not formats)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"delimiter": "ab"}, "is not one character"),
        ({"encoding": "latin-99"}, "is not known"),
        ({"encoding": "hex"}, "is not known"),
        ({"encoding": "a\0b"}, "is not known"),
        ({"time_unit": "minutes"}, "is not known"),
        ({"time_format": "iso"}, "has no %"),
        ({"columns": ["person"]}, "is no pair"),
    ],
)
def test_a_hint_that_means_nothing_is_refused(told, words):
    with pytest.raises(ConfigError, match=words):
        make_hints(**told)


def test_a_file_of_hints_is_read_and_flags_come_first(tmp_path):
    (tmp_path / "hints.toml").write_text('delimiter = "tab"\nheader = false\n[columns]\nperson = "1"\n')
    found = make_hints(tmp_path / "hints.toml", columns=["item=3"], delimiter="|")
    assert (found.delimiter, found.header, dict(found.columns)) == ("|", False, {"person": "1", "item": "3"})
    (tmp_path / "bad.toml").write_text("colour = 1\n")
    with pytest.raises(ConfigError, match="'colour' is no hint"):
        make_hints(tmp_path / "bad.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(CorruptFileError, match="is no TOML"):
        make_hints(tmp_path / "deep.toml")


def test_ties_are_named_as_the_cause_where_no_event_lies_before_another(workspace, tmp_path):
    text = "person,time,item\n" + "".join(f"p{n % 3},7,i{n}\n" for n in range(30))
    import_table(workspace, write(tmp_path / "in", text), "data")
    dataset = open_dataset(workspace, "data")
    with pytest.raises(EmptyDataError) as caught:
        TrainingNegatives(dataset, position_split(dataset.store))
    assert "share one second" in caught.value.hint
