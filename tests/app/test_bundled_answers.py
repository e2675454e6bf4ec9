"""The answers that come with the sample are those that would be given now, under the keys that pages ask for."""

from __future__ import annotations

import re

import pytest

from app.work import bundle, waiting
from app.work.desk import Desk
from seminar_core.files import read_json


def test_the_samples_answers_are_what_is_answered_now(tmp_path, monkeypatch):
    with bundle.fresh(tmp_path) as answers:
        kept = waiting.Kept(answers)
        monkeypatch.setattr(waiting, "desk", lambda: Desk(kept, processes=0))
        monkeypatch.setattr(waiting, "_opened", lambda root: waiting.Kept(answers / waiting.OPENED))
        bundle.ask(answers)
        made = {path.name: read_json(path)["answer"] for path in answers.rglob("*.json")}
    shipped = {path.name: read_json(path)["answer"] for path in waiting.bundled().iterdir()}
    assert made.keys() == shipped.keys(), "made from another run or sample: python -m app.work.bundle"
    for name, answer in made.items():
        alike = says_the_same if "said" in answer else near if "lost_in" in answer else same
        assert alike(answer, shipped[name]), f"{name}: raise waiting.FORMAT and run python -m app.work.bundle"


def says_the_same(one, other) -> bool:
    """Answers about a target, whose texts may be encoded to other last digits: near ties may fall otherwise."""
    said, shipped = one["said"], other["said"]
    ranks = {"rank", "heads"}  # of these near ties decide
    common = [
        ({row["event"]: row for row in said[side]}, {row["event"]: row for row in shipped[side]})
        for side in ("exact", "approx")
    ]
    return (
        all(one[name] == other[name] for name in ("span", "keep"))
        and near(one["near"], other["near"])
        and said.keys() == shipped.keys()
        and all(near(said[name], shipped[name]) for name in said if name not in ("exact", "approx", "says"))
        and re.sub(r"[\d.]+", "#", said["says"]) == re.sub(r"[\d.]+", "#", shipped["says"])
        and all(len(a.keys() & b.keys()) >= 0.95 * len(a.keys() | b.keys()) for a, b in common)
        and all(
            a[event].keys() == b[event].keys()
            and all(near(a[event][name], b[event][name]) for name in a[event].keys() - ranks)
            for a, b in common
            for event in a.keys() & b.keys()
        )
    )


def near(one, other) -> bool:
    """Equal in kind, in most of its parts, and in numbers to a hundredth of them."""
    if isinstance(one, dict):
        parts = one.keys() & other.keys()
        return len(parts) >= 0.95 * len(one.keys() | other.keys()) and all(near(one[n], other[n]) for n in parts)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(near, one, other))
    return one == pytest.approx(other, rel=0.01, abs=0.002) if isinstance(one, float) else one == other


def same(one, other) -> bool:
    """Equal, numbers to what another processor may round."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, rel=1e-3, abs=1e-4) if isinstance(one, float) else one == other
