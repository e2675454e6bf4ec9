"""The generated catalogue is what it says, a step over its limit is stopped, and the committed figures are whole."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.catalogue import steps, watched, write_table
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report

RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "catalogue.json"


def test_every_item_is_met_and_has_a_title_and_a_category(workspace, tmp_path):
    assert write_table(tmp_path / "in", 300) == 450
    answer = import_table(workspace, tmp_path / "in", "large")
    assert (answer["events"], answer["items"], answer["rejected"]) == (450, 300, 0)
    found = report(open_dataset(workspace, "large"))
    assert (found["items_never_met"], found["items_with_text"]) == (0, 300) and found["events_with_query"] > 0


def test_a_step_over_its_memory_is_stopped_and_says_so(workspace, tmp_path):
    write_table(tmp_path / "in", 300)
    found = watched(steps(tmp_path / "in")[0], workspace.root, 10)
    assert "at most 10 MB were allowed" in found["error"] and not (workspace.datasets / "large").exists()


def test_the_committed_figures_have_every_step_within_the_limit():
    for size in json.loads(RESULT.read_text())["sizes"]:
        rows = size["rows"]
        assert [row["step"] for row in rows] == [words[0] for words in steps(Path("in"))][: len(rows)]
        for row in rows:
            assert row["wall_s"] > 0 and ("error" in row or 0 < row["private_mb"] <= size["most_mb"])
