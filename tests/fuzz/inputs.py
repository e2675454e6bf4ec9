"""What hostile or damaged input looks like: strategies for files, links, words and settings."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image

ENDINGS = ("csv", "tsv", "jsonl", "csv.gz", "csv.zst", "jsonl.gz", "parquet")
NASTY = (
    "", " ", "0", "-1", "1", "1e999", "nan", "inf", "99999999999999999999999", "0x10", "1.5", "true", "None",
    "p1", "i1", "tiny", "run", "psu", "nowhere", "sample", "../x", "/", "a/b", "a" * 300, "é", "\u202e", "'", '"',
    "%", "=", ",", "a,b", "a=b", "PQ16x8", "PQ4x4", "QC12,RQ4x4fs", "PQ0x0", "PQ99999999x8", "items",
    "people", "end", "last", "best", "step:9", "json", "2024-01-01", "[", "{}", "--", "-x",
    "\n", "\t", "<script>", "q,a,t,i",
)  # fmt: skip
nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))
NAMES = (
    "person", "time", "item", "query", "action", "label", "title", "image", "category", "Person", " time ",
    "__row", "__problem", "__extra", "__item", "file_row_number", "filename", "e_time_s", "row", "", "a" * 300, 'x"y',
    "x'y", "\0", "ä", "item_row", "events", "categories", "image_state", "column1", "cextra", "c0",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file as it is brought: its name and its bytes."""

    name: str
    data: bytes

    def __repr__(self) -> str:
        return f"File({self.name!r}, {self.data!r})"


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes after a few accidents: flips, cuts, repeats, foreign bytes."""
    found = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        if not found:
            break
        at = draw(st.integers(0, len(found) - 1))
        to = min(len(found), at + draw(st.integers(1, 24)))
        accident = draw(st.sampled_from(("flip", "set", "cut", "repeat", "insert", "end")))
        if accident == "flip":
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif accident == "set":
            found[at:to] = bytes([draw(st.sampled_from((0, 10, 13, 34, 44, 92, 128, 255)))]) * (to - at)
        elif accident == "cut":
            del found[at:to]
        elif accident == "repeat":
            found[at:at] = found[at:to]
        elif accident == "insert":
            found[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            del found[at:]
    return bytes(found)


cells = st.one_of(
    st.sampled_from(
        ("p", "q", "1", "2", "1.0", "", "nan", "1700000000", "2024-01-01T00:00:00Z", "-5", "a,b", 'x"', '"')
    ),
    st.text(max_size=6),
)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """A header, mostly with what events need, and rows."""
    odd = draw(st.lists(st.sampled_from(NAMES), max_size=3))
    header = draw(st.permutations(["person", "time", "item", *odd])) if draw(st.integers(0, 9)) else odd
    line = st.tuples(*[cells] * len(header)).map(list)
    return list(header), draw(st.lists(line, max_size=8))


def plain_text(header: list[str], lines: list[list[str]], delimiter: str) -> bytes:
    """Joined without any care, as a careless program writes them."""
    return "\n".join(delimiter.join(line) for line in [header, *lines]).encode("utf-8", "replace")


ARRAYS: tuple[Any, ...] = (
    lambda n: pa.array([f"p{i % 3}" for i in range(n)]),
    lambda n: pa.array(range(n), pa.int64()),
    lambda n: pa.array([1_700_000_000 + i for i in range(n)], pa.uint64()),
    lambda n: pa.array([float(i) for i in range(n)]),
    lambda n: pa.array([float("nan")] * n),
    lambda n: pa.array([2.0**i for i in range(n)], pa.float32()),
    lambda n: pa.array([None] * n, pa.null()),
    lambda n: pa.array([True] * n),
    lambda n: pa.array([Decimal("1.50")] * n, pa.decimal128(38, 2)),
    lambda n: pa.array([10**18 * i for i in range(n)], pa.timestamp("ns")),
    lambda n: pa.array([i for i in range(n)], pa.timestamp("us", tz="Asia/Tokyo")),
    lambda n: pa.array([i - 1 for i in range(n)], pa.date32()),
    lambda n: pa.array([i for i in range(n)], pa.time64("us")),
    lambda n: pa.array([i for i in range(n)], pa.duration("s")),
    lambda n: pa.array([b"\xff\x00" * i for i in range(n)], pa.binary()),
    lambda n: pa.array([[1, 2]] * n, pa.list_(pa.int32())),
    lambda n: pa.array([["a", None]] * n, pa.list_(pa.string())),
    lambda n: pa.array([{"bytes": b"x", "path": None}] * n),
    lambda n: pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int32())),
    lambda n: pa.array([f"p{i % 2}" for i in range(n)]).dictionary_encode(),
    lambda n: pa.StringArray.from_buffers(n, pa.py_buffer(np.arange(n + 1, dtype=np.int32)), pa.py_buffer(b"\xff" * n)),
)


def parquet_of(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; empty where the library refuses to write it."""
    out = io.BytesIO()
    try:
        pq.write_table(table, out)
    except (pa.ArrowException, ValueError, OSError):
        return b""
    return out.getvalue()


@st.composite
def parquets(draw: st.DrawFn, needed: tuple[str, ...] = ("person", "time", "item")) -> bytes:
    """A Parquet whose columns have any type."""
    size = draw(st.integers(0, 6))
    names = [*needed, *draw(st.lists(st.sampled_from(NAMES), max_size=2))]
    fitting = {"person": ARRAYS[0], "item": ARRAYS[0], "time": ARRAYS[1]}
    kinds = [fitting[n] if n in fitting and draw(st.booleans()) else draw(st.sampled_from(ARRAYS)) for n in names]
    return parquet_of(pa.Table.from_arrays([kind(size) for kind in kinds], names=names))


@st.composite
def table_files(draw: st.DrawFn, stem: str = "events") -> File:
    """An events or items file of any kind, whole or damaged."""
    ending = draw(st.sampled_from(ENDINGS))
    if ending == "parquet":
        data = draw(parquets(("item",) if stem == "items" else ("person", "time", "item")))
    else:
        header, lines = draw(rows())
        if ending.startswith("jsonl"):
            data = "\n".join(json.dumps(dict(zip(header, line, strict=True))) for line in lines).encode()
        else:
            data = plain_text(header, lines, "\t" if ending == "tsv" else draw(st.sampled_from((",", ";", "|"))))
    if not ending.endswith((".gz", ".zst")):
        return File(f"{stem}.{ending}", draw(damaged(data)))
    data = draw(damaged(data)) if draw(st.booleans()) else data
    packed = gzip.compress(data, mtime=0) if ending.endswith(".gz") else pa.compress(data, "zstd", asbytes=True)
    return File(f"{stem}.{ending}", draw(damaged(packed)))


@cache
def whole_pictures() -> tuple[bytes, ...]:
    """Small pictures of every format and mode that is read."""
    found = []
    for kind, modes in (
        ("PNG", ("RGB", "RGBA", "P", "L", "LA", "I;16", "1")),
        ("JPEG", ("RGB", "L", "CMYK")),
        ("GIF", ("P",)),
        ("WEBP", ("RGB", "RGBA")),
        ("BMP", ("RGB", "L")),
    ):
        for mode in modes:
            out = io.BytesIO()
            image = Image.new(mode, (9, 7)) if mode == "I;16" else Image.effect_noise((9, 7), 64).convert(mode)
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(out, kind, **({"exif": exif} if kind in ("JPEG", "WEBP") else {}))
            found.append(out.getvalue())
    return tuple(found)


pictures = st.one_of(
    st.sampled_from(whole_pictures()).flatmap(damaged),
    st.binary(max_size=64),
    st.binary(max_size=40).map(b"BM".__add__),
)


@st.composite
def vector_files(draw: st.DrawFn) -> bytes:
    """A file of given vectors, whole or damaged."""
    size, width = draw(st.integers(0, 6)), draw(st.integers(0, 4))
    ids = pa.array([f"i{n}" for n in range(size)]) if draw(st.booleans()) else draw(st.sampled_from(ARRAYS))(size)
    kind = draw(st.sampled_from((pa.float32(), pa.float64(), pa.int8(), pa.float16(), pa.string(), pa.bool_())))
    value = {pa.string(): "x", pa.bool_(): True}.get(kind, np.float16(1) if kind == pa.float16() else 1)
    vectors = pa.array([[value] * width for _ in range(size)], pa.list_(kind))
    if draw(st.integers(0, 3)) == 0:
        vectors = draw(st.sampled_from(ARRAYS))(size)
    columns = {"item": ids, "vector": vectors}
    if draw(st.booleans()):
        columns["query"] = draw(st.sampled_from(ARRAYS))(size)
    if draw(st.integers(0, 9)) == 0:
        del columns[draw(st.sampled_from(sorted(columns)))]
    return draw(damaged(parquet_of(pa.table(columns))))


toml_values = st.recursive(
    st.one_of(
        nasty.map(json.dumps), st.integers().map(str), st.floats().map(repr), st.sampled_from(("true", "[]", "{}"))
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
    max_leaves=4,
)


@st.composite
def toml_files(draw: st.DrawFn, names: tuple[str, ...]) -> bytes:
    """A TOML file with known and unknown keys, whole, damaged, or nested out of reason."""
    if draw(st.integers(0, 19)) == 0:
        depth = draw(st.sampled_from((50, 5_000)))
        lists, tables = b"a = " + b"[" * depth + b"]" * depth, b"a = " + b"{a=" * depth + b"1" + b"}" * depth
        return draw(st.sampled_from((lists, tables, b".".join([b"columns"] * depth) + b" = 1")))
    key = st.sampled_from((*names, "columns", "odd"))
    lines = draw(st.lists(st.tuples(key, toml_values).map(" = ".join), max_size=4, unique_by=lambda x: x.split()[0]))
    if draw(st.booleans()):
        lines += ["[columns]", *(f"{json.dumps(draw(nasty))} = {draw(toml_values)}" for _ in range(2))]
    return draw(damaged("\n".join(lines).encode("utf-8", "replace")))
