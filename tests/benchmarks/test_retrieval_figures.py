"""`bench retrieval`: every key of every row, and what must hold whatever the machine."""

from __future__ import annotations

import pytest

from benchmarks.retrieval import LENGTHS, MAIN, Bench, Size, advice, run
from benchmarks.retrieval_exact import Dense, bandwidth
from benchmarks.retrieval_protocol import paper_protocol

KEYS = {
    "length",
    "method",
    "stage",
    "layout",
    "bytes_per_event",
    "refine_bytes_per_event",
    "latency_us",
    "recall@100",
    "attention_mass",
    "speedup_over_exact",
    "speedup_over_distinct_exact",
    "scanned",
}


def by_name(rows: list[dict], stage: str, layout: str = "packed") -> dict[str, dict]:
    return {row["method"]: row for row in rows if row["stage"] == stage and row["layout"] == layout}


@pytest.fixture(scope="module")
def bench() -> Bench:
    one = {1_000: 1}
    size = Size(2_500, 600, (MAIN, "SymPQ16x8", "fused,SQ8"), one, {1_000: 4}, one)
    return Bench(size, lambda done, total, message: None)


@pytest.fixture(scope="module")
def rows(bench) -> list[dict]:
    found, batch = bench.measure(1_000)
    assert batch == []
    return found


def test_every_row_has_every_key(rows):
    for row in rows:
        assert set(row) >= KEYS and row["length"] == 1_000
        assert row["stage"] in ("scan", "refine") and row["layout"] in ("packed", "shared")
        assert row["latency_us"] > 0 and 0 <= row["recall@100"] <= 1 and row["attention_mass"] <= 1.0001


def test_every_method_has_its_rows(rows):
    assert set(by_name(rows, "scan")) == {"fused,exact", "exact", MAIN, "SymPQ16x8", "fused,SQ8"}
    assert set(by_name(rows, "scan", "shared")) == {"fused,exact", "exact", MAIN}
    assert set(by_name(rows, "refine")) == {MAIN, "SymPQ16x8", "fused,SQ8", "HNSW16", "LSH128"}


def test_refining_never_loses_and_query_aware_codes_beat_the_symmetric_scheme(rows):
    scan, refine = by_name(rows, "scan"), by_name(rows, "refine")
    assert all(refine[name]["recall@100"] >= scan[name]["recall@100"] for name in (MAIN, "SymPQ16x8", "fused,SQ8"))
    assert scan[MAIN]["bytes_per_event"] == scan["SymPQ16x8"]["bytes_per_event"] == 16
    assert scan[MAIN]["recall@100"] > scan["SymPQ16x8"]["recall@100"] + 0.1


def test_speed_is_told_against_the_fastest_exact_search(rows):
    exact, over_pairs = by_name(rows, "scan")["fused,exact"], by_name(rows, "scan", "shared")["fused,exact"]
    assert over_pairs["scanned"] < exact["scanned"] == 1_000
    assert exact["speedup_over_exact"] == pytest.approx(1) and exact["bytes_per_event"] == 256
    for row in rows:
        assert row["speedup_over_exact"] == pytest.approx(exact["latency_us"] / row["latency_us"])
        assert row["speedup_over_distinct_exact"] == pytest.approx(over_pairs["latency_us"] / row["latency_us"])


def test_lives_without_repeats_are_measured_in_both_layouts(bench):
    found = bench.without_repeats(1_000, rounds=1, each=4)
    assert {(row["layout"], row["stage"]) for row in found} == {
        (a, b) for a in ("packed", "shared") for b in ("scan", "refine")
    }
    assert all(row["length"] == 1_000 and row["speedup_over_exact"] > 0 and row["recall@100"] > 0.6 for row in found)


def test_the_fastest_way_counts():
    assert Dense.best({"fixed blas": 3.0, "fixed faiss": 2.0, "fixed torch": 9.0}, "fixed") == 2.0


def test_the_cross_over_is_read_off_the_rows():
    def row(length: int, stage: str, speedup: float) -> dict:
        return {
            "length": length, "method": MAIN, "stage": stage, "layout": "packed", "speedup_over_exact": speedup
        }  # fmt: skip

    made = [row(1_000, "scan", 0.5), row(8_192, "scan", 2), row(1_000, "refine", 0.5), row(8_192, "refine", 0.9)]
    found = advice(made)
    assert (found["crossover_scan"], found["crossover_refine"]) == (8_192, None)
    assert any("exact search is the default" in said for said in found["words"])


def test_memory_is_read_at_some_speed():
    assert bandwidth(16 * 1024 * 1024) > 0.1


def test_the_papers_protocol_is_reached_with_fixed_weights_at_16_bytes():
    (row,) = paper_protocol(["fused,SQ8"])
    assert row["bytes_per_event"] == 16 and row["recall@32"] >= 0.985


@pytest.mark.slow
def test_the_papers_scheme_needs_64_bytes_for_that():
    narrow, wide = paper_protocol(["SymPQ16x8", "SymPQ64x8"])
    assert (narrow["bytes_per_event"], wide["bytes_per_event"]) == (16, 64)
    assert narrow["recall@32"] < 0.7 and 0.95 < wide["recall@32"] < 0.99


@pytest.mark.slow
def test_without_full_every_length_is_there():
    answer = run(False)
    assert {row["length"] for row in answer["rows"]} == set(LENGTHS)
    assert {row["length"] for row in answer["batch"]} == {10_000, 100_000, 1_000_000}
    assert answer["machine"]["threads"] == 1 and answer["paper_protocol"]
