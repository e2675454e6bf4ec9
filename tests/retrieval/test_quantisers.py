"""k-means, product, residual and scalar codes, and the transforms before them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seminar_core.errors import ConfigError, NonFiniteError
from seminar_core.retrieval.kernels import byte_products, gathered_products, lookup_sums, settle
from seminar_core.retrieval.kmeans import distinct_rows, kmeans, means, nearest
from seminar_core.retrieval.parts import FEW_TARGETS, train_part
from seminar_core.retrieval.quantisers import Additive, refit, rotation, train_product, train_residual, train_scalar
from seminar_core.retrieval.spec import parse
from seminar_core.retrieval.transform import covariance, identity, query_aware


def cloud(rows: int = 300, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def error(z: np.ndarray, coder) -> float:
    return float(((z - coder.decode(coder.encode(z))) ** 2).sum() / ((z - z.mean(0)) ** 2).sum())


def test_nearest_is_the_naive_search():
    z, centroids = cloud(), cloud(11, seed=1)
    assert nearest(z, centroids).tolist() == [int(((c - centroids) ** 2).sum(1).argmin()) for c in z]


def test_means_are_the_naive_means_and_an_empty_cluster_is_zero():
    z = cloud(20)
    place = np.arange(20) % 3
    found, sizes = means(z, place, 5)
    assert sizes.tolist() == [7, 7, 6, 0, 0]
    np.testing.assert_allclose(found[1], z[place == 1].mean(0), rtol=1e-5)
    assert not found[3:].any()


def test_kmeans_finds_separated_clusters():
    centres = 100 * cloud(5, 4, seed=2)
    z = np.repeat(centres, 40, 0) + cloud(200, 4)
    found, live = kmeans(z, 5, rng=np.random.default_rng(0), iterations=15)
    assert live == 5 and error(z, Additive(found[None], np.array([5]), False, 1)) < 0.2


def test_few_distinct_rows_are_the_codebook_itself():
    z = np.repeat(cloud(4), 30, 0)
    found, live = kmeans(z, 16, rng=np.random.default_rng(0), iterations=5)
    assert live == 4 and {tuple(r) for r in found[:4]} == {tuple(r) for r in z} and not found[4:].any()


def test_distinct_rows_know_minus_zero():
    assert len(distinct_rows(np.array([[0.0], [-0.0]], np.float32), 5)) == 1
    assert distinct_rows(cloud(50), 10) is None


@pytest.mark.parametrize("rows", [1, 3, 15, 16, 17, 40])
@pytest.mark.parametrize("kind", ["product", "residual"])
def test_few_vectors_never_raise_and_up_to_the_centroids_they_are_lossless(rows, kind):
    z = cloud(rows)
    coder = (train_product if kind == "product" else train_residual)(z, 4, 16, seed=0)
    decoded = coder.decode(coder.encode(z))
    if rows <= 16:
        assert (decoded == z).all()
        assert (coder.live <= rows).all()
    else:
        assert np.isfinite(decoded).all()


def test_more_code_words_err_less():
    z = cloud(600)
    assert error(z, train_product(z, 8, 16, seed=0)) < error(z, train_product(z, 2, 16, seed=0)) < 1
    assert error(z, train_residual(z, 8, 16, seed=0)) < error(z, train_residual(z, 2, 16, seed=0)) < 1


def test_the_beam_finds_what_trying_every_code_finds():
    """Three stages of four centroids: a beam of all 16 partial codes is exhaustive."""
    z = cloud(40, 4)
    centroids = 0.5 * cloud(12, 4, seed=3).reshape(3, 4, 4)
    coder = Additive(centroids, np.array([4, 4, 4]), residual=True, beam=16)
    sums = centroids[0][:, None, None] + centroids[1][None, :, None] + centroids[2][None, None]  # (4, 4, 4, 4)
    best = ((z[:, None, None, None] - sums) ** 2).sum(-1).reshape(40, -1).min(1)
    found = ((z - coder.decode(coder.encode(z))) ** 2).sum(1)
    np.testing.assert_allclose(found, best, rtol=1e-4, atol=1e-5)


def test_a_wider_beam_errs_less():
    z = cloud(500, 16)
    coder = train_residual(z, 8, 16, seed=0)
    narrow = Additive(coder.centroids, coder.live, True, 1)
    assert error(z, coder) < error(z, narrow)


def test_a_dead_centroid_is_never_chosen():
    z = cloud(50, 4)
    coder = Additive(np.stack([cloud(8, 4, seed=1), cloud(8, 4, seed=2)]), np.array([5, 3]), True, 4)
    codes = coder.encode(z)
    assert codes[:, 0].max() < 5 and codes[:, 1].max() < 3


def test_refitting_for_given_codes_errs_less():
    z = cloud(400, 8)
    coder = train_residual(z, 4, 16, seed=0, refits=0)
    codes = coder.encode(z)
    before = ((z - coder.decode(codes)) ** 2).sum()
    assert ((z - refit(coder, z, codes).decode(codes)) ** 2).sum() < before


def test_training_is_decided_by_its_seed():
    z = cloud(200)
    one, two, other = (train_residual(z, 4, 16, seed=s).centroids for s in (1, 1, 2))
    assert (one == two).all() and (one != other).any()


def test_scalar_codes_err_at_most_half_a_step():
    z = cloud()
    coder = train_scalar(z)
    assert (np.abs(coder.decode(coder.encode(z)) - z) <= coder.step / 2 + 1e-6).all()


def test_a_constant_dimension_is_lossless():
    z = np.repeat(cloud(1), 20, 0)
    coder = train_scalar(z)
    assert (coder.decode(coder.encode(z)) == z).all()


def test_opq_is_a_rotation_and_helps_correlated_vectors():
    mixing = cloud(8, 8, seed=4)
    z = (cloud(2000) * np.array([8, 4, 2, 1, 1, 0.5, 0.2, 0.1], np.float32)) @ mixing
    z = z - z.mean(0)
    turn = rotation(z, 4, seed=0)
    np.testing.assert_allclose(turn @ turn.T, np.eye(8), atol=1e-4)
    assert error(z @ turn, train_product(z @ turn, 4, 16, seed=0)) < error(z, train_product(z, 4, 16, seed=0))


@pytest.mark.parametrize(
    "train", [lambda z: train_product(z, 2, 16, seed=0), lambda z: train_residual(z, 2, 16, seed=0), train_scalar]
)
def test_nan_vectors_are_refused(train):
    z = cloud()
    z[3, 2] = np.nan
    with pytest.raises(NonFiniteError, match="NaN"):
        train(z)


def test_the_kernels_are_their_naive_loops():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (5, 30)).astype(np.uint8)
    tables = rng.standard_normal((2, 5, 16)).astype(np.float32)
    out = np.empty((2, 30), np.float32)
    lookup_sums(codes, tables, out)
    naive = [[sum(tables[r, s, codes[s, i]] for s in range(5)) for i in range(30)] for r in range(2)]
    np.testing.assert_allclose(out, naive, rtol=1e-5, atol=1e-6)
    byte_products(codes.T.copy(), tables[:, :, 0].copy(), out)
    np.testing.assert_allclose(out, tables[:, :, 0] @ codes.astype(np.float32), rtol=1e-5, atol=1e-5)
    rows, places, some = cloud(9), np.array([4, 4, 0, 8]), np.empty(4, np.float32)
    gathered_products(rows, places, rows[1], some)
    np.testing.assert_allclose(some, rows[places] @ rows[1], rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 50)), max_size=20, unique_by=lambda pair: pair[1]))
def test_settling_is_sorting_by_score_then_newness(pairs):
    scores = np.array([[s for s, _ in pairs]], np.float32)
    places = np.arange(len(pairs))[None]
    settle(scores, places, np.array([e for _, e in pairs], np.int64), np.array([0.5], np.float32), True)
    expected = sorted(pairs, key=lambda pair: (-pair[0], -pair[1]))
    assert list(zip((scores[0] - 0.5).tolist(), places[0].tolist(), strict=True)) == expected


@pytest.mark.parametrize("targets", [1, FEW_TARGETS, FEW_TARGETS + 1])
def test_tables_of_few_and_of_many_targets_are_inner_products_with_centroids(targets):
    x = cloud(400, 16).astype(np.float32)
    rows = cloud(targets, 16, seed=2).reshape(targets, 4, 4).astype(np.float32)
    part = train_part("pair", parse("QC8,RQ4x4fs"), x, rows, seed=0)
    tables, constants = part.tables(rows)
    u = rows.reshape(targets, 16)
    expected = np.einsum("rn,scn->rsc", u @ part.transform.search, part.coder.centroids)
    np.testing.assert_allclose(tables, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(constants, u @ part.transform.mean, rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_full_query_aware_transform_keeps_every_score(seed):
    x, u = cloud(50, 6, seed=seed), cloud(80, 6, seed=seed + 1)
    transform = query_aware(x, covariance(u), 6)
    scores = (u @ transform.search) @ transform.apply(x).T + (u @ transform.mean)[:, None]
    np.testing.assert_allclose(scores, u @ x.T, atol=2e-3)
    np.testing.assert_allclose(transform.restore(transform.apply(x)), x, atol=2e-3)


def test_squared_error_after_the_transform_is_the_expected_squared_error_of_the_score():
    x, u = cloud(50, 6), cloud(4000, 6, seed=1) * np.array([3, 2, 1, 1, 0.5, 0.1], np.float32)
    transform = query_aware(x, covariance(u, ridge=0), 6)
    noise = 0.1 * cloud(50, 6, seed=2)
    coded = transform.apply(x + noise) - transform.apply(x)
    np.testing.assert_allclose((coded**2).sum(1), ((u @ noise.T) ** 2).mean(0), rtol=1e-3)


def test_a_query_aware_transform_beats_a_plain_one_on_scores():
    """Targets look along two directions only: at the same size the transform spends its numbers there."""
    rng = np.random.default_rng(0)
    x = cloud(500, 16)
    u = (rng.standard_normal((300, 2)) @ rng.standard_normal((2, 16))).astype(np.float32)
    aware = query_aware(x, covariance(u), 4)
    plain = query_aware(x, np.eye(16), 4)
    lost = [float((((x - t.restore(t.apply(x))) @ u.T) ** 2).mean()) for t in (aware, plain)]
    assert lost[0] < 0.01 * lost[1]


def test_the_identity_only_centres():
    x = cloud(20, 3) + 5
    np.testing.assert_allclose(identity(x).apply(x), x - x.mean(0), atol=1e-6)


def test_targets_that_vanish_or_hold_nan_have_no_covariance():
    with pytest.raises(ConfigError, match="all weights are zero"):
        covariance(np.zeros((4, 6), np.float32))
    with pytest.raises(NonFiniteError, match="NaN"):
        covariance(np.full((4, 6), np.nan, np.float32))
