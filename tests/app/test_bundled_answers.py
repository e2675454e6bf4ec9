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
        bundle.ask(answers)
        made = {path.name: read_json(path)["answer"] for path in answers.iterdir()}
    shipped = {path.name: read_json(path)["answer"] for path in waiting.bundled().iterdir()}
    assert made.keys() == shipped.keys(), "made from another run or sample: python -m app.work.bundle"
    for name, answer in made.items():
        alike = says_the_same if "said" in answer else explains_the_same if "lost_in" in answer else same
        assert alike(answer, shipped[name]), f"{name}: raise waiting.FORMAT and run python -m app.work.bundle"


def says_the_same(one, other) -> bool:
    """Answers about a target, whose texts may be encoded to other last digits: near ties may fall otherwise."""
    close = ("recall", "attention_mass", "interest_error", "logit_exact", "logit_approx")
    kept = [[{row["event"] for row in answer["said"][side]} for side in ("exact", "approx")] for answer in (one, other)]
    facts = ("at_event", "at_time_s", "visible_events", "bytes_per_event", "latency_us")
    return (
        all(one[name] == other[name] for name in ("span", "keep"))
        and all(one["said"][name] == other["said"][name] for name in facts)
        and all(one["said"][name] == pytest.approx(other["said"][name], abs=0.02) for name in close)
        and all(len(a & b) >= 0.95 * len(a | b) for a, b in zip(*kept, strict=True))
    )


def explains_the_same(one, other) -> bool:
    """Reasons for the same event, to the same digits."""
    facts = ("event", "head", "lost_in", "code")
    scores = ("score_exact", "score_approx")
    return all(one[name] == other[name] for name in facts) and all(
        one[name] == pytest.approx(other[name], rel=0.01) for name in scores
    )


def same(one, other) -> bool:
    """Equal, numbers to what another processor may round."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, rel=1e-3, abs=1e-4) if isinstance(one, float) else one == other
