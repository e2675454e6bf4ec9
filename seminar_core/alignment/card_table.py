"""The number card as a table, one card beside another, and what it says in a sentence.

After the card, before a page, a file or a plot. One row per stage, part (items in alignment or held out), pair and
metric; what could not be measured keeps its row, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from .definitions import CHANNEL_METRICS, CLASSIFIER, ONE_WAY, PAIR_METRICS

COLUMNS = ("stage", "part", "pair", "metric", "value", "p5", "p95", "random", "low", "high", "n", "reason")


def card_table(cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Cards by stage as one table with the columns `COLUMNS`."""
    rows: list[dict[str, Any]] = []
    for stage, card in cards.items():
        for part, content in (("in alignment", card), ("held out", card.get("heldout"))):
            if content is not None:
                rows.extend(_rows(stage, part, content))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(stage: str, part: str, card: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for pair, figures in card["pairs"].items():
        for metric in PAIR_METRICS:
            yield _row(stage, part, pair, metric, figures[metric])
    for channel, shape in card["channels"].items():
        for metric in CHANNEL_METRICS:
            figure = {"value": shape[metric], "random": shape["random"][metric], "interval": shape["interval"][metric]}
            figure |= {"n": shape["n"], "reason": shape.get("reason")}
            yield _row(stage, part, channel, metric, figure)
    yield _row(stage, part, "all", CLASSIFIER, card["modality_classifier"])


def _row(stage: str, part: str, pair: str, metric: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    low, high = figure["interval"] or (None, None)
    known = {"value": figure.get("value", figure.get("mean")), "p5": figure.get("p5"), "p95": figure.get("p95")}
    known |= {"random": figure["random"], "low": low, "high": high, "n": figure["n"]}
    if known["value"] is not None:
        known |= {"reason": ""}
    else:
        known |= {"reason": figure.get("reason") or "not measured"}
    return {"stage": stage, "part": part, "pair": pair, "metric": metric} | known


def compared(table: pd.DataFrame, first: str, second: str, part: str = "in alignment") -> pd.DataFrame:
    """Two stages side by side: pair, metric, value and interval of both, and whether the intervals are apart."""
    chosen = table[table["part"] == part]
    keys = ["pair", "metric"]
    sides = [chosen[chosen["stage"] == stage].drop(columns=["stage", "part"]) for stage in (first, second)]
    joined = sides[0].merge(sides[1], on=keys, suffixes=("_first", "_second"))
    joined["apart"] = (joined["low_first"] > joined["high_second"]) | (joined["low_second"] > joined["high_first"])
    return joined


def sentence(table: pd.DataFrame, part: str = "held out") -> str:
    """One sentence on what changed between the first and the last stage of a table, for text and picture.

    Where these two were not measured, as in data without pictures, for the first of `ONE_WAY` that was.
    """
    measured = table[(table["metric"] == "recall@10") & table["value"].notna()]
    pair = next((pair for pair in ONE_WAY if pair in set(measured["pair"])), None)
    if pair is None:
        return "No pair of modalities could be compared; the table says why."
    chosen = measured[measured["pair"] == pair]
    parts = chosen[chosen["part"] == part]
    chosen = parts if len(parts) else chosen
    first, last = chosen.iloc[0], chosen.iloc[-1]
    where = f"of {int(last['n']):,} {'held-out ' if last['part'] == 'held out' else ''}items"
    names = {"Q": "query", "A": "attribute", "T": "text", "I": "picture"}
    what = f"{names[pair[0]]} finds its own {names[pair[2]]} among the ten nearest"
    if len(chosen) == 1:
        return f"{what} for {last['value']:.1%} {where} (by chance {last['random']:.1%}), {last['stage']}.".capitalize()
    change = (
        "up from" if last["value"] > first["value"] else "down from" if last["value"] < first["value"] else "as much as"
    )
    apart = first["high"] < last["low"] or last["high"] < first["low"]
    return (
        f"{what} for {last['value']:.1%} {where} ({last['stage']}), {change} {first['value']:.1%} ({first['stage']}); "
        f"by chance {last['random']:.1%}{'' if apart else '; the two 95 % intervals overlap'}."
    ).capitalize()
