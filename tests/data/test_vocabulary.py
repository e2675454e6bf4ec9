"""Vocabularies: natural order, hashed words, attribute values."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from seminar_core.data.vocabulary import (
    QUERY_BUCKETS,
    first_value_rows,
    natural_order,
    query_token_table,
    value_table,
    word_bucket,
)


def test_natural_order_compares_numbers_as_numbers() -> None:
    assert natural_order(["10", "9", "2"]) == ["2", "9", "10"]
    assert natural_order(["u10", "u9", "a1b2", "a1b10", "u"]) == ["a1b2", "a1b10", "u", "u9", "u10"]
    assert natural_order(["01", "1", "001"]) == ["001", "01", "1"]
    assert natural_order(["x", "7", "²", "٣"]) == natural_order(["²", "٣", "x", "7"])


@given(st.lists(st.text(max_size=5), unique=True))
def test_natural_order_does_not_depend_on_the_order_read(texts: list[str]) -> None:
    shuffled = random.Random(0).sample(texts, len(texts))
    assert natural_order(shuffled) == natural_order(texts)


def test_words_are_hashed_without_case_and_zero_is_padding() -> None:
    table = query_token_table(["", "Red SHOE", "shoe", "a b c d e f g h"])
    assert table.shape == (4, 6)
    assert table[0].tolist() == [0] * 6
    assert table[1, 1] == table[2, 0] == word_bucket("shoe")
    assert (table[3] > 0).all()
    assert table.max() <= QUERY_BUCKETS


def test_the_bucket_of_a_word_is_the_same_on_every_machine() -> None:
    assert (word_bucket("shoe"), word_bucket("tür")) == (28_091, 18_398)


def test_values_are_numbered_field_by_field_and_padded_with_zero() -> None:
    fields = {"category": [["b"], [], ["a", "b", "a"]], "brand": [["b"], ["b"], []]}
    table, vocabulary = value_table(fields, 3)
    assert vocabulary == [("category", "a"), ("category", "b"), ("brand", "b")]
    assert table.tolist() == [[0, 0], [2, 3], [3, 0], [1, 2]]
    assert value_table({}, 2)[0].tolist() == [[0], [0], [0]]


def test_the_category_of_an_item_is_its_first_value() -> None:
    rows, names = first_value_rows([["b", "a"], [], ["a"]], 3)
    assert (rows.tolist(), names) == ([0, 2, 0, 1], ["", "a", "b"])
    assert first_value_rows([], 2)[0].tolist() == [0, 0, 0]
