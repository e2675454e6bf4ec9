"""One kept event as a card, and the figures that stand above kept lists: shared by every column of the station."""

from __future__ import annotations

from typing import Any

from app import loaders, state
from app.components.cards import Card
from app.glossary import meaning
from app.palette import VERDICTS
from seminar_core.search.trace import Trace

METRICS = (
    ("Recall@K", "recall", "{:.1%}", meaning("Recall")),
    ("Attention mass", "attention_mass", "{:.2%}", meaning("Attention mass")),
    ("Interest error", "interest_error", "{:.2%}", meaning("Interest error")),
    ("Logit, exact", "logit_exact", "{:+.3f}", f"With the exactly kept events. {meaning('Logit')}"),
    ("Logit, approximate", "logit_approx", "{:+.3f}", f"With the approximately kept events. {meaning('Logit')}"),
    ("Bytes per event", "bytes_per_event", "{:,.0f}", meaning("Bytes per event")),
)


def card(name: str, found: Trace, row: dict[str, Any], verdict: dict[int, str], *, image: bool = True) -> Card:
    """One kept event, with its picture where `image` is asked for."""
    dataset = loaders.dataset(name)
    life = dataset.store.life(found.moment.person_row)
    event = int(row["event"])
    item, query = int(life.item[event]), int(life.query[event])
    days = (found.moment.time_s - int(life.time_s[event])) / 86_400
    said = verdict[event]
    return {
        "id": str(event),
        "title": dataset.titles[item] or "(no title)",
        "query": dataset.query_texts[query],
        "image": loaders.picture(name, item) if image else "",
        "lines": [
            f"rank {row['rank']} · weight {row['weight']:.4f} · score {row['score']:.3f}",
            f"{days:,.1f} days ago · event {event} · {heads(row['heads'])}",
        ],
        "mark": f"{VERDICTS[said][2]} {said}",
        "tone": {"kept": "same"}.get(said, said),
        "chosen": str(event) in state.get("event"),
    }


def heads(found: list[int]) -> str:
    """Which heads kept it."""
    return f"head{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def choose_event(event: str) -> None:
    """Make an event the one that is explained."""
    state.put(event=(event,))
