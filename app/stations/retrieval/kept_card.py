"""One kept event as a card, and the figures that stand above kept lists: shared by every column of the station."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from app import loaders, state
from app.components.cards import Card
from app.glossary import meaning
from app.palette import VERDICTS
from seminar_core.search.answer import Answered

METRICS = (
    ("Recall@K", "recall", "{:.1%}", meaning("Recall")),
    ("Attention mass", "attention_mass", "{:.2%}", meaning("Attention mass")),
    ("Interest error", "interest_error", "{:.2%}", meaning("Interest error")),
    ("Logit, exact", "logit_exact", "{:+.3f}", f"With the exactly kept events. {meaning('Logit')}"),
    ("Logit, approximate", "logit_approx", "{:+.3f}", f"With the approximately kept events. {meaning('Logit')}"),
    ("Bytes per event", "bytes_per_event", "{:,.0f}", meaning("Bytes per event")),
)


def card(name: str, answered: Answered, row: dict[str, Any], verdict: dict[int, str]) -> Card:
    """One kept event with its picture."""
    one = described(name, answered, [row], verdict)[0]
    return cast(Card, {**one, "image": loaders.picture(name, one.pop("item"))})


def described(
    name: str, answered: Answered, rows: Sequence[dict[str, Any]], verdict: dict[int, str]
) -> list[dict[str, Any]]:
    """Kept events as cards without picture; `item` is the row of the item in the catalogue."""
    dataset, chosen = loaders.dataset(name), set(state.get("event"))
    life = loaders.life(name, answered.question.person)
    cards = []
    for row in rows:
        event = int(row["event"])
        item, query = int(life.item[event]), int(life.query[event])
        days = (answered.said["at_time_s"] - int(life.time_s[event])) / 86_400
        said = verdict[event]
        cards.append(
            {
                "id": str(event),
                "item": item,
                "title": dataset.titles[item] or "(no title)",
                "query": dataset.query_texts[query],
                "lines": [
                    f"rank {row['rank']} · weight {row['weight']:.4f} · score {row['score']:.3f}",
                    f"{days:,.1f} days ago · event {event} · {heads(row['heads'])}",
                ],
                "mark": f"{VERDICTS[said][2]} {said}",
                "tone": {"kept": "same"}.get(said, said),
                "chosen": str(event) in chosen,
            }
        )
    return cards


def heads(found: list[int]) -> str:
    """Which heads kept it."""
    return f"head{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def choose_event(event: str) -> None:
    """Make an event the one that is explained."""
    state.put(event=(event,))
