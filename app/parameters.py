"""What can be chosen, and how a link holds it: every query parameter, its default, and how it is read and written.

Only choices that differ from their default are written; `v` names the version of this table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import available_timezones

from seminar_core.retrieval.spec import DEFAULT

VERSION = "1"
EARLIEST_S, LATEST_S = -9_000_000_000, 9_000_000_000
"""Seconds that a figure's times can hold, 1684 to 2255."""


@dataclass(frozen=True)
class Parameter:
    """One choice: its default, how it is read from text, and what it is."""

    default: Any
    read: Callable[[str], Any]
    about: str


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(unquote(part) for part in text.split(",") if part))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("expected 0 or 1")
    return text == "1"


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("expected zero or more")
    return number


def _seconds(text: str) -> int | None:
    seconds = int(text) if text else None
    if seconds is not None and not EARLIEST_S <= seconds <= LATEST_S:
        raise ValueError("expected seconds")
    return seconds


def _weights(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) not in (0, 4):
        raise ValueError("expected four numbers or none")
    return numbers


def _positions(text: str) -> tuple[str, ...]:
    found = _names(text)
    if not all(part.isascii() and part.isdecimal() for part in found):
        raise ValueError("expected positions in a life")
    return found


def _event(text: str) -> str:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError("expected a position in a life")
    return text


def _head(text: str) -> str:
    return ",".join(_positions(text)[:1])


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]*", text):
        raise ValueError("expected the hexadecimal digits of a digest")
    return text


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return text

    return read


_zones = cache(available_timezones)


def _zone(text: str) -> str:
    if text not in _zones():
        raise ValueError("expected the name of a time zone")
    return text


PARAMETERS: dict[str, Parameter] = {
    # the thread that runs through all stations
    "dataset": Parameter("sample", str, "name of the data set"),
    "run": Parameter("", str, "name of the trained run"),
    "run_b": Parameter("", str, "a second run beside the first"),
    "person": Parameter("", str, "person id"),
    "item": Parameter("", str, "target item id; empty = the person's true next item"),
    "item_b": Parameter("", str, "a second target beside the first"),
    "query": Parameter("", str, "query typed with the target"),
    "at": Parameter("", str, "event before which the life is visible, or `end`; empty = the last event"),
    "zone": Parameter("UTC", _zone, "time zone in which times are shown"),
    "tour": Parameter(0, _count, "stop of the guided tour; 0 = no tour"),
    # Life
    "find": Parameter("", str, "text searched among queries and titles"),
    "sort": Parameter("length", str, "order of the list of people"),
    "from_s": Parameter(None, _seconds, "the start of the shown period in seconds since 1970 (UTC)"),
    "to_s": Parameter(None, _seconds, "the end of the shown period in seconds since 1970 (UTC)"),
    "text": Parameter("", str, "only events whose query or title contains this"),
    "actions": Parameter((), _names, "only these actions"),
    "categories": Parameter((), _names, "only these categories"),
    "lanes": Parameter("both", _one_of("both", "search", "browsing"), "both | search | browsing"),
    "page": Parameter(0, _count, "page of the table of events"),
    "search": Parameter("", _event, "event of the search that is opened"),
    "person_b": Parameter("", str, "a second person beside the first"),
    # Retrieval
    "k": Parameter(50, _count, "events kept per head"),
    "spec": Parameter(DEFAULT, str, "quantiser specification"),
    "shortlist": Parameter(4, _count, "shortlist factor: PQ keeps this many times K before exact scores order them"),
    "weights": Parameter((), _weights, "explicit channel weights q,a,t,i; empty = the run's own"),
    "mask": Parameter((), _names, "masked channels"),
    "hide_from_s": Parameter(None, _seconds, "the start of the left-out period in seconds since 1970 (UTC)"),
    "hide_to_s": Parameter(None, _seconds, "the end of the left-out period in seconds since 1970 (UTC)"),
    "head": Parameter("", _head, "one attention head; empty = all"),
    "method": Parameter("", str, "first-stage method instead of the specification"),
    "methods": Parameter((), _names, "further methods as columns"),
    "event": Parameter((), _positions, "events whose loss is explained"),
    "figure": Parameter(
        "lanes",
        _one_of("lanes", "parts", "rank_shift", "scores"),
        "lanes | parts | rank_shift | scores: the figure of what was kept",
    ),
    # Alignment
    "stages": Parameter((), _names, "stages on the map"),
    "colour": Parameter("", str, "what colours the map"),
    "correction": Parameter(
        "none",
        _one_of("none", "centred", "procrustes"),
        "none | centred | procrustes: what is taken out before measuring",
    ),
    "view": Parameter(
        "stages", _one_of("stages", "film"), "stages | film: side by side, or one map moving over the checkpoints"
    ),
    "drawing": Parameter("webgl", _one_of("webgl", "plotly"), "webgl | plotly"),
    "held_out": Parameter(True, _flag, "figures of the held-out items"),
    "selected": Parameter("", _digest, "digest of the selection kept on disk"),
    "worst": Parameter(10, _count, "how many of the worst aligned items are joined on the map"),
    "multiples": Parameter(False, _flag, "one panel per modality on the map"),
    "seed": Parameter(0, _count, "seed of the sampled points"),
    "slice": Parameter("", str, "items of the number card, as `field=value`; empty = all"),
    "of": Parameter("items", _one_of("items", "people"), "work-list of items or people"),
    "list_stage": Parameter("", str, "stage of the work-list; empty = the last that is shown"),
    # Training
    "part": Parameter(
        "watch", _one_of("watch", "start", "compare"), "part of the station Training: watch | start | compare"
    ),
    "clock": Parameter("step", _one_of("step", "time_s"), "x axis of curves: step | time_s"),
    "job": Parameter("", str, "job that is shown"),
    "recipe": Parameter("pretrain", str, "recipe that is chosen"),
    "runs": Parameter((), _names, "runs that are compared"),
    "metric": Parameter("", str, "metric that is shown"),
    # figures
    "picture": Parameter("png", _one_of("png", "svg"), "format of a figure's picture: png | svg"),
}

# What belongs to one life: positions and times in it say nothing about another.
OF_ONE_LIFE = ("at", "event", "from_s", "to_s", "hide_from_s", "hide_to_s", "page", "search")
# What belongs to one question of retrieval: its target, and how it is answered.
OF_ONE_QUESTION = (
    *("item", "item_b", "query", "run_b", "k", "spec", "shortlist", "weights", "mask"),
    *("head", "method", "methods"),
)
# What belongs to one data set: its runs, people and items, and names of what is in it.
OF_ONE_DATASET = (
    *OF_ONE_LIFE,
    *("run", "run_b", "runs", "head", "methods", "stages", "list_stage"),
    *("person", "person_b", "find", "item", "item_b", "query", "text", "actions", "categories"),
    *("selected", "slice", "colour"),
)


def _part(name: str) -> str:
    """A name of a list, whose own commas do not end it."""
    return name.replace("%", "%25").replace(",", "%2C")


def write_value(value: Any) -> str:
    """A choice as the URL holds it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple | list):
        return ",".join(repr(v).removesuffix(".0") if isinstance(v, float) else _part(str(v)) for v in value)
    return "" if value is None else str(value)


def defaults(*names: str) -> dict[str, Any]:
    """These choices as they are when nobody has chosen."""
    return {name: PARAMETERS[name].default for name in names}


def read_query(query: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Choices from a URL's parameters, and one sentence for each thing in it that could not be used."""
    choices = {name: parameter.default for name, parameter in PARAMETERS.items()}
    notices = []
    version = query.get("v", VERSION)
    if version != VERSION:
        notices.append(
            f"This link was made by another version of the app ({version}; this is {VERSION}). "
            "What could be read from it is shown; check the choices before relying on them."
        )
    for name, text in query.items():
        if name == "v" or name.startswith("embed"):
            continue
        if name not in PARAMETERS:
            notices.append(f"The link's “{name}” is not known here and was left out.")
            continue
        try:
            choices[name] = PARAMETERS[name].read(text)
        except ValueError:
            notices.append(
                f"The link's “{name}={text[:60]}” is not {PARAMETERS[name].about}; the default is used instead: "
                f"{write_value(PARAMETERS[name].default) or 'none'}."
            )
    return choices, notices


def write_query(choices: dict[str, Any]) -> dict[str, str]:
    """The URL parameters of `choices`: the version and what differs from the defaults."""
    changed = {n: write_value(choices[n]) for n, p in PARAMETERS.items() if choices[n] != p.default}
    return {"v": VERSION, **changed} if changed else {}
