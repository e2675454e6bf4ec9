"""A slice of the catalogue: the items that have one value of an attribute, as `field=value`.

Before the number card and the work-list, which are then of these items alone; links and commands name it alike.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import ConfigError, UnknownNameError

NO_ATTRIBUTES = frozenset(("item_row", "item", "title", "description", "image_state", "events", "image"))


def rows_of_slice(items: pd.DataFrame, slice_: str) -> np.ndarray:
    """Catalogue rows (m,) int32 of the items that have `field=value`.

    Args:
        items: the catalogue, see `Dataset.items_frame`.
        slice_: for instance `category=lamps`; a value may hold `=` itself.

    Raises:
        ConfigError: no `=` in it.
        UnknownNameError: the catalogue has no such attribute, or no item has this value of it.
    """
    field, equals, value = slice_.partition("=")
    if not equals:
        raise ConfigError(
            f"slice {slice_!r} is not field=value", hint="name an attribute and one of its values: category=lamps"
        )
    fields = [str(column) for column in items.columns if column not in NO_ATTRIBUTES]
    if field not in fields:
        raise UnknownNameError("attribute", field, fields)
    words = items.set_index("item_row")[field].dropna().astype(str)
    if value not in set(words):
        raise UnknownNameError(f"value of {field}", value, words.unique())
    return words.index[words == value].to_numpy(np.int32)
