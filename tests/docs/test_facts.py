"""The figures that pages quote are what the commands answer today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seminar_core.search.study import open_study

ROOT = Path(__file__).resolve().parents[2]
# Processors round differently: a few events or items of the sample may change sides.
SLACK = {"logit_exact": 0.02, "logit_approx": 0.02}


def numbers(found: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every value of nested facts under the names that lead to it."""
    if isinstance(found, dict):
        return {place: value for name, row in found.items() for place, value in numbers(row, (*path, name)).items()}
    if isinstance(found, list):
        return {p: v for n, row in enumerate(found) for p, v in numbers(row, (*path, str(n))).items()}
    return {path: found}


def test_the_facts_of_the_cards_and_of_the_method_are_answered_again(make, encoded, tmp_path):
    kept = json.loads((ROOT / "docs" / "figures" / "facts.json").read_text(encoding="utf-8"))
    refining = kept.pop("refining")
    study = open_study(encoded, make.RUN)
    facts, figure = make.quick_facts(encoded, study)
    old, new = numbers(kept), numbers(facts)
    assert len(old) > 90 and old.keys() == new.keys() and len(figure.data) > 10
    for place, value in old.items():
        if isinstance(value, float):
            assert new[place] == pytest.approx(value, abs=SLACK.get(place[-1], 0.01)), f"{place}: make figures"
        elif place[-1] not in ("says", "bytes", "person"):  # sentences hold rounded numbers, which are compared above
            assert new[place] == value, f"{place}: make figures"
    shown = make.one_life_figure(study)
    assert {trace.name.split(" (")[0] for trace in shown.data} >= {"kept", "lost", "gained"}
    assert len(make.refining_figure(refining).data) == len(make.SPECS)
    rows = [row for row in refining["rows"] if row["spec"] == "QC64,RQ32x4fs"]
    again = make.refining(study, ("QC64,RQ32x4fs",))
    assert again["people"] == refining["people"]
    for row, now in zip(rows, again["rows"], strict=True):
        assert now["shortlist"] == row["shortlist"] and now["recall"] == pytest.approx(row["recall"], abs=0.01)


def test_pages_quote_the_sentence_of_the_answer():
    said = json.loads((ROOT / "docs" / "figures" / "facts.json").read_text(encoding="utf-8"))["one_life"]
    for page in ("start.md", "method.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert said["scan"]["says"] in text and said["refined"]["says"] in text


def test_the_prose_around_the_figures_says_what_they_say():
    """The method and the model card draw conclusions; they are drawn from these facts again."""
    facts = json.loads((ROOT / "docs" / "figures" / "facts.json").read_text(encoding="utf-8"))
    before, after = facts["modalities"]["before"], facts["modalities"]["after"]
    assert all(after["recall@10"][p] > before["recall@10"][p] for p in before["recall@10"])
    assert all(after["heldout_recall@10"][p] > before["heldout_recall@10"][p] for p in before["recall@10"])
    for pair, gap in after["centroid_gap"].items():
        assert (gap > before["centroid_gap"][pair]) == ("I" in pair), pair  # with the image: further apart
    assert after["mean_gap"] > before["mean_gap"] and before["classifier"] - 0.03 < after["classifier"]
    scan = facts["one_life"]["scan"]
    assert scan["recall"] == pytest.approx(0.9, abs=0.005) and 0.99 < scan["attention_mass"] < 1
    assert all(row["recall"] == 1 for row in facts["refining"]["rows"] if row["shortlist"] == 4)
    assert facts["quality"]["cold"]["MRR"] < facts["quality"]["metrics"]["MRR"]
