"""Search by codes: both layouts against their definitions, the tie rule, and lossless codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.retrieval_ground import fold
from seminar_core.contracts import ChannelVectors, Folded
from seminar_core.errors import ConfigError, StaleError
from seminar_core.retrieval import torch_lookup
from seminar_core.retrieval.codebooks import Codebooks, train_codebooks
from seminar_core.retrieval.events import EventSet, pair_keys, pair_vectors
from seminar_core.retrieval.exact import ExactScorer, Scorer, top_k
from seminar_core.retrieval.packed import pack, pack_fastscan
from seminar_core.retrieval.search import FastScanScorer, LookupScorer, RefinedScorer, make_scorer
from seminar_core.retrieval.torch_lookup import TorchLookup, top_k_torch
from tests.retrieval.retrieval_worlds import life, naive_top, target, targets, vectors

SPECS = ("QC16,RQ8x4fs", "QC16,RQ4x8", "QC16,OPQ,PQ8x4fs", "PQ8x8", "SQ8", "VQ16", "SymPQ8x4")


@pytest.fixture(scope="module")
def world() -> ChannelVectors:
    return vectors()


@pytest.fixture(scope="module")
def all_books(world) -> dict[str, Codebooks]:
    return {spec: train_codebooks(spec, world, targets(world)) for spec in SPECS}


@pytest.fixture(scope="module")
def events(world) -> EventSet:
    return life(world, 150)


def decoded_scores(world: ChannelVectors, books: Codebooks, events: EventSet, asked: Folded) -> np.ndarray:
    """Packed scores by their definition: each event's vector is replaced by what its code stands for."""
    out = np.zeros((len(asked.u), len(events)))
    for l, (item, query) in enumerate(zip(events.item, events.query, strict=True)):
        if query:
            part = books.parts["pair"]
            near = part.decode(part.encode(pair_vectors(world, np.array([item]), np.array([query]))))[0]
            out[:, l] = asked.u.reshape(len(asked.u), -1) @ near
        else:
            near = books.parts["item"].decode(books.codes["item"][[item]])[0]
            out[:, l] = asked.item_scale_without_query * (asked.u[:, 1:].reshape(len(asked.u), -1) @ near)
    return out


@pytest.mark.parametrize("spec", SPECS)
def test_packed_scores_are_products_with_what_the_codes_stand_for(world, all_books, events, spec):
    found = LookupScorer(all_books[spec], world, events).scores(target(world))
    np.testing.assert_allclose(found, decoded_scores(world, all_books[spec], events, target(world)), atol=2e-3)


@pytest.mark.parametrize("spec", SPECS)
def test_shared_scores_are_item_scores_plus_query_scores_by_id(world, all_books, events, spec):
    books, asked = all_books[spec], target(world)
    items = books.parts["item"].decode(books.codes["item"])  # (I + 1, 3 * D)
    queries = books.parts["query"].decode(books.codes["query"])  # (Q + 1, D)
    of_items = asked.u[:, 1:].reshape(2, -1) @ items[events.item].T
    of_queries = asked.u[:, 0] @ queries[events.query].T
    expected = np.where(events.query > 0, of_items + of_queries, 2.0 * of_items)
    scorer = LookupScorer(books, world, events, "shared")
    np.testing.assert_allclose(scorer.scores(asked), expected, atol=2e-3)
    bits = 8 if spec == "SQ8" else books.spec.bits
    one_code_each = books.codes["item"].shape[1] + books.codes["query"].shape[1]
    assert scorer.bytes_per_event == bits * one_code_each / 8 and scorer.layout == "shared"


@pytest.mark.parametrize("searched", [0.0, 1.0])
@pytest.mark.parametrize("layout", ["packed", "shared"])
def test_lives_of_one_kind_of_event_are_searched(world, all_books, searched, layout):
    events = life(world, 40, searched=searched)
    scorer = make_scorer(all_books["QC16,RQ8x4fs"], world, events, layout=layout, shortlist=4)
    exact = ExactScorer(world, events).search(target(world), 5)
    found = scorer.search(target(world), 5)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact.events, found.events, strict=True)]) > 0.5


def test_every_search_is_a_scorer(world, all_books, events):
    for index in (*all_books.values(), "exact", "HNSW4", "LSH64"):
        for shortlist in (None, 2):
            scorer = make_scorer(index, world, events, shortlist=shortlist)
            assert isinstance(scorer, Scorer) and scorer.bytes_per_event > 0 and scorer.layout in ("packed", "shared")


@pytest.mark.parametrize("layout", ["packed", "shared"])
@pytest.mark.parametrize("shortlist", [None, 3])
@pytest.mark.parametrize("spec", SPECS)
def test_a_batch_keeps_what_each_target_keeps_alone(world, all_books, events, spec, layout, shortlist):
    scorer = make_scorer(all_books[spec], world, events, layout=layout, shortlist=shortlist)
    many = [target(world, seed=s, heads=1 + s % 3) for s in range(4)]
    for one, kept in zip(many, scorer.search_batch(many, 7), strict=True):
        alone = scorer.search(one, 7)
        assert (kept.events == alone.events).all() and np.allclose(kept.scores, alone.scores, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    distinct=st.integers(1, 16),
    length=st.integers(1, 60),
    keep=st.integers(1, 20),
    spec=st.sampled_from(["PQ8x4", "VQ16", "QC32,RQ2x4", "PQ4x8", "SymPQ8x4"]),
    seed=st.integers(0, 99),
)
def test_codes_with_a_centroid_for_every_vector_keep_what_exact_keeps(distinct, length, keep, spec, seed):
    world = vectors(items=distinct, queries=min(distinct, 4), seed=seed)
    events = life(world, length, seed=seed, searched=0.0)
    books = train_codebooks(spec, world, targets(world, 60), only=("item",))
    asked = target(world, seed=seed)
    scores = ExactScorer(world, events).scores(asked)
    exact, found = top_k(scores, keep), LookupScorer(books, world, events).search(asked, keep)
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-3)
    for row, mine, best in zip(scores, found.events, exact.events, strict=True):
        gap = np.diff(np.sort(np.unique(row)))
        if not len(gap) or gap.min() > 1e-3:  # scores that differ by rounding alone may swap
            assert (mine == best).all()


@pytest.mark.parametrize("length", [150, 3000])
@pytest.mark.parametrize("keep", [1, 5, 30, 64, 149, 200])
@pytest.mark.parametrize("name", ["QC16,RQ8x4fs", "QC16,OPQ,PQ8x4fs", "PQ8x8", "exact", "shared"])
def test_of_equal_events_the_newest_are_kept(world, all_books, keep, name, length):
    """Repeated pairs score alike: those of a pair that are kept are its newest ones."""
    events = life(vectors(items=12, queries=2), length)
    index = all_books["PQ8x8"] if name == "shared" else all_books.get(name, name)
    scorer = make_scorer(index, world, events, layout="shared" if name == "shared" else "packed")
    kept = scorer.search(target(world), keep)
    pairs = pair_keys(events.item, events.query)
    for row in kept.events:
        row = row[row >= 0]
        assert len(set(row)) == len(row) == min(keep, length)
        for pair in np.unique(pairs[row]):
            every = np.flatnonzero(pairs == pair)
            mine = np.sort(row[pairs[row] == pair])
            assert (mine == every[len(every) - len(mine) :]).all()


@pytest.mark.parametrize("index", ["QC16,RQ8x4fs", "PQ8x8", "SQ8"])
@pytest.mark.parametrize("shortlist", [None, 2])
def test_a_life_of_one_repeated_item_keeps_the_newest_k(world, all_books, index, shortlist):
    events = EventSet(np.full(500, 7, np.int32), np.zeros(500, np.int32))
    kept = make_scorer(all_books[index], world, events, shortlist=shortlist).search(target(world), 5)
    assert kept.events.tolist() == [[499, 498, 497, 496, 495]] * 2


@pytest.mark.parametrize("layout", ["packed", "shared"])
@pytest.mark.parametrize("length", [0, 1, 3])
@pytest.mark.parametrize("spec", ["QC16,RQ8x4fs", "PQ8x8", "SQ8"])
def test_more_than_the_life_keeps_all(world, all_books, spec, length, layout):
    for shortlist in (None, 4):
        scorer = make_scorer(all_books[spec], world, life(world, length), shortlist=shortlist, layout=layout)
        kept = scorer.search(target(world), 5)
        assert (np.sort(kept.events[:, :length], 1) == np.arange(length)).all()
        assert (kept.events[:, length:] == -1).all() and np.isneginf(kept.scores[:, length:]).all()


@settings(max_examples=40, deadline=None)
@given(
    items=st.integers(1, 9),
    length=st.integers(0, 80),
    keep=st.integers(1, 40),
    shortlist=st.sampled_from([None, 1, 3]),
    name=st.sampled_from(["QC16,RQ8x4fs", "PQ8x8", "SQ8", "exact"]),
    layout=st.sampled_from(["packed", "shared"]),
    seed=st.integers(0, 99),
)
def test_kept_events_of_repeated_pairs_are_those_that_sorting_every_event_keeps(
    world, all_books, items, length, keep, shortlist, name, layout, seed
):
    """Naive oracle: each event gets its pair's score, everything is sorted; a shortlist is F * K distinct pairs."""
    rng = np.random.default_rng(seed)
    events = EventSet(rng.integers(1, items + 1, length).astype(np.int32), rng.integers(0, 3, length).astype(np.int32))
    asked = target(world, seed=seed)
    scorer = make_scorer(all_books.get(name, name), world, events, layout=layout, shortlist=shortlist)
    exact = ExactScorer(world, events).scores(asked)
    pairs = list(zip(events.item.tolist(), events.query.tolist(), strict=True))
    found = scorer.search(asked, keep)
    if shortlist and isinstance(scorer, RefinedScorer):
        on_list, best = scorer.stages([asked], keep)[0]
        assert (best.events == found.events).all() and (best.scores == found.scores).all()
        own = np.full(exact.shape, -np.inf)
        for head, row in enumerate(on_list):
            listed = {pairs[event] for event in row}
            assert len(listed) == min(shortlist * keep, len(set(pairs)))
            own[head] = [exact[head, l] if pair in listed else -np.inf for l, pair in enumerate(pairs)]
    elif name == "QC16,RQ8x4fs":  # FastScan rounds: take its own scores, of a search that keeps every event
        every = scorer.search(asked, max(length, 1))
        own = np.zeros(exact.shape)
        for head in range(len(own)):
            own[head, every.events[head][:length]] = every.scores[head][:length]
    else:
        own = scorer.scores(asked)
    for head, row in enumerate(own):
        best = [event for event in naive_top(row, keep) if row[event] > -np.inf]
        assert found.events[head].tolist() == best + [-1] * (keep - len(best))
        assert found.scores[head][: len(best)].tolist() == row[best].tolist()
        assert np.isneginf(found.scores[head][len(best) :]).all()


def test_a_shortlist_of_repeats_holds_distinct_pairs(world, all_books):
    """100 events of one item no longer push the second best item off a shortlist of 20."""
    item = np.concatenate([np.arange(1, 61), np.full(500, 7)]).astype(np.int32)
    events = EventSet(item, np.zeros(560, np.int32))
    refined = make_scorer(all_books["QC16,RQ8x4fs"], world, events, shortlist=4)
    scanned, _ = refined.stages([target(world)], 5)[0]
    assert [len(np.unique(item[row])) for row in scanned] == [20, 20]


def test_coarse_fastscan_codes_keep_no_event_twice():
    world = vectors(items=400, queries=0, absent=0.0)
    books = train_codebooks("PQ2x4fs", world, targets(world))
    for seed in range(20):
        events = EventSet(np.arange(400, 200, -1, dtype=np.int32), np.zeros(200, np.int32))
        for keep in (60, 150, 199, 200):
            found = make_scorer(books, world, events).search(target(world, seed=seed), keep)
            slow = LookupScorer(books, world, events).search(target(world, seed=seed), keep)
            assert all(len(set(row)) == keep for row in found.events)
            if keep == 200:
                for a, b, x, y in zip(found.events, slow.events, found.scores, slow.scores, strict=True):
                    np.testing.assert_allclose(x[np.argsort(a)], y[np.argsort(b)], atol=0.05 * np.ptp(y))


@pytest.mark.parametrize("keep", [5, 8, 20])
def test_of_events_that_tie_fastscan_keeps_the_newest_also_where_few_are_kept(keep):
    base = vectors(items=12, queries=0, absent=0.0)
    kind = np.concatenate([[0], 1 + np.minimum(np.arange(600) // 3, 11)])  # one vector a kind, most items of the last
    world = ChannelVectors(base.item[kind], base.item_present[kind], base.query, base.query_present)
    books = train_codebooks("PQ8x4fs", world, targets(world))
    events = EventSet(1 + np.random.default_rng(0).permutation(600).astype(np.int32), np.zeros(600, np.int32))
    same = []
    for seed in range(40):
        found = make_scorer(books, world, events).search(target(world, seed=seed), keep)
        slow = LookupScorer(books, world, events).search(target(world, seed=seed), keep)
        same += [set(a) == set(b) for a, b in zip(found.events, slow.events, strict=True)]
    assert np.mean(same) > 0.9  # bytes in the tables of FastScan may order other kinds differently


def test_fastscan_scores_are_table_sums_to_a_byte_per_entry():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (300, 8)).astype(np.uint8)
    tables = rng.standard_normal((3, 8, 16)).astype(np.float32)
    scores, places = pack_fastscan(codes).search(tables.reshape(3, -1), 300)
    for r in range(3):
        sums = tables[r][np.arange(8), codes].sum(1)
        step = max(np.ptp(tables[r], axis=1)) / 255
        assert np.abs(scores[r] - sums[places[r]]).max() <= 8 * step


def test_fastscan_keeps_nearly_what_look_up_tables_keep(world, all_books, events):
    books = all_books["QC16,RQ8x4fs"]
    fast = make_scorer(books, world, events)
    slow = LookupScorer(books, world, events)
    assert isinstance(fast, FastScanScorer)
    mine, theirs = fast.search(target(world), 20), slow.search(target(world), 20)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(mine.events, theirs.events, strict=True)]) > 0.9


def test_refining_the_whole_life_is_exact_search(world, all_books, events):
    exact = ExactScorer(world, events).search(target(world), 10)
    for books in all_books.values():
        kept = make_scorer(books, world, events, shortlist=15).search(target(world), 10)
        assert (kept.events == exact.events).all() and (kept.scores == exact.scores).all()


def test_stages_show_the_shortlist_and_what_was_kept_of_it(world, all_books, events):
    scorer = make_scorer(all_books["PQ8x8"], world, events, shortlist=3)
    assert isinstance(scorer, RefinedScorer)
    scanned, refined = scorer.stages([target(world)], 10)[0]
    assert [len(np.unique(events.distinct.pair_of[row])) for row in scanned] == [30, 30]  # distinct pairs
    assert all((np.diff(row) > 0).all() for row in scanned) and refined.events.shape == (2, 10)
    assert all(np.isin(b, a).all() for a, b in zip(scanned, refined.events, strict=True))
    assert (refined.events == scorer.search(target(world), 10).events).all()


def test_a_changed_weight_needs_no_new_codes(world, all_books, events):
    """Weights folded into the target by a factor per channel change the scores as weighted channels would."""
    books, asked = all_books["PQ8x8"], target(world)
    weights = np.array([0.0, 1.0, 0.5, 2.0], np.float32)
    scorer = LookupScorer(books, world, events)
    weighted = Folded(asked.u * weights[None, :, None], asked.item_scale_without_query)
    np.testing.assert_allclose(scorer.scores(weighted), decoded_scores(world, books, events, weighted), atol=2e-3)


def test_fused_codes_refuse_other_weights(world, events):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 4, 8)).astype(np.float32)
    own = fold(x, np.tile([0.4, 0.3, 0.2, 0.1], (80, 1)))
    books = train_codebooks("fused,SQ8", world, own[:, None])
    scorer = make_scorer(books, world, events)
    assert scorer.bytes_per_event == 8
    asked = Folded(own[:1], 1 / 0.6)
    exact = ExactScorer(world, events).search(asked, 20).events[0]
    assert np.isin(exact, scorer.search(asked, 20).events[0]).mean() > 0.9
    other = Folded(fold(x[:1], np.array([[0.1, 0.2, 0.3, 0.4]])), 1.0)
    with pytest.raises(ConfigError, match="folded with other weights"):
        scorer.search(other, 5)


def test_codebooks_without_queries_refuse_a_life_with_queries(world, events):
    books = train_codebooks("PQ8x4", world, targets(world), only=("item",))
    with pytest.raises(ConfigError, match="trained without queries"):
        pack(books, world, events)
    with pytest.raises(ConfigError, match="trained without queries"):
        LookupScorer(books, world, events, "shared")


def test_an_event_costs_eight_bytes_beside_its_ids_and_codes_belong_to_pairs(world, all_books):
    events = life(world, 10_000)
    per_event = [a for a in vars(events.distinct).values() if len(a) == len(events)]
    assert sum(a.nbytes for a in per_event) == 8 * len(events)
    for layout in ("packed", "shared"):
        groups = pack(all_books["PQ8x8"], world, events, layout).groups
        assert sum(len(group.codes) for group in groups) == len(events.distinct) < 1_300


def test_the_shared_layout_needs_no_codes_of_pairs(world, events):
    books = train_codebooks("QC16,RQ8x4fs", world, targets(world), only=("item", "query"))
    found = make_scorer(books, world, events, layout="shared").search(target(world), 20)
    slow = LookupScorer(books, world, events, "shared").search(target(world), 20)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.events, slow.events, strict=True)]) > 0.9


def test_scorers_refuse_what_they_cannot_do(world, all_books, events):
    with pytest.raises(ConfigError, match="no 4-bit FastScan codes"):
        FastScanScorer(pack(all_books["PQ8x8"], world, events))
    with pytest.raises(ConfigError, match="layout 'loose' is not known"):
        LookupScorer(all_books["PQ8x8"], world, events, "loose")
    with pytest.raises(ConfigError, match=r"shortlist 0\.5"):
        make_scorer(all_books["PQ8x8"], world, events, shortlist=0.5)
    with pytest.raises(ConfigError, match="needs codebooks"):
        make_scorer("PQ8x8", world, events)
    changed = ChannelVectors(world.item * 2, world.item_present, world.query, world.query_present)
    with pytest.raises(StaleError):
        make_scorer(all_books["PQ8x8"], changed, events)


def devices() -> list[str]:
    import torch

    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("spec", [s for s in SPECS if s != "SQ8"])
@pytest.mark.parametrize("layout", ["packed", "shared"])
def test_the_torch_look_up_keeps_what_the_cpu_keeps(world, all_books, spec, device, layout, monkeypatch):
    monkeypatch.setattr(torch_lookup, "PIECE_CELLS", 100)  # several pieces
    events = life(vectors(items=12, queries=2), 150)  # many ties
    many = [target(world, seed=s) for s in range(3)]
    cpu = LookupScorer(all_books[spec], world, events, layout).search_batch(many, 25)
    other = TorchLookup(pack(all_books[spec], world, events, layout), device).search_batch(many, 25)
    for a, b in zip(cpu, other, strict=True):
        assert (a.events == b.events).all() and (a.scores == b.scores).all()


@pytest.mark.parametrize("device", devices())
def test_scalar_codes_agree_on_torch_to_rounding(world, all_books, events, device):
    cpu = LookupScorer(all_books["SQ8"], world, events).scores(target(world))
    rows, scale = target(world).u, np.full(2, 2.0, np.float32)
    found = TorchLookup(pack(all_books["SQ8"], world, events), device).scores_of_pairs(rows, scale)
    np.testing.assert_allclose(found.cpu().numpy()[:, events.distinct.pair_of], cpu, atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-2, 2), max_size=30), st.integers(1, 35))
def test_top_k_on_torch_is_top_k(values, keep):
    import torch

    scores = np.array([values, values[::-1]], np.float32).reshape(2, len(values))
    expected = top_k(scores, keep)
    events, kept = top_k_torch(torch.from_numpy(scores), keep)
    assert (events.numpy() == expected.events).all() and (kept.numpy() == expected.scores).all()
