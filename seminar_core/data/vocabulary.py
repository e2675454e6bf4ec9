"""Vocabularies: from the strings of the source data to the rows that every table is indexed by.

Data, first step of an import. Rows are a function of the content alone, never of the order in which it was read: people
in natural order of their ids ("u2" before "u10"), queries in code-point order, catalogue items in the order of the item
file and behind them, in natural order, those that only events name. Row 0 is reserved (`contracts.PAD`).

Query words are hashed rather than counted (Weinberger et al. 2009), so that a query never seen in training still has
tokens; blake2b makes the bucket the same on every machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import numpy as np

from ..contracts import PAD

QUERY_BUCKETS = 2**15
QUERY_TOKENS = 6
WHITE = "".join(map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029)))
WHITE += "\u202f\u205f\u3000\ufeff"
"""Blanks, which belong to no id and no text: cut off at both ends wherever one is read."""
WORD = re.compile(r"\w+")
DIGITS = re.compile(r"(\d+)")


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that compares runs of digits as numbers; equal keys ("1", "01") fall back to the text itself."""
    parts = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in DIGITS.split(text) if p]
    return parts, text


def natural_order(texts: Iterable[str]) -> list[str]:
    """`texts` in natural order: "2" before "10", "u9" before "u10"."""
    texts = list(texts)
    if all(t.isascii() and t.isdecimal() for t in texts):
        return sorted(texts, key=lambda t: (int(t), t))
    return sorted(texts, key=natural_key)


def words(text: str) -> list[str]:
    """Lower-case words of a query, in order."""
    return WORD.findall(text.lower())


def word_bucket(word: str) -> int:
    """The bucket of a word, 1..`QUERY_BUCKETS`; 0 stays free for padding."""
    digest = hashlib.blake2b(word.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % QUERY_BUCKETS + 1


def query_token_table(texts: Sequence[str], width: int = QUERY_TOKENS) -> np.ndarray:
    """Hashed words of every query.

    Args:
        texts: query texts by query row; row 0 is "" (no query).
        width: words kept per query; longer queries lose their tail.

    Returns:
        (Q+1, width) int32 buckets, 0 where a query has fewer words.
    """
    table = np.full((len(texts), width), PAD, dtype=np.int32)
    known: dict[str, int] = {}
    for row, text in enumerate(texts):
        for column, word in enumerate(words(text)[:width]):
            bucket = known.get(word)
            if bucket is None:
                bucket = known[word] = word_bucket(word)
            table[row, column] = bucket
    return table


def value_table(fields: dict[str, list[list[str]]], n_items: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Number the attribute values and list them per item.

    Args:
        fields: for each attribute field the values of every item, items in row order from row 1.
        n_items: I.

    Returns:
        (I+1, V) int32 value rows padded with 0, V the most values any item has (at least 1), and the vocabulary as
        (field, value) pairs; pair v-1 is value row v. Values are numbered field by field in natural order.
    """
    vocabulary = [(f, v) for f, lists in fields.items() for v in natural_order({v for vs in lists for v in vs})]
    row_of = {pair: row for row, pair in enumerate(vocabulary, start=1)}
    per_item = [
        [row_of[f, v] for f, lists in fields.items() for v in dict.fromkeys(lists[item])] for item in range(n_items)
    ]
    width = max((len(rows) for rows in per_item), default=0) or 1
    table = np.full((n_items + 1, width), PAD, dtype=np.int32)
    for row, values in enumerate(per_item, start=1):
        table[row, : len(values)] = values
    return table, vocabulary


def first_value_rows(lists: list[list[str]], n_items: int) -> tuple[np.ndarray, list[str]]:
    """One category per item: the first value of the category field.

    Returns:
        (I+1,) int32 rows into the names, 0 where an item has none; and the names, name 0 being "".
    """
    names = natural_order({vs[0] for vs in lists if vs})
    row_of = {name: row for row, name in enumerate(names, start=1)}
    rows = np.full(n_items + 1, PAD, dtype=np.int32)
    for item, values in enumerate(lists[:n_items], start=1):
        rows[item] = row_of[values[0]] if values else PAD
    return rows, ["", *names]
