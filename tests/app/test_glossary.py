"""One glossary: what figures and headings of the app are called stands in it, and help texts come from it."""

from __future__ import annotations

import pytest

from app import glossary, widgets
from app.stations.alignment.card import SHAPE, SHORT
from app.stations.alignment.figures import HEADLINE_METRICS
from app.stations.life.view import SORTS
from app.stations.retrieval.kept_card import METRICS
from app.stations.training.compare import HEADLINE
from app.stations.training.view import SHOWN_METRICS
from seminar_core.alignment.definitions import DEFINITIONS


def test_what_figures_and_headings_are_called_stands_in_the_glossary():
    shown = [label.partition(",")[0] for label, *_ in METRICS]
    shown += [DEFINITIONS[metric].title for metric in (*HEADLINE_METRICS, *SHORT, *SHAPE)]
    shown += [*HEADLINE, *(name.partition("/")[2] for name in SHOWN_METRICS)]
    shown += [" ".join(label.split()[1:]) for sort, label in SORTS.items() if sort != "length"]
    assert len(shown) > 20
    for label in shown:
        assert glossary.meaning(label).endswith("."), label


def test_a_heading_says_what_the_glossary_says():
    texts = {label: text for label, *_, text in METRICS}
    assert texts["Recall@K"] == glossary.meaning("Recall") and glossary.meaning("Logit") in texts["Logit, exact"]
    columns = widgets.headings({"gap": "Centroid gap"})
    assert columns["gap"]["help"].startswith(DEFINITIONS["centroid_gap"].meaning)
    with pytest.raises(KeyError, match="Nonsense"):
        glossary.meaning("Nonsense")


def test_meanings_are_sentences_that_can_be_read_under_a_pointer():
    for name, term in glossary.terms().items():
        assert term.meaning[0].isupper() and term.meaning.endswith(".") and len(term.meaning) < 320, name
        assert name == name.strip() and "\n" not in term.meaning
