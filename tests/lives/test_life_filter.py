"""A filter of a life is the same as looking at every event by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.errors import ConfigError, UnknownNameError
from seminar_core.lives.life_filter import LifeFilter, positions
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(Workspace(tmp_path_factory.mktemp("filter") / "workspace"), people=4, longest=80)


@pytest.mark.parametrize(
    "chosen",
    [
        LifeFilter(),
        LifeFilter(text="Chair"),
        LifeFilter(actions=("search",)),
        LifeFilter(categories=("lamp", "tent")),
        LifeFilter(lanes="browsing"),
        LifeFilter(text="red", lanes="search", from_s=1_700_000_000, to_s=1_700_500_000),
    ],
)
def test_a_filter_equals_a_look_at_every_event(dataset, chosen):
    for person in range(dataset.n_people):
        life = dataset.store.life(person)
        expected = []
        for event in range(len(life)):
            item, query = int(life.item[event]), int(life.query[event])
            text = f"{dataset.titles[item] or ''}\n{dataset.query_texts[query]}".lower()
            expected.append(
                chosen.text.lower() in text
                and (not chosen.actions or dataset.actions[life.action[event]] in chosen.actions)
                and (not chosen.categories or dataset.category_names[dataset.category[item]] in chosen.categories)
                and (chosen.lanes == "both" or (chosen.lanes == "search") == (query > 0))
                and (chosen.from_s is None or life.time_s[event] >= chosen.from_s)
                and (chosen.to_s is None or life.time_s[event] <= chosen.to_s)
            )
        assert np.array_equal(positions(dataset, life, chosen), np.flatnonzero(expected))


def test_unknown_names_and_reversed_periods_are_refused(dataset):
    life = dataset.store.life(0)
    with pytest.raises(UnknownNameError, match=r"'buy'.*known: browse, search"):
        positions(dataset, life, LifeFilter(actions=("buy",)))
    with pytest.raises(UnknownNameError, match="category 'house'"):
        positions(dataset, life, LifeFilter(categories=("house",)))
    with pytest.raises(UnknownNameError, match="lane 'all'"):
        LifeFilter(lanes="all")
    with pytest.raises(ConfigError, match="ends before"):
        LifeFilter(from_s=5, to_s=4)
