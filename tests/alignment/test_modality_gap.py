"""The number card on data whose answer is known: offset, rotation, independent noise, collapse; and naive oracles."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from seminar_core.alignment import gap_metrics
from seminar_core.alignment.card import number_card, rotated_onto
from seminar_core.alignment.definitions import PAIR_METRICS
from seminar_core.alignment.neighbours import nearest, shared_share
from seminar_core.errors import EmptyDataError, NonFiniteError, UnknownNameError

N, D = 400, 16


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def card_of(seed: int = 0, **channels: np.ndarray) -> dict:
    present = {name: np.ones(len(matrix), bool) for name, matrix in channels.items()}
    return number_card(channels, present, seed=seed, bootstrap=100)


@pytest.fixture(scope="module")
def base() -> np.ndarray:
    return unit(np.random.default_rng(1).standard_normal((N, D)))


@pytest.fixture(scope="module")
def rotation() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(2).standard_normal((D, D)))[0].astype(np.float32)


def test_a_pure_offset_is_a_centroid_gap_that_centring_removes(base):
    offset = np.zeros(D, np.float32)
    offset[0] = 1.5
    raw = card_of(T=base, I=base + offset)
    pair = raw["pairs"]["T>I"]
    assert pair["centroid_gap"]["value"] > 0.5 > 10 * pair["centroid_gap"]["random"]
    assert pair["cka"]["value"] > 0.9
    assert raw["modality_classifier_accuracy"] > 0.9
    centred = number_card(
        {"T": base, "I": base + offset}, {"T": np.ones(N, bool), "I": np.ones(N, bool)}, correction="centred"
    )
    after = centred["pairs"]["T>I"]
    assert after["centroid_gap"]["value"] < 0.06
    assert after["paired_cosine"]["mean"] > pair["paired_cosine"]["mean"]
    assert after["recall@1"]["value"] > 0.95
    assert centred["modality_classifier_accuracy"] < 0.6


def test_a_rotation_breaks_cosine_and_recall_but_neither_cka_nor_neighbours(base, rotation):
    pair = card_of(T=base, I=base @ rotation)["pairs"]["T>I"]
    assert abs(pair["paired_cosine"]["mean"]) < 0.25
    assert pair["recall@10"]["value"] < 0.1
    assert pair["cka"]["value"] == pytest.approx(1, abs=1e-5)
    assert pair["knn_overlap"]["value"] > 0.99


def test_procrustes_undoes_a_rotation_but_cannot_align_noise(base, rotation):
    noise = unit(np.random.default_rng(3).standard_normal((N, D)))
    present = {"T": np.ones(N, bool), "I": np.ones(N, bool)}
    turned = number_card({"T": base, "I": base @ rotation}, present, correction="procrustes")["pairs"]["T>I"]
    assert turned["recall@1"]["value"] > 0.95
    unrelated = number_card({"T": base, "I": noise}, present, correction="procrustes")["pairs"]["T>I"]
    assert abs(unrelated["paired_cosine"]["mean"]) < 0.05
    assert unrelated["recall@10"]["value"] < 3 * unrelated["recall@10"]["random"]


def test_independent_noise_is_at_chance_everywhere(base):
    noise = unit(np.random.default_rng(4).standard_normal((N, D)))
    pair = card_of(T=base, I=noise)["pairs"]["T>I"]
    for metric in ("recall@1", "recall@10", "mrr", "knn_overlap"):
        low, high = pair[metric]["interval"]
        assert low - 0.01 <= pair[metric]["random"] <= high + 0.01, metric
    assert pair["cka"]["value"] == pytest.approx(pair["cka"]["random"], abs=0.03)
    assert pair["paired_cosine"]["mean"] == pytest.approx(pair["paired_cosine"]["random"], abs=0.03)


def test_collapse_looks_perfect_to_the_cosine_and_is_unmasked_by_the_rest(base):
    flat = np.tile(base[:1], (N, 1))
    card = card_of(T=flat, I=flat)
    pair = card["pairs"]["T>I"]
    assert pair["paired_cosine"]["mean"] == pytest.approx(1, abs=1e-5)
    assert pair["recall@1"]["value"] == pytest.approx(1 / N)
    assert pair["mrr"]["value"] == pytest.approx(pair["mrr"]["random"])
    assert pair["cka"]["value"] is None and "0 / 0" in pair["cka"]["reason"]
    assert pair["knn_overlap"]["value"] is None and "tie" in pair["knn_overlap"]["reason"]
    assert card["channels"]["T"]["effective_rank"] == pytest.approx(1, abs=0.01)
    assert card["channels"]["T"]["uniformity"] == pytest.approx(0, abs=1e-4)
    assert card["channels"]["T"]["hubness"] is None


def test_equal_vectors_are_perfect(base):
    card = card_of(T=base, I=base.copy())
    pair = card["pairs"]["I>T"]
    assert pair["recall@1"]["value"] == 1 and pair["mrr"]["value"] == 1
    assert pair["knn_overlap"]["value"] == 1 and pair["cka"]["value"] == pytest.approx(1)
    assert pair["centroid_gap"]["value"] == 0
    assert card["modality_classifier_accuracy"] == pytest.approx(0.5, abs=0.1)


def test_every_figure_has_value_random_n_and_an_interval_around_it(base):
    rng = np.random.default_rng(5)
    noise = {"Q": 0.2, "A": 0.3, "T": 0.1, "I": 0.4}
    channels = {name: unit(base + scale * rng.standard_normal((N, D))) for name, scale in noise.items()}
    card = card_of(**channels)
    assert len(card["pairs"]) == 12 and card["n_items"] == N
    for pair in card["pairs"].values():
        assert tuple(pair) == PAIR_METRICS
        for metric, figure in pair.items():
            value = figure["mean" if metric == "paired_cosine" else "value"]
            low, high = figure["interval"]
            assert low <= value <= high, metric
            assert figure["n"] == N and figure["random"] is not None
    for shape in card["channels"].values():
        for metric in ("effective_rank", "uniformity", "hubness"):
            assert shape["interval"][metric][0] - 0.05 <= shape[metric] <= shape["interval"][metric][1] + 0.05, metric


def test_ranks_equal_a_naive_count_with_ties():
    rng = np.random.default_rng(6)
    x, y = rng.integers(-1, 2, (40, 3)).astype(np.float32), rng.integers(-1, 2, (40, 3)).astype(np.float32)
    forth, back = gap_metrics.paired_ranks(x, y)
    scores = x @ y.T
    for i in range(40):
        assert forth.better[i] == (scores[i] > scores[i, i]).sum()
        assert forth.ties[i] == (scores[i] == scores[i, i]).sum() - 1
        assert back.better[i] == (scores[:, i] > scores[i, i]).sum()
        assert back.ties[i] == (scores[:, i] == scores[i, i]).sum() - 1
    places = [np.arange(b, b + t + 1) + 1 for b, t in zip(forth.better, forth.ties, strict=True)]
    assert np.allclose(forth.reciprocal(), [(1 / p).mean() for p in places])
    assert np.allclose(forth.recall(10), [(p <= 10).mean() for p in places])


def test_cka_equals_the_gram_matrix_definition(base):
    rng = np.random.default_rng(7)
    x, y = base[:60], rng.standard_normal((60, 9))
    centre = np.eye(60) - 1 / 60
    k, m = centre @ (x @ x.T) @ centre, centre @ (y @ y.T) @ centre
    expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert gap_metrics.linear_cka(x, y).value == pytest.approx(expected, rel=1e-5)


def test_uniformity_equals_the_double_loop(base):
    x = base[:50]
    pairs = [np.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i in range(50) for j in range(50) if i != j]
    assert np.log(gap_metrics.uniformity_parts(x).mean()) == pytest.approx(np.log(np.mean(pairs)), rel=1e-4)


def test_uniformity_of_the_sphere_is_what_random_directions_have():
    x = unit(np.random.default_rng(8).standard_normal((2000, 64)))
    assert np.log(gap_metrics.uniformity_parts(x).mean()) == pytest.approx(
        gap_metrics.uniformity_of_sphere(64), abs=0.01
    )


def test_effective_rank_counts_equal_directions():
    assert gap_metrics.effective_rank(np.array([4.0, 4, 4, 0, 0])) == pytest.approx(3, abs=1e-6)


def test_neighbours_and_overlap_equal_the_naive_search(base):
    rng = np.random.default_rng(9)
    other = unit(base + 0.5 * rng.standard_normal(base.shape))
    tables = []
    for matrix in (base, other):
        distance = pairwise_distances(matrix, metric="cosine")
        np.fill_diagonal(distance, np.inf)
        tables.append(np.argsort(distance, axis=1)[:, :10])
    found = nearest(base, 10)[0], nearest(other, 10)[0]
    assert all((np.sort(a) == np.sort(b)).mean() > 0.999 for a, b in zip(found, tables, strict=True))
    naive = [len(set(a) & set(b)) / 10 for a, b in zip(*tables, strict=True)]
    assert np.allclose(shared_share(*tables), naive)


def test_many_exact_copies_never_list_a_point_as_its_own_neighbour():
    rows, _ = nearest(np.tile(unit(np.ones((1, 4))), (30, 1)), 5)
    assert (rows != np.arange(30)[:, None]).all()


def test_encoders_of_different_widths_are_compared_by_overlap_and_cka_only(base):
    wide = np.concatenate([base, np.zeros((N, 5), np.float32)], axis=1)
    pair = card_of(T=base, I=wide)["pairs"]["T>I"]
    assert pair["knn_overlap"]["value"] == 1 and pair["cka"]["value"] == pytest.approx(1)
    for metric in ("centroid_gap", "recall@1", "mrr"):
        assert pair[metric]["value"] is None and "widths 16 and 21 differ" in pair[metric]["reason"]


def test_one_missing_modality_is_null_with_its_reason_and_leaves_the_others(base):
    present = {"A": np.ones(N, bool), "T": np.ones(N, bool), "I": np.zeros(N, bool)}
    card = number_card({"A": base, "T": base, "I": base}, present)
    assert card["pairs"]["A>I"]["recall@1"] == {
        "value": None,
        "random": None,
        "n": 0,
        "interval": None,
        "reason": "only 0 items have both modalities; at least 15 are needed",
    }
    assert card["pairs"]["A>T"]["recall@1"]["value"] == 1
    assert card["channels"]["I"]["effective_rank"] is None and card["channels"]["I"]["n"] == 0
    assert card["modality_classifier_accuracy"] == pytest.approx(0.5, abs=0.1)


def test_fewer_than_fifteen_items_is_a_named_error(base):
    with pytest.raises(EmptyDataError, match="14 items are too few for a number card"):
        card_of(T=base[:14], I=base[:14])


def test_nan_is_a_named_error_that_says_where(base):
    broken = base.copy()
    broken[3, 2] = np.nan
    with pytest.raises(NonFiniteError, match=r"channel I \(image\): 1 of 400 items"):
        card_of(T=base, I=broken)


def test_nan_under_an_absent_entry_is_never_read(base):
    broken = base.copy()
    broken[3, 2] = np.nan
    present = {"T": np.ones(N, bool), "I": np.arange(N) != 3}
    card = number_card({"T": base, "I": broken}, present)
    assert card["pairs"]["T>I"]["recall@1"]["n"] == N - 1


def test_zero_vectors_marked_present_are_counted_as_absent_and_said(base):
    zeros = base.copy()
    zeros[:3] = 0
    card = card_of(T=base, I=zeros)
    assert card["pairs"]["T>I"]["mrr"]["n"] == N - 3
    assert card["notes"] == ["channel I: 3 vectors of length zero count as absent"]


def test_held_out_items_are_measured_apart(base):
    noise = unit(np.random.default_rng(10).standard_normal((N, D)))
    heldout = np.arange(N) % 4 == 0
    image = np.where(heldout[:, None], noise, base)
    present = {"T": np.ones(N, bool), "I": np.ones(N, bool)}
    card = number_card({"T": base, "I": image}, present, heldout=heldout)
    assert card["n_items"] == 300 and card["heldout"]["n_items"] == 100
    assert card["pairs"]["T>I"]["recall@1"]["value"] == 1
    assert card["heldout"]["pairs"]["T>I"]["recall@1"]["value"] < 0.1


def test_where_too_few_items_are_in_alignment_the_held_out_ones_are_measured_alone(base):
    present = {"T": np.ones(N, bool), "I": np.ones(N, bool)}
    for kept_in in (0, 14):
        heldout = np.arange(N) >= kept_in
        for correction in ("none", "centred"):
            card = number_card({"T": base, "I": base}, present, heldout=heldout, bootstrap=20, correction=correction)
            figures = card["pairs"]["T>I"]["recall@1"]
            assert card["n_items"] == kept_in and figures["value"] is None
            assert figures["reason"] == f"only {kept_in} items have both modalities; at least 15 are needed"
            assert f"{kept_in} items in alignment: too few to be measured" in card["notes"]
            assert card["heldout"]["pairs"]["T>I"]["recall@1"]["value"] == 1
    with pytest.raises(EmptyDataError, match="14 items in alignment and 2 held out are too few for a number card"):
        number_card({"T": base[:16]}, {"T": np.ones(16, bool)}, heldout=np.arange(16) >= 14)


def test_the_card_is_the_same_for_the_same_seed_and_refuses_unknown_corrections(base):
    assert card_of(seed=3, T=base, I=base[::-1]) == card_of(seed=3, T=base, I=base[::-1])
    with pytest.raises(UnknownNameError, match="centred, none, procrustes"):
        number_card({"T": base}, {"T": np.ones(N, bool)}, correction="whitened")


def test_bootstrap_interval_of_the_mean_matches_the_textbook(base):
    rng = np.random.default_rng(11)
    other = unit(base + 0.3 * rng.standard_normal(base.shape))
    cosine = np.einsum("nd,nd->n", base, other)
    low, high = card_of(T=base, I=other)["pairs"]["T>I"]["paired_cosine"]["interval"]
    assert (high - low) == pytest.approx(2 * 1.96 * cosine.std() / np.sqrt(N), rel=0.35)


def test_rotation_is_fitted_on_the_other_half(base, rotation):
    turned = rotated_onto(base @ rotation, base, np.random.default_rng(0))
    assert np.allclose(turned, base, atol=1e-4)


@pytest.mark.slow
def test_ten_thousand_items_take_under_five_seconds_warm():
    rng = np.random.default_rng(0)
    channels = {name: rng.standard_normal((10_000, 64)).astype(np.float32) for name in "QATI"}
    present = {name: rng.random(10_000) < 0.9 for name in channels}
    number_card({k: v[:50] for k, v in channels.items()}, {k: v[:50] for k, v in present.items()})
    started = time.perf_counter()
    number_card(channels, present)
    assert time.perf_counter() - started < 5
