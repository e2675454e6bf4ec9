"""Specification strings: read, printed back, and refused with both numbers or the grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seminar_core.retrieval.spec import GRAMMAR, KNOWN, Spec, SpecError, check_fits, parse


def test_the_default_has_32_code_words_of_4_bits_after_a_transform_to_128_dimensions():
    assert parse("QC128,RQ32x4fs") == Spec("RQ", 32, 16, True, dims=128)
    assert parse("QC128,RQ32x4fs").code_bytes == 16


@pytest.mark.parametrize("text", [k for k in KNOWN if k not in ("HNSW", "LSH")])
def test_known_specifications_print_as_they_were_written(text):
    assert str(parse(text)) == text


def test_defaults_are_printed():
    assert (str(parse("HNSW")), str(parse("LSH"))) == ("HNSW16", "LSH128")


@given(
    fused=st.booleans(),
    dims=st.integers(0, 512),
    opq=st.booleans(),
    coder=st.sampled_from(["PQ16x8", "PQ8x4", "PQ8x4fs"]),
)
def test_printing_and_reading_are_inverse(fused, dims, opq, coder):
    text = ",".join((["fused"] * fused) + ([f"QC{dims}"] if dims else []) + (["OPQ"] * opq) + [coder])
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


def test_a_folder_name_has_no_comma():
    assert parse("QC96,OPQ,PQ16x8").folder == "QC96.OPQ.PQ16x8"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PQ16x7", "7 bits"),
        ("FOO", "unknown part 'FOO'"),
        ("", "unknown part ''"),
        ("OPQ,QC96,PQ16x8", "misplaced part 'QC96'"),
        ("PQ16x8,OPQ", "unknown part 'OPQ'"),
        ("QC0,PQ16x8", "QC0 keeps no dimension"),
        ("PQ0x8", "0 sub-spaces"),
        ("PQ16x8fs", "fs scans an even number of 4-bit"),
        ("RQ15x4fs", "fs scans an even number of 4-bit"),
        ("VQ1", "2 to 65536"),
        ("LSH0", "no bit"),
        ("HNSW1", "2 links"),
        ("OPQ,RQ16x8", "OPQ is a rotation for PQ"),
        ("QC32,HNSW", "without transforms"),
        ("fused,SymPQ16x8", "without transforms"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text, says):
    with pytest.raises(SpecError, match=says) as caught:
        parse(text)
    assert caught.value.kind == "specification"


def test_the_hint_is_the_grammar():
    with pytest.raises(SpecError) as caught:
        parse("nonsense")
    assert GRAMMAR in caught.value.hint


@pytest.mark.parametrize(
    ("text", "width", "numbers"),
    [
        ("QC128,RQ32x4fs", 16, ("128", "64")),
        ("PQ16x8", 10, ("16", "40")),
        ("QC96,OPQ,PQ20x8", 64, ("20", "96")),
        ("SymPQ16x8", 6, ("16", "6")),
        ("fused,PQ16x8", 8, ("16", "8")),
    ],
)
def test_a_specification_that_does_not_fit_names_both_numbers(text, width, numbers):
    with pytest.raises(SpecError) as caught:
        check_fits(parse(text), channels=4, width=width)
    assert all(number in caught.value.message for number in numbers)


def test_a_specification_that_fits_passes():
    for text in KNOWN:
        check_fits(parse(text), channels=4, width=64)
