"""The answer to one question as its component gets it, and what the component asks for.

The numbers are the command `retrieve`'s; this module only arranges them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import loaders, state, widgets
from app.components.answer import answer, payload
from app.palette import VERDICTS
from app.stations.retrieval import controls
from app.stations.retrieval import loaders as sources
from app.stations.retrieval.kept_card import METRICS, described
from app.work.waiting import Pending
from seminar_core.contracts import CHANNEL_NAMES, CHANNELS
from seminar_core.errors import SeminarError
from seminar_core.search.answer import Answered
from seminar_core.search.question import Question

KEY = "answer"
SHOWN, MORE = 12, 24
MOST_SHOWN, MOST_PICTURES = 2_000, 20_000
TURN, CARDS, SENT = (f"answer_{name}" for name in ("turn", "cards", "pictures"))


def draw(name: str, run: str, question: Question, answered: Answered | None) -> None:
    """Mount the component; without an answer it has K and the weights alone, so that they can be set right."""
    given: dict[str, Any] = {"headline": None}
    if answered is not None:
        times = wall_clock_ms(name, answered)
        titles, arrays = payload.marks(answered.verdicts, times, [t or "" for t in export(name, answered).title])
        groups, pictures = lists(name, answered)
        given = {
            "headline": headline(run, question, answered),
            "lanes": {**lanes(name, answered), "titles": titles},
            "arrays": arrays,
            "lists": groups,
            "pictures": pictures,
        }
    turn = int(st.session_state.get(TURN, 0))
    answer(payload.pack(key=KEY, turn=turn, dials=dials(run, question), **given), key=KEY, on_ask=took)


def took(asked: dict[str, Any]) -> None:
    """Do what the browser asked for."""
    st.session_state[TURN] = int(asked["turn"])
    what, value = asked["what"], asked["value"]
    gesture, done = str(asked["gesture"]), bool(asked["done"])
    if what == "weights":
        weights = tuple(float(np.clip(round(float(w), 2), 0, 1)) for w in value)
        state.put_moving({"weights": weights if len(weights) == len(CHANNELS) else ()}, gesture=gesture, done=done)
    elif what == "k":
        state.put_moving({"k": int(np.clip(int(value), 1, controls.MOST_K))}, gesture=gesture, done=done)
    elif what == "event":
        state.put(event=(str(int(value)),))
    elif what == "period":
        low, high = (widgets.seconds(float(time), state.get("zone")) for time in value)
        state.put(hide_from_s=low, hide_to_s=high)
    elif what == "more":
        st.session_state[CARDS] = min(st.session_state.get(CARDS, SHOWN) + MORE, MOST_SHOWN)
    elif what == "pictures":
        for picture in value:
            st.session_state.get(SENT, {}).pop(str(picture), None)


def dials(run: str, question: Question) -> dict[str, Any]:
    """K and the weights as they are set."""
    own = sources.run_facts(run)["own_weights"]
    used = question.weights or own
    return {
        "k": question.k,
        "most_k": controls.MOST_K,
        "weights": [
            {
                "channel": channel,
                "name": CHANNEL_NAMES[channel].capitalize(),
                "value": float(np.clip(round(weight, 2), 0, 1)),
                "own": mine,
            }
            for channel, weight, mine in zip(CHANNELS, used, own, strict=True)
        ],
        "masked": list(question.mask),
        "own": question.weights is None,
    }


def headline(run: str, question: Question, answered: Answered) -> dict[str, Any]:
    """The answer in a sentence, the numbers behind it, and what the last setting changed."""
    said = answered.said
    before = controls.previous(question)
    other = None
    if before is not None:
        with suppress(SeminarError, Pending):  # what was wrong with the setting before has been said, and is over
            other = sources.answered(run, before).said
    latency, heads = said["latency_us"], answered.heads
    times = " · ".join(f"{k} {v:,.0f} µs" for k, v in latency.items() if v is not None)
    facts = [
        f"run {run}",
        f"{said['visible_events']:,} visible events strictly before {moment_words(said)}",
        f"K = {answered.keep} per head, {heads} head{'' if heads == 1 else 's'}",
        f"one target, measured for this answer: {times}" if times else "",
    ]
    return {
        "says": said["says"],
        "numbers": [
            {
                "label": label,
                "value": "-" if said[key] is None else style.format(said[key]),
                "change": change(said[key], None if other is None else other[key], style),
                "help": help_text,
            }
            for label, key, style, help_text in METRICS
        ],
        "facts": " · ".join(fact for fact in facts if fact),
        "changed": None if other is None or before is None else difference(before, question, other, said),
    }


def change(now: float | None, before: float | None, style: str) -> str:
    """What a number moved by; empty where it did not, to the digits that are shown."""
    if now is None or before is None or now == before:
        return ""
    signed = style.replace(":", ":+").replace("++", "+")
    moved = signed.format(now - before)
    return "" if moved in (signed.format(0), signed.format(-0.0)) else moved


def moment_words(said: dict[str, Any]) -> str:
    """From when the life is looked at."""
    when = widgets.times(np.array([said["at_time_s"]]), state.get("zone"))[0]
    event = "the end of the life" if said["at_event"] == "end" else f"event {said['at_event']}"
    return f"{event} ({when:%Y-%m-%d %H:%M} {state.get('zone')})"


def difference(before: Question, now: Question, old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """What the last change of a setting changed: the settings, and the events that came and went."""
    names = [
        f"{label}: {controls.say(getattr(before, field), field)} → {controls.say(getattr(now, field), field)}"
        for field, label in controls.SETTINGS.items()
        if getattr(before, field) != getattr(now, field)
    ]
    parts = []
    for side, word in (("exact", "exact"), ("approx", "approximate")):
        was, is_ = ({row["event"] for row in answer_[side]} for answer_ in (old, new))
        parts.append(f"{len(is_ - was)} events entered and {len(was - is_)} left the {word} set")
    return {"what": "; ".join(names), "events": f"{'; '.join(parts)}. Undo is at the top."}


def verdict_words(answered: Answered) -> str:
    """How many were kept, lost and gained."""
    counts = answered.verdicts.verdict.value_counts()
    return ", ".join(f"{counts.get(v, 0)} {v}" for v in VERDICTS)


def wall_clock_ms(name: str, answered: Answered, events: np.ndarray | None = None) -> np.ndarray:
    """(n,) milliseconds on the wall clock of the chosen zone, of the kept events or of others."""
    life = loaders.life(name, answered.question.person)
    chosen = answered.verdicts.event.to_numpy(np.int64) if events is None else events
    stamps = pd.to_datetime(np.asarray(life.time_s[chosen], np.int64), unit="s", utc=True)
    return stamps.tz_convert(state.get("zone")).tz_localize(None).as_unit("ms").asi8.astype(np.float64)


def lanes(name: str, answered: Answered) -> dict[str, Any]:
    """What the timeline says beside the events: first-stage hits and second-stage weights over the life."""
    span = wall_clock_ms(name, answered, np.array(answered.span, np.int64))
    return {
        "span": span.tolist(),
        "zone": state.get("zone"),
        "alt": f"Timeline of kept events: {verdict_words(answered)}; attention weights as a second lane.",
        "says": "First-stage hits above, second-stage weights below (exact up, approximate down). Click a mark to "
        "explain its event below; drag over a period to leave it out and see what changes.",
        "chosen": [int(event) for event in state.get("event")],
        "picture": state.get("picture"),
    }


def lists(name: str, answered: Answered) -> tuple[dict[str, Any], dict[str, str]]:
    """What either side kept, the differences first, then what both kept, most attended first; and new pictures."""
    table = answered.verdicts
    by_event = {int(row["event"]): row for row in (*answered.said["approx"], *answered.said["exact"])}
    verdict = dict(zip(table.event, table.verdict, strict=True))
    order = table.assign(weight=table[["weight_exact", "weight_approx"]].max(axis=1)).sort_values(
        "weight", ascending=False, kind="stable"
    )
    weights = dict(zip(order.event, zip(order.weight_exact, order.weight_approx, strict=True), strict=True))
    shown = st.session_state.get(CARDS, SHOWN)
    counts = table.verdict.value_counts()
    key = loaders.dataset(name).hash
    sent: dict[str, bool] = st.session_state.setdefault(SENT, {})
    if len(sent) > MOST_PICTURES:
        sent.clear()
    pictures: dict[str, str] = {}
    groups: list[dict[str, Any]] = []
    most = 0
    for heading, chosen, note in (
        ("Where they differ", "lost gained", f"{counts.get('lost', 0)} lost, {counts.get('gained', 0)} gained"),
        ("Kept by both", "kept", "most attended first"),
    ):
        events = order.event[order.verdict.isin(chosen.split())].tolist()
        most = max(most, len(events))
        listed = described(name, answered, [by_event[event] for event in events[:shown]], verdict)
        for event, one in zip(events, listed, strict=False):
            one["lines"][0] = "weight {:.4f} exact, {:.4f} approximate".format(*weights[event])
            name_picture(name, key, one, sent, pictures)
        if events:
            groups.append(
                {"heading": heading, "note": f"{note}, showing {len(listed)} of {len(events)}", "cards": listed}
            )
    nothing = "" if (table.verdict != "kept").any() else "Nothing was lost: both searches kept the same events."
    return {"groups": groups, "note": nothing, "more": shown < min(most, MOST_SHOWN)}, pictures


def name_picture(name: str, key: str, one: dict[str, Any], sent: dict[str, bool], pictures: dict[str, str]) -> None:
    """Give a card the name of its picture, and add the picture to `pictures` when the browser has not got it.

    Args:
        name, key: of the data set, and what its content is known by.
        one: from `described`.
        sent: name -> whether there is such a picture, of those that were sent.
        pictures: of this answer.
    """
    row = one.pop("item")
    picture = f"{key[:12]}/{row}"
    if picture not in sent:
        image = loaders.picture(name, row)
        sent[picture] = bool(image)
        if image:
            pictures[picture] = image
    if sent[picture]:
        one["picture"] = picture


def export(name: str, answered: Answered) -> pd.DataFrame:
    """The kept sets with titles, queries and times."""
    table, dataset = answered.verdicts, loaders.dataset(name)
    life = loaders.life(name, answered.question.person)
    events = table.event.to_numpy(np.int64)
    return table.assign(
        title=[dataset.titles[row] for row in life.item[events]],
        query=[dataset.query_texts[row] for row in life.query[events]],
        time_s=life.time_s[events],
    )
