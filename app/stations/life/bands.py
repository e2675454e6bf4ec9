"""A person's interests over time as a figure with its table; shown by Life and by Home."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app import state, widgets
from app.stations.life import figures
from app.stations.life import loaders as sources


def chart(name: str, person: str, *, key: str, says: str = "", height: int | None = None) -> None:
    """The bands of one person.

    Args:
        name: data set.
        person: id.
        key: name of the chart, unique on the page.
        says: the sentence below it; that of the clusters where empty.
        height: in pixels; the figure's own where None.
    """
    found = sources.interests(name, person)
    zone = state.get("zone")
    names, shares = found["names"], np.array(found["shares"]).reshape(-1, len(found["middle_s"]))
    frame = pd.DataFrame(shares.T, columns=names)
    frame.insert(0, "time", pd.to_datetime(np.array(found["middle_s"]), unit="s", utc=True))
    frame = sources.in_zone(frame, zone)
    figure = figures.interests(list(sources.as_drawn(frame)["time"]), shares, names, zone=zone)
    if height:
        figure.update_layout(height=height)
    widgets.chart(
        figure,
        name=key,
        alt=f"Shares of person {person}'s interests over time: " + ", ".join(names),
        table=frame,
        says=says
        or f"{len(names)} clusters of {found['items']:,} distinct items by {found['source']}; "
        "each is named after its most frequent category or words.",
    )
