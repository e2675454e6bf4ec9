"""The answers that come with the sample are those that would be given now, under the keys that pages ask for."""

from __future__ import annotations

import pytest

from app.work import bundle, waiting
from app.work.desk import Desk
from seminar_core.files import read_json


def test_the_samples_answers_are_what_is_answered_now(tmp_path, monkeypatch):
    with bundle.fresh(tmp_path) as answers:
        kept = waiting.Kept(answers)
        monkeypatch.setattr(waiting, "desk", lambda: Desk(kept, processes=0))
        bundle.ask()
        made = {path.name: read_json(path)["answer"] for path in answers.iterdir()}
    shipped = {path.name: read_json(path)["answer"] for path in waiting.bundled().iterdir()}
    assert made.keys() == shipped.keys(), "made from another run or sample: python -m app.work.bundle"
    for name, answer in made.items():
        assert same(answer, shipped[name]), f"{name}: raise waiting.FORMAT and run python -m app.work.bundle"


def same(one, other) -> bool:
    """Equal, numbers to what another processor may round."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, rel=1e-3, abs=1e-4) if isinstance(one, float) else one == other
