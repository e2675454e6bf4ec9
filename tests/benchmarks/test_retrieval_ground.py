"""The common ground is the shared one, drawn from our own generator."""

from __future__ import annotations

import importlib.util

import numpy as np

from benchmarks.retrieval_ground import catalogue, fold, ground, lives


def test_it_draws_what_the_shared_generator_draws(shared_dir):
    spec = importlib.util.spec_from_file_location(
        "structured_catalogue", shared_dir / "bench" / "structured_catalogue.py"
    )
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    mine, topic = catalogue(3000, topics=40, width=16, latent=12)
    theirs, other = shared.catalogue(3000, topics=40, width=16, latent=12)
    assert (mine == theirs).all() and (topic == other).all()
    own, topics = lives(topic, 4, 300)
    expected, theirs_of = shared.lives(topic, 4, 300)
    assert (own == expected).all() and all((a == b).all() for a, b in zip(topics, theirs_of, strict=True))


def test_vectors_have_length_one_and_lives_prefer_their_topics():
    x, topic = catalogue(2000, topics=40, width=16, latent=12)
    np.testing.assert_allclose(np.linalg.norm(x, axis=2), 1, rtol=1e-5)
    life, owned = lives(topic, 3, 2000)
    shares = [np.isin(topic[one], mine).mean() for one, mine in zip(life, owned, strict=True)]
    assert all(0.8 < share < 0.95 for share in shares)


def test_another_seed_is_another_ground():
    assert (catalogue(50, topics=5, seed=1)[0] != catalogue(50, topics=5, seed=2)[0]).any()


def test_the_ground_hands_over_rows_from_one_and_targets_of_both_kinds():
    small = ground(300, topics=20, width=16)
    assert (small.vectors.item[1:, 0] == small.x[:, 1]).all() and (small.vectors.query[1:] == small.x[:, 0]).all()
    assert small.events(np.array([0, 5])).item.tolist() == [1, 6]
    _, owned = lives(small.topic, 2, 10)
    asked = small.asked(owned, 6)
    assert np.isin(small.topic[asked.rows[0, :3]], owned[0]).all()
    free, fixed = asked.folded(0), asked.folded(0, "fixed")
    row, weights = asked.rows[0, 0], asked.weights[0, 0]
    np.testing.assert_allclose(free[0].u[0], weights[:, None] * (weights @ small.x[row]), rtol=1e-4, atol=1e-6)
    assert np.linalg.matrix_rank(np.stack([f.u.ravel() for f in fixed])) <= 16


def test_folding_is_the_naive_double_sum():
    rng = np.random.default_rng(0)
    x, w, e = rng.standard_normal((1, 4, 3)), np.array([[0.1, 0.2, 0.3, 0.4]]), rng.standard_normal((4, 3))
    naive = sum(w[0, m] * w[0, n] * x[0, m] @ e[n] for m in range(4) for n in range(4))
    assert np.isclose((fold(x, w)[0] * e).sum(), naive)
