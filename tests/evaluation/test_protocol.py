"""The protocol against naive loops: one set of questions for all, nothing late is visible, presence gives no hint."""

from dataclasses import replace

import numpy as np
import pytest

from seminar_core.data import candidates
from seminar_core.data.pools import item_counts
from seminar_core.errors import ConfigError, EmptyDataError, UnknownNameError
from seminar_core.evaluation import baselines, protocol
from seminar_core.evaluation.baselines import baseline_ranks, oracle_ranks, popularity_ranks, training_counts
from seminar_core.evaluation.metrics import label_auc, mean_metrics
from seminar_core.evaluation.protocol import (
    batch_size,
    days_since_interest,
    label_metrics,
    labelled_targets,
    rank_model,
    slice_masks,
    slice_rows,
    summary,
)
from seminar_core.evaluation.questions import ask, rival_mask
from tests.evaluation.asked_data import PlainTruth, plain_data

MODES = ("recommendation", "search", "pair")


def test_questions_are_told_apart_by_what_is_asked():
    dataset, split = plain_data()
    first, same, fewer = (ask(dataset, split, negatives=n) for n in (9, 9, 8))
    assert first.identity == same.identity != fewer.identity
    event = first.targets.event - 1
    assert replace(first, targets=replace(first.targets, event=event)).identity != first.identity
    assert replace(first, item=first.item[:, ::-1]).identity != first.identity
    assert ask(dataset, split, negatives="full").identity != ask(dataset, split, negatives="full", seed=1).identity


@pytest.mark.parametrize("mode", MODES)
def test_more_rivals_than_there_are_items_are_all_of_them(mode):
    dataset, split = plain_data()
    enough = ask(dataset, split, mode=mode, negatives=dataset.n_items)
    more = ask(dataset, split, mode=mode, negatives=10**18 - 1)
    assert np.array_equal(more.item, enough.item) and np.array_equal(more.query, enough.query)
    assert more.protocol["fewer_rivals"] == len(more) and more.protocol["negatives"] == 10**18 - 1


def count_in_life(lives, targets):
    """Scores a candidate by how often its item stands among the events that the target may see."""
    seen = lives.valid[:, None, :] & (np.arange(lives.item.shape[1]) < targets.visible[..., None])  # (B, P, L)
    same = targets.item[..., None] == lives.item[:, None, None, :]  # (B, P, N, L)
    return (same & seen[:, :, None, :]).sum(axis=-1).astype(float)


def naive_ranks(dataset, questions, max_length, score):
    better, ties = [], []
    store = dataset.store
    for row in range(len(questions)):
        person, time_s = int(questions.targets.person[row]), questions.targets.time_s[row]
        life = slice(store.offsets[person], store.offsets[person + 1])
        visible = store.item[life][store.time_s[life] < time_s][-max_length:]
        own = int(questions.targets.item[row])
        if questions.item is None:
            met = set(store.item[life].tolist())
            rivals = [i for i in range(1, dataset.n_items + 1) if i not in met]
        else:
            rivals = questions.item[row, 1:].tolist()
        scores = [score(visible, item) for item in rivals]
        better.append(sum(s > score(visible, own) for s in scores))
        ties.append(sum(s == score(visible, own) for s in scores))
    return better, ties


@pytest.mark.parametrize("negatives", [9, "full"])
def test_ranks_equal_a_loop_over_targets_and_items(negatives, monkeypatch):
    monkeypatch.setattr(protocol, "CHUNK", 17)
    monkeypatch.setattr(protocol, "CELLS", 600)
    dataset, split = plain_data()
    questions = ask(dataset, split, negatives=negatives, pool="catalogue")

    def score(visible, item):
        return float((np.abs(visible.astype(float) - item) <= 2).sum())

    def near_in_life(lives, targets):
        seen = lives.valid[:, None, :] & (np.arange(lives.item.shape[1]) < targets.visible[..., None])
        near = np.abs(targets.item[..., None].astype(float) - lives.item[:, None, None, :]) <= 2
        return (near & seen[:, :, None, :]).sum(axis=-1).astype(float)

    measured = rank_model(near_in_life, dataset, questions, max_length=7)
    better, ties = naive_ranks(dataset, questions, 7, score)
    assert measured.ranks.better.tolist() == better and measured.ranks.ties.tolist() == ties
    assert measured.people_per_s > 0


def test_nothing_at_or_after_the_target_changes_a_score():
    dataset, split = plain_data()
    questions = ask(dataset, split, negatives=9)
    before = rank_model(count_in_life, dataset, questions, max_length=50).ranks
    for person, event in zip(split.test.person, split.test.event, strict=True):
        start, stop = dataset.store.offsets[person], dataset.store.offsets[person + 1]
        late = np.arange(start, stop)[dataset.store.time_s[start:stop] >= dataset.store.time_s[start + event]]
        dataset.store.item[late] = 1
    after = rank_model(count_in_life, dataset, questions, max_length=50).ranks
    assert (before.better == after.better).all() and (before.ties == after.ties).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_scorer_that_sees_only_the_presence_of_queries_gets_exactly_chance(mode):
    dataset, split = plain_data(people=40, items=200)
    questions = ask(dataset, split, mode=mode, negatives=19)

    def presence(lives, targets):
        return (targets.query > 0).astype(float) * 3 + (lives.query > 0).sum(axis=1)[:, None, None]

    metrics = mean_metrics(rank_model(presence, dataset, questions, max_length=50).ranks)
    assert metrics["HIT@10"] == pytest.approx(0.5) and metrics["AUC"] == pytest.approx(0.5)


@pytest.mark.parametrize("mode", ["search", "pair"])
def test_search_and_pair_use_only_targets_with_a_query_and_say_how_many(mode):
    dataset, split = plain_data(people=40, items=200)
    questions = ask(dataset, split, mode=mode, negatives=9)
    assert questions.protocol["n"] == len(questions) == int((split.test.query > 0).sum())
    assert questions.protocol["left_out"] == int((split.test.query == 0).sum())
    assert (questions.query > 0).all()


def test_recommendation_hides_every_query():
    dataset, split = plain_data()
    assert not ask(dataset, split, negatives=9).query.any()
    assert not ask(dataset, split, negatives="full").query.any()


def test_questions_of_some_people_equal_their_rows_among_all():
    dataset, split = plain_data()
    whole = ask(dataset, split, negatives=9, seed=3)
    some = ask(dataset, split, negatives=9, seed=3, people=np.array([2, 5]))
    rows = np.isin(whole.targets.person, [2, 5])
    assert (whole.item[rows] == some.item).all()


def test_rivals_of_the_full_catalogue_were_never_met():
    dataset, split = plain_data()
    mask = rival_mask(dataset, split.test)
    for row, person in enumerate(split.test.person):
        life = dataset.store.item[dataset.store.offsets[person] : dataset.store.offsets[person + 1]]
        unmet = set(range(1, dataset.n_items + 1)) - set(dataset.store.item.tolist())
        assert set(np.flatnonzero(~mask[row]) + 1) == set(life.tolist()) | unmet
        whole = rival_mask(dataset, split.test, "catalogue")[row]
        assert set(np.flatnonzero(~whole) + 1) == set(life.tolist())


def test_the_pool_of_rivals_is_counted_once_however_many_batches_are_ranked(monkeypatch):
    dataset, split = plain_data()
    questions = ask(dataset, split, negatives="full")
    counted: list[int] = []

    def count(store, n_items, train_end=None):
        counted.append(1)
        return item_counts(store, n_items, train_end)

    monkeypatch.setattr(candidates, "item_counts", count)
    for size in (1, 100):
        monkeypatch.setattr(baselines, "BLOCK", size)
        monkeypatch.setattr(protocol, "batch_size", lambda *sizes, size=size: size)
        counted.clear()
        rank_model(count_in_life, dataset, questions, max_length=10)
        popularity_ranks(dataset, split, questions)
        assert len(counted) == 2  # the model's and popularity's
    counted.clear()
    candidates.evaluation_negatives(dataset, split.test, count=5)
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"mode": "searching"}, UnknownNameError, "recommendation"),
        ({"sampler": "random"}, UnknownNameError, "uniform"),
        ({"part": "train"}, UnknownNameError, "validation"),
        ({"mode": "pair", "negatives": "full"}, ConfigError, "full catalogue"),
        ({"negatives": "many"}, ConfigError, "many"),
        ({"negatives": 0}, ConfigError, "at least 1"),
    ],
)
def test_what_cannot_be_asked_is_named(change, error, words):
    with pytest.raises(error, match=words):
        ask(*plain_data(), **change)


def test_a_mode_without_targets_says_which_mode_to_use():
    for negatives in (9, "full"):
        with pytest.raises(EmptyDataError, match="search"):
            ask(*plain_data(searches=False), mode="search", negatives=negatives)


@pytest.mark.parametrize("negatives", [9, "full"])
def test_popularity_and_oracle_stand_beside_chance(negatives):
    dataset, split = plain_data(people=40, truth=PlainTruth())
    questions = ask(dataset, split, negatives=negatives)
    rows = baseline_ranks(dataset, split, questions)
    assert mean_metrics(rows["chance"])["AUC"] == pytest.approx(0.5)
    counts = training_counts(dataset, split).astype(float)
    by_hand = rank_model(lambda lives, targets: counts[targets.item], dataset, questions, max_length=5).ranks
    assert (rows["popularity"].better == by_hand.better).all() and (rows["popularity"].ties == by_hand.ties).all()
    assert (rows["oracle"].candidates == by_hand.candidates).all()


def test_there_is_no_oracle_where_nothing_was_planted():
    dataset, split = plain_data()
    assert oracle_ranks(dataset, ask(dataset, split, negatives=9)) is None


def test_the_oracle_of_the_catalogue_agrees_with_the_candidates():
    dataset, split = plain_data(people=40, truth=PlainTruth())
    full = oracle_ranks(dataset, ask(dataset, split, negatives="full"))
    likes = split.test.item % 4 == split.test.person % 4
    assert (full.better[likes] == 0).all() and (full.better[~likes] > 0).all()


def test_training_counts_leave_the_held_out_events_out():
    dataset, split = plain_data()
    counts = np.zeros(dataset.n_items + 1, int)
    for person in range(dataset.store.n_people):
        start = dataset.store.offsets[person]
        np.add.at(counts, dataset.store.item[start : start + split.train_end[person]], 1)
    assert training_counts(dataset, split).tolist() == counts.tolist()


def test_slices_cover_what_they_say():
    dataset, split = plain_data(people=40, items=60)
    questions = ask(dataset, split, negatives=9)
    ranks = popularity_ranks(dataset, split, questions)
    present = {"image": np.arange(61) % 2 == 0}
    masks = slice_masks(dataset, questions, trained=training_counts(dataset, split), present=present)
    assert (masks["with image"] == (questions.targets.item % 2 == 0)).all()
    assert (masks["length 0-49"]).all() and "length 50-199" not in masks
    rows = slice_rows(ranks, masks)
    by_name = {row["slice"]: row for row in rows}
    assert by_name["with image"]["n"] + by_name["without image"]["n"] == len(questions)
    low, high = by_name["warm target"]["interval"]["MRR"]
    assert low <= by_name["warm target"]["metrics"]["MRR"] <= high


def test_a_summary_has_an_interval_around_every_mean():
    dataset, split = plain_data(people=40)
    metrics, bounds = summary(popularity_ranks(dataset, split, ask(dataset, split, negatives=9)))
    assert all(bounds[name][0] <= value <= bounds[name][1] for name, value in metrics.items())


def test_label_metrics_use_held_out_events_of_both_labels():
    dataset, split = plain_data(people=40, labels=True)
    targets = labelled_targets(dataset, split)
    assert (targets.event >= split.train_end[targets.person]).all() and set(targets.label.tolist()) == {0, 1}
    measured = label_metrics(lambda lives, batch: batch.item * 0.01, dataset, split, max_length=10)
    assert measured["label_AUC"] == pytest.approx(label_auc(targets.item * 0.01, targets.label))
    assert {"GAUC", "log_loss", "n"} <= measured.keys()


def test_without_both_labels_there_are_no_label_metrics():
    with pytest.raises(EmptyDataError, match="0 labels of 1"):
        labelled_targets(*plain_data())


def test_batches_shrink_as_lives_and_candidates_grow():
    assert batch_size(100, 100, 80) == 256
    assert batch_size(100_000, 1000, 100_000) == 1


def test_popularity_has_nothing_to_learn_from_random_events_beside_items_that_nobody_met():
    """On the whole catalogue it looks perfect: its counts tell apart what exists from what does not."""
    hits = []
    for seed in range(12):
        dataset, split = plain_data(people=300, items=200, seed=seed)
        dataset.n_items, dataset.category = 3200, np.zeros(3201, np.int32)
        asked = {pool: ask(dataset, split, negatives=99, pool=pool) for pool in ("met", "catalogue")}
        found = {pool: mean_metrics(popularity_ranks(dataset, split, q))["HIT@10"] for pool, q in asked.items()}
        assert found["catalogue"] > 0.95 and asked["met"].protocol["unmet_share"] == pytest.approx(15 / 16)
        hits.append(found["met"])
    error = 2.6 * np.std(hits) / np.sqrt(len(hits))
    assert abs(np.mean(hits) - 0.10) < error, f"chance is .10, popularity has {np.mean(hits):.3f} +- {error:.3f}"


def test_the_age_of_an_interest_is_counted_to_the_last_earlier_event_of_the_category():
    dataset, split = plain_data(people=30, items=40)
    questions = ask(dataset, split, negatives=9)
    targets, store = questions.targets, dataset.store
    found = days_since_interest(dataset, targets)
    for row in range(len(targets)):
        begin, wanted = store.offsets[targets.person[row]], dataset.category[targets.item[row]]
        ages = [
            (targets.time_s[row] - store.time_s[e]) / 86_400
            for e in range(begin, begin + targets.event[row])
            if dataset.category[store.item[e]] == wanted and store.time_s[e] < targets.time_s[row]
        ]
        if wanted:
            assert found[row] == (min(ages) if ages else np.inf)
        else:
            assert np.isnan(found[row])
    masks = slice_masks(dataset, questions, trained=training_counts(dataset, split), present={})
    met = sum(mask for name, mask in masks.items() if name.startswith("interest "))
    assert (met == np.isfinite(found) + np.isinf(found)).all()
