"""A search trace against plain loops: visibility, unions, weights, mass, logits, and why something was lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seminar_core.contracts import CHANNELS, LifeBatch, TargetBatch
from seminar_core.errors import (
    ChannelWeightsError,
    ConfigError,
    NotReadyError,
    StaleError,
    UnknownItemError,
    UnknownNameError,
    UnknownPersonError,
)
from seminar_core.model.tensors import to_tensors
from seminar_core.retrieval.codebooks import save_codebooks
from seminar_core.retrieval.spec import SpecError
from seminar_core.search import trace as module
from seminar_core.search.answer import answer
from seminar_core.search.explanation import explain_event
from seminar_core.search.question import METHODS, RIVALS, Question, next_item
from seminar_core.search.rival_stages import RULES
from seminar_core.search.second_stage import Weighting, pair_vectors
from seminar_core.search.study import codebook_directory, make_codebooks, open_study, training_targets
from seminar_core.search.targets import find_items, top_items
from seminar_core.search.trace import trace
from seminar_core.search.typed_query import query_row
from seminar_core.training.finetune import finetune
from seminar_core.training.recipe import FinetuneConfig
from seminar_core.training.settings import load_config
from tests.tiny_run import COARSE, SMALL, SPEC, make_run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study(make_run(tmp_path_factory.mktemp("trace")), "run")


def ask(study, person=0, **settings):
    """A question about the last event of a person."""
    life = study.dataset.store.life(person)
    settings = {"item": study.dataset.item_ids[int(life.item[-1])], "spec": COARSE, "shortlist": 0.0, **settings}
    return Question(study.dataset.person_ids[person], **settings)


def naive_scores(study, found):
    """(H, L) exact scores by one loop over heads, events and channels, from the model's own weights."""
    model, vectors = study.model, study.vectors
    life = study.dataset.store.life(found.moment.person_row)
    w = study.own_weights()
    g = model.projections.all().detach().numpy()
    rows = {"Q": vectors.query, **{c: vectors.item[:, n] for n, c in enumerate("ATI")}}

    def pair(item, query):
        parts = [g[m] @ rows[c][query if c == "Q" else item] * w[m] for m, c in enumerate(CHANNELS)]
        if query and vectors.query_present[query]:
            return np.sum(parts, 0)
        return np.sum(parts[1:], 0) / w[1:].sum()

    target = pair(found.item_row, found.query_row)
    heads = model.heads
    q = (model.score.query.detach().numpy() @ target).reshape(heads, -1)
    out = np.zeros((heads, len(found.moment.positions)))
    for n, event in enumerate(found.moment.positions):
        k = (model.score.key.detach().numpy() @ pair(int(life.item[event]), int(life.query[event]))).reshape(heads, -1)
        out[:, n] = (q * k).sum(1) / np.sqrt(k.shape[1])
    return out


def test_exact_scores_and_kept_events_equal_a_plain_loop(study):
    found = trace(study, ask(study))
    scores = naive_scores(study, found)
    assert np.allclose(found.scores, scores, atol=1e-5)
    union = set()
    for row in found.scores:
        order = sorted(range(len(row)), key=lambda n: (-row[n], -n))[:6]
        union |= {int(found.moment.positions[n]) for n in order}
    assert union == set(found.exact.events.tolist())


def test_only_events_strictly_before_the_time_are_visible(study):
    for person in range(study.dataset.n_people):
        life = study.dataset.store.life(person)
        for at in (None, "5", "end"):
            found = trace(study, ask(study, person, at=at), timed=False)
            when = found.moment.time_s
            assert np.array_equal(found.moment.positions, np.flatnonzero(life.time_s < when))
        assert len(found.moment.positions) == len(life)


def test_the_answer_obeys_its_meanings(study):
    for person in range(4):
        found = trace(study, ask(study, person))
        said = answer(study, found)
        exact, approx = said["exact"], said["approx"]
        assert sum(r["weight"] for r in exact) == pytest.approx(1) == sum(r["weight"] for r in approx)
        assert [r["rank"] for r in exact] == list(range(1, len(exact) + 1))
        weights = [r["weight"] for r in exact]
        assert weights == sorted(weights, reverse=True)
        a, b = ({r["event"] for r in rows} for rows in (exact, approx))
        assert said["recall"] == len(a & b) / len(a)
        by_event = dict(zip(found.moment.positions.astype(str), found.scores.max(0), strict=True))
        assert all(r["score"] == pytest.approx(by_event[r["event"]], abs=1e-6) for r in exact)
        assert all(r["score_exact"] == pytest.approx(by_event[r["event"]], abs=1e-6) for r in approx)
        softmax = np.exp(found.scores - found.scores.max(1, keepdims=True)).astype(np.float64)
        shares = []
        for h, row in enumerate(softmax):
            mine, theirs = ({int(r["event"]) for r in rows if h in r["heads"]} for rows in (exact, approx))
            place = {int(p): n for n, p in enumerate(found.moment.positions)}
            shares.append(sum(row[place[e]] for e in theirs) / sum(row[place[e]] for e in mine))
            assert said["recall_per_head"][h] == pytest.approx(len(mine & theirs) / len(mine))
        assert said["attention_mass"] == pytest.approx(np.mean(shares), abs=1e-6)


def test_the_exact_logit_and_weights_are_the_models_own(study):
    found = trace(study, ask(study, k=int(study.run.config.model.keep)))
    life = study.dataset.store.life(found.moment.person_row)
    seen = found.moment.positions
    batch = LifeBatch(
        life.item[seen][None], life.query[seen][None], life.time_s[seen][None], np.ones((1, len(seen)), bool)
    )
    one = np.ones((1, 1), bool)
    target = TargetBatch(
        np.array([[[found.item_row]]], np.int32),
        np.zeros((1, 1, 1), np.int32),
        np.array([[found.moment.time_s]]),
        np.array([[len(seen)]], np.int32),
        one,
        one.astype(np.int8),
    )
    inside = study.model.inspect(*to_tensors(batch, target))
    assert found.exact.outcome.logit == pytest.approx(float(inside.logits.reshape(-1)[0]), abs=1e-5)
    assert np.allclose(found.exact.outcome.interest, inside.interest.reshape(-1).numpy(), atol=1e-5)
    weight = inside.weights[0, 0, 0].mean(0).numpy()
    mine = dict(zip(found.exact.events.tolist(), found.exact.weight.tolist(), strict=True))
    for n, event in enumerate(seen.tolist()):
        assert mine.get(event, 0.0) == pytest.approx(float(weight[n]), abs=1e-6)


def test_pair_vectors_with_the_runs_own_weights_are_the_models(study):
    store = study.dataset.store
    item, query = np.array(store.item[:50]), np.array(store.query[:50])
    own = study.own_weights()
    mine = pair_vectors(study.model, item, query, Weighting(own, 1 / own[1:].sum()))
    theirs = study.model.encoder().encode(torch.as_tensor(item).long(), torch.as_tensor(query).long()).pair
    assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_runs_own_weights_given_explicitly_change_nothing(study):
    own = tuple(float(w) for w in study.own_weights())
    plain, given = (answer(study, trace(study, ask(study, **s), timed=False)) for s in ({}, {"weights": own}))
    assert [r["event"] for r in plain["exact"]] == [r["event"] for r in given["exact"]]
    assert plain["logit_exact"] == pytest.approx(given["logit_exact"], abs=1e-4)


def test_a_masked_channel_is_a_zero_weight(study):
    own = study.own_weights()
    zero = tuple(float(w) for w in np.where([c == "I" for c in CHANNELS], 0, own))
    masked, given = (trace(study, ask(study, **s), timed=False) for s in ({"mask": ("I",)}, {"weights": zero}))
    assert np.array_equal(masked.exact.events, given.exact.events) and np.array_equal(masked.scores, given.scores)


def test_a_left_out_period_is_not_searched(study):
    times = study.dataset.store.life(0).time_s
    low, high = int(times[3]), int(times[9])
    found = trace(study, ask(study, hide_from_s=low, hide_to_s=high), timed=False)
    left = times[found.moment.positions]
    assert (
        not ((left >= low) & (left <= high)).any()
        and len(left) == ((times < times[-1]) & ((times < low) | (times > high))).sum()
    )


def test_one_head_alone_is_that_row(study):
    whole, alone = trace(study, ask(study)), trace(study, ask(study, head=1))
    assert np.array_equal(alone.scores[0], whole.scores[1])
    assert all(heads == [1] for heads in alone.exact.heads) and len(alone.exact.kept.events) == 1
    assert answer(study, alone)["exact"][0]["weight"] == pytest.approx(whole.exact.outcome.weights[1].max(), abs=1e-6)


def test_every_rival_has_a_rule_and_every_rule_a_name():
    assert tuple(RULES) == RIVALS


@pytest.mark.parametrize("method", METHODS)
def test_more_kept_events_than_the_life_has_are_the_whole_life(study, method):
    at = len(study.dataset.store.life(0)) - 1
    whole = answer(study, trace(study, ask(study, k=at, method=method)))
    more = answer(study, trace(study, ask(study, k=10**12, method=method)))
    assert len(more["exact"]) == more["visible_events"] > 0
    assert all(more[key] == whole[key] for key in whole if key != "latency_us")


def test_positions_are_answered_as_plain_decimals(study):
    found = trace(study, ask(study, at="0010"))
    assert answer(study, found)["at_event"] == "10"
    event = "00" + str(found.exact.events[0])
    assert explain_event(study, found, event)["event"] == str(found.exact.events[0])


def test_exact_as_the_method_loses_nothing(study):
    said = answer(study, trace(study, ask(study, method="exact")))
    assert said["recall"] == 1 and said["attention_mass"] == 1 and said["interest_error"] == 0
    assert said["logit_exact"] == said["logit_approx"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_visible_events_and_weights_that_sum_to_one(study, method):
    found = trace(study, ask(study, 1, method=method, spec=SPEC))
    assert set(found.approx.events.tolist()) <= set(found.moment.positions.tolist())
    if len(found.approx.events):
        assert found.approx.weight.sum() == pytest.approx(1)


def test_a_person_without_a_visible_event_gets_an_empty_answer(study):
    said = answer(study, trace(study, ask(study, at="0")))
    assert said["exact"] == [] == said["approx"] and said["visible_events"] == 0
    assert said["recall"] is None and said["attention_mass"] is None and said["interest_error"] is None


@pytest.mark.parametrize("spec", [COARSE, SPEC])
@pytest.mark.parametrize("shortlist", [0.0, 2.0])
def test_explanations_are_exact_sums(study, spec, shortlist):
    explanations_are_exact_sums(study, spec, shortlist)


def explanations_are_exact_sums(study, spec, shortlist):
    for person in range(3):
        found = trace(study, ask(study, person, spec=spec, shortlist=shortlist))
        for event in found.exact.events[:8].tolist():
            said = explain_event(study, found, str(event))
            place = np.searchsorted(found.moment.positions, event)
            assert said["score_exact"] == pytest.approx(found.scores[said["head"], place], abs=1e-6)
            assert np.sum(said["contributions"]) == pytest.approx(said["score_exact"], abs=1e-5)
            error = said["score_approx"] - said["score_exact"]
            assert sum(said["error_by_channel"].values()) == pytest.approx(error, abs=1e-5)
            assert sum(said["error_by_subspace"]) == pytest.approx(error, abs=1e-5)
            lost = event not in found.approx.events
            assert (said["lost_in"] is not None) == lost
            assert str(event) not in said["shares_code_with"]


def test_an_event_is_explained_for_a_head_that_lost_it_else_for_one_that_kept_it(study):
    lost_elsewhere = 0
    for person in range(study.dataset.n_people):
        found = trace(study, ask(study, person, k=3), timed=False)
        exact, approx = (
            dict(zip(side.events.tolist(), side.heads, strict=True)) for side in (found.exact, found.approx)
        )
        for place, event in enumerate(found.moment.positions.tolist()):
            said = explain_event(study, found, str(event))
            kept = exact.get(event, []), approx.get(event, [])
            lost = [head for head in kept[0] if head not in kept[1]]
            among = lost or kept[0] or kept[1] or list(range(study.heads))
            assert said["head"] == max(among, key=lambda head: found.scores[head, place])
            assert said["kept_by_heads"] == {"exact": kept[0], "approx": kept[1]}
            lost_elsewhere += bool(lost) and said["head"] != int(found.scores[:, place].argmax())
    assert lost_elsewhere  # the head with the largest score had kept some of them


def test_with_one_head_asked_for_that_head_is_explained(study):
    found = trace(study, ask(study, head=1), timed=False)
    event = int(found.exact.events[0])
    said = explain_event(study, found, str(event))
    assert said["head"] == 1 and said["kept_by_heads"]["exact"] == [1]


def test_a_search_without_codes_is_not_explained_by_them(study):
    for spec in ("exact", "HNSW", "LSH", "fused,exact"):
        found = trace(study, ask(study, spec=spec), timed=False)
        with pytest.raises(SpecError, match="needs no codes, so nothing is lost in one") as refused:
            explain_event(study, found, str(found.exact.events[0]))
        assert COARSE in refused.value.hint and "codebooks --" not in refused.value.hint


def test_approximate_scores_are_those_that_the_codes_stand_for(study):
    found = trace(study, ask(study, spec=COARSE))
    for event, score in list(found.near_scores.items())[:10]:
        said = explain_event(study, found, str(event))
        assert said["score_approx"] <= score + 1e-4


def test_a_typed_query_that_is_known_has_its_row_and_a_new_one_gets_its_own(study):
    known = study.dataset.query_texts[1]
    assert query_row(study, f" {known} ") == 1 and query_row(study, "") == 0
    new = query_row(study, "purple kettle nobody asked for")
    assert new > study.dataset.n_queries and query_row(study, "purple kettle nobody asked for") == new
    plain, typed = (trace(study, ask(study, query=q), timed=False) for q in (None, "purple kettle nobody asked for"))
    assert not np.allclose(plain.scores, typed.scores)


def test_targets_come_from_the_catalogue_the_model_or_the_life(study):
    rows, count = find_items(study.dataset, "LAMP", limit=3)
    assert count >= len(rows) and all("lamp" in study.dataset.titles[r] for r in rows)
    life = study.dataset.store.life(0)
    assert next_item(study.dataset, ask(study)) == study.dataset.item_ids[int(life.item[-1])]
    assert next_item(study.dataset, ask(study, at="end")) is None
    top = top_items(study, ask(study), count=5)
    assert [row["rank"] for row in top] == [1, 2, 3, 4, 5]
    best = trace(study, ask(study, item=top[0]["item"], k=6), timed=False)
    assert top[0]["logit"] == pytest.approx(best.exact.outcome.logit, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"item": "i9999"}, UnknownItemError, "'i9999'"),
        ({"at": "4000"}, ConfigError, "no event of person"),
        ({"head": 7}, ConfigError, "heads 0 to 1"),
        ({"k": 0}, ConfigError, "at least 1"),
        ({"shortlist": 0.5}, ConfigError, "0.5"),
        ({"mask": ("X",)}, UnknownNameError, "channel 'X'"),
        ({"method": "magic"}, UnknownNameError, "method 'magic'"),
        ({"weights": (0.0, 0.0, 0.0, 0.0)}, ChannelWeightsError, "zero"),
        ({"mask": ("A", "T", "I", "Q")}, ChannelWeightsError, "zero"),
        ({"spec": "PQ8x4"}, NotReadyError, f"it has: {COARSE}, {SPEC}"),
        ({"spec": "PQ"}, SpecError, "'PQ'"),
        ({"hide_from_s": 5, "hide_to_s": 4}, ConfigError, "ends before"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_value(study, settings, error, says):
    with pytest.raises(error, match=says):
        trace(study, ask(study, **settings))


def test_codebooks_in_the_workspace_of_an_earlier_bundled_run_do_not_stand_before_its_own(study, tmp_path, monkeypatch):
    monkeypatch.setattr(type(study.workspace), "measured_dir", lambda self, run: tmp_path)
    fresh = open_study(study.workspace, "run")
    other = replace(fresh.codebooks(COARSE), vectors_hash="ba9876543210")
    save_codebooks(other, codebook_directory(tmp_path, COARSE))
    assert open_study(study.workspace, "run").codebooks(COARSE).vectors_hash == fresh.codebooks(COARSE).vectors_hash
    save_codebooks(other, codebook_directory(tmp_path, "SQ8"))
    with pytest.raises(StaleError):
        fresh.codebooks("SQ8")


def test_an_unknown_person_is_refused(study):
    with pytest.raises(UnknownPersonError, match="'p999'"):
        trace(study, Question("p999", "i1"))


def test_codebooks_of_a_run_without_some_channels_leave_out_targets_that_have_none_of_the_others(study):
    settings = load_config(FinetuneConfig, None, (*SMALL, "disabled=QAT"), seed=0, device="cpu")
    finetune(study.workspace, "tiny", "pictures", model="seminar", config=settings)
    pictures = open_study(study.workspace, "pictures")
    has_picture = pictures.vectors.item_present.any(1)
    assert not has_picture[np.asarray(study.dataset.store.item)].all()
    targets = training_targets(pictures)
    assert targets.any(axis=(1, 2, 3)).all() and np.isfinite(targets).all()
    assert make_codebooks(pictures, COARSE)["spec"] == COARSE


def test_codebooks_say_what_they_cost(study):
    said = make_codebooks(study, COARSE)
    assert said["spec"] == COARSE and said["bytes_per_item"] == 2 and said["dead_codes"] >= 0
    assert said["distortion"] >= 0 and said["seconds"] > 0


def test_the_answer_says_itself_in_a_sentence(study):
    said = answer(study, trace(study, ask(study)))
    lost = len({r["event"] for r in said["exact"]} - {r["event"] for r in said["approx"]})
    assert said["says"].startswith(f"Of {said['visible_events']:,} events, {len(said['exact']):,} speak for ")
    share = "all of them" if not lost else f"{said['recall']:.1%} of them"
    assert f"at {said['bytes_per_event']:,.0f} bytes an event keeps {share}" in said["says"]
    refined = answer(study, trace(study, ask(study, shortlist=4)))["says"]
    assert "with a shortlist of 4 times K scored exactly" in refined


def test_a_latency_is_the_fastest_run_and_one_that_was_held_up_does_not_count(monkeypatch):
    ticks = iter([0.0, 0.060, 1.0, 1.0002, 2.0, 2.0003])  # starts and ends of three runs
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    assert module._latency(lambda: None) == pytest.approx(200)
