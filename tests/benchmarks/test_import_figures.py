"""The import benchmark runs, on a small log, and names every figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import importing as import_benchmark


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_small_log_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(import_benchmark, "LONG_LIFE", 3_000)
    row = import_benchmark.measure_import(tmp_path, 2, ending)
    assert (row["format"], row["events"], row["people"]) == (ending, 7_000, 2)
    figures = ("seconds", "events_per_s", "peak_mb", "life_2000_ms", "life_100000_ms", "page_50_ms", "page_2000_ms")
    assert all(row[name] > 0 for name in figures)


@pytest.mark.slow
def test_twenty_million_events_are_imported_fast_in_bounded_memory() -> None:
    command = [sys.executable, "-m", "seminar_core", "bench", "import", "--full", "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # its peak memory is its own
    for row in json.loads(answer.stdout)["rows"]:
        assert row["events"] >= 20_000_000
        assert row["peak_mb"] < 2_000
        assert row["events_per_s"] >= 500_000
        assert row["life_2000_ms"] < 5
        assert row["life_100000_ms"] < 50
