"""The data report on a page: how the files were read, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from app import widgets
from app.stations.data.hints import for_page

READ_AS = {
    "delimiter": "delimiter",
    "encoding": "encoding",
    "header": "header",
    "columns": "columns",
    "time": "times",
    "person_ids": "ids of people",
    "item_ids": "ids of items",
}


def read_line(found: dict[str, Any]) -> None:
    """How the files were read, each guess with what it was made from; the time that they span; items never met."""
    guesses = found.get("guesses") or {}
    says = [
        f"{name} {shown(guesses[key]['value'])} ({guesses[key]['from']})"
        for key, name in READ_AS.items()
        if key in guesses
    ]
    if says:
        st.caption("Read as: " + widgets.plain(" · ".join(says)))
    facts = []
    if "first_time_s" in found:
        facts.append(f"events from {day(found['first_time_s'])} to {day(found['last_time_s'])}")
    if "items_never_met" in found:
        facts.append(
            f"{found['items_never_met']:,} of {found['items']:,} items never met "
            f"({found['items_never_met'] / max(found['items'], 1):.0%})"
        )
    widgets.trust_line(*facts)


def shown(value: Any) -> str:
    """A guess as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{ours} = {theirs}" for ours, theirs in value.items())
    return {"\t": "tab", ",": "comma", ";": "semicolon", True: "yes", False: "none"}.get(value, str(value))


def day(seconds: int) -> str:
    """The day of a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def problems(report: dict[str, Any], key: str = "data_problems", *, by_page: bool = False) -> None:
    """What is wrong, with row numbers and what to do.

    Args:
        report: of a data set.
        key: names the downloads.
        by_page: the files came in through the page, whose controls stand in the hints.
    """
    found = report["problems"]
    if not found:
        st.success("No problem was found.", icon=":material/check_circle:")
        return
    if by_page:
        found = [problem | {"hint": for_page(problem["hint"])} for problem in found]
    st.subheader(f"{len(found)} {'thing' if len(found) == 1 else 'things'} to know about this data", anchor=False)
    for problem in found:
        rows = ", ".join(f"{row:,}" for row in problem["example_rows"])
        where = f" · rows {rows}{' …' if problem['count'] > len(problem['example_rows']) else ''}" if rows else ""
        what = widgets.plain(problem["kind"].replace("_", " "))
        st.markdown(f"- **{what}** · {problem['count']:,}{where}  \n  {widgets.plain(problem['hint'])}")
    widgets.trust_line("rows are counted from 1, the header not counted")
    table = pd.DataFrame(
        {
            "what": [p["kind"] for p in found],
            "count": [p["count"] for p in found],
            "first_rows": [", ".join(map(str, p["example_rows"])) for p in found],
            "what_to_do": [p["hint"] for p in found],
        }
    )
    widgets.downloads(table, name=key)
