"""The paper's symmetric scheme in a search trace: what it asks with, its scores, and its explanations."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.search.study import make_codebooks, open_study
from seminar_core.search.trace import trace
from tests.search.test_search_trace import ask, explanations_are_exact_sums
from tests.tiny_run import make_run

SYMMETRIC = "SymPQ8x4"


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory):
    study = open_study(make_run(tmp_path_factory.mktemp("symmetric")), "run")
    make_codebooks(study, SYMMETRIC)
    return study


@pytest.mark.parametrize("query", [None, "red lamp"])
def test_the_symmetric_scheme_asks_with_the_targets_centroids(symmetric, query, monkeypatch):
    for person in range(3):
        found = trace(symmetric, ask(symmetric, person, spec=SYMMETRIC, shortlist=2.0, query=query))
        assert (found.asked.u != found.folded.u).any() and found.asked.u.shape == found.folded.u.shape
        one = trace(symmetric, ask(symmetric, person, spec=SYMMETRIC, head=1, query=query))
        assert (one.asked.u[0] == found.asked.u[1]).all()
        assert (
            trace(symmetric, ask(symmetric, person)).asked.u == trace(symmetric, ask(symmetric, person)).folded.u
        ).all()
    with monkeypatch.context() as lossless:
        lossless.setattr("seminar_core.search.symmetric.quantise_target", lambda books, x, with_query: x)
        found = trace(symmetric, ask(symmetric, spec=SYMMETRIC, query=query, weights=(1.0, 2.0, 3.0, 4.0)))
        np.testing.assert_allclose(found.asked.u, found.folded.u, atol=1e-6)


def test_symmetric_scores_are_products_of_centroids(symmetric):
    found = trace(symmetric, ask(symmetric, spec=SYMMETRIC))
    books, life = symmetric.codebooks(SYMMETRIC), symmetric.dataset.store.life(found.moment.person_row)
    for event, score in found.near_scores.items():
        part = books.parts["pair" if life.query[event] else "item"]
        if life.query[event]:
            near = part.decode(books.pair_codes(symmetric.vectors, life.item[[event]], life.query[[event]]))[0]
            expected = found.asked.u.reshape(len(found.asked.u), -1) @ near
        else:
            near = part.decode(books.codes["item"][life.item[[event]]])[0]
            scale = found.asked.item_scale_without_query
            expected = scale * (found.asked.u[:, 1:].reshape(len(found.asked.u), -1) @ near)
        assert score == pytest.approx(expected.max(), abs=1e-4)


@pytest.mark.parametrize("shortlist", [0.0, 2.0])
def test_its_explanations_are_exact_sums(symmetric, shortlist):
    explanations_are_exact_sums(symmetric, SYMMETRIC, shortlist)
