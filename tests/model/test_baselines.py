"""What is particular to each rival's stages, against naive loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from seminar_core.errors import ConfigError, NotReadyError, UnknownNameError
from seminar_core.model.baselines import MODELS, build_model
from seminar_core.model.codec import TableCodec
from seminar_core.model.esu import BucketPooling, SemanticAttention
from seminar_core.model.fusion import Fusion
from seminar_core.model.gsu import semantic_cosine
from seminar_core.model.search import begin
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import KEEP, categories, make_batch, make_channels, make_model

CASES = [(0, 0, 0), (0, 2, 3), (2, 1, 1), (4, 2, 4)]


def looked_at(name: str, seed: int = 0):
    model = make_model(name, seed).eval()
    life, targets = to_tensors(*make_batch(seed))
    return model, life, targets, model.inspect(life, targets)


def best(scores: list[float], keep: int = KEEP) -> set[int]:
    return set(sorted(range(len(scores)), key=lambda l: (scores[l], l), reverse=True)[:keep])


def kept(seen, b: int, p: int, n: int, h: int = 0) -> set[int]:
    return set(torch.nonzero(seen.kept[b, p, n, h])[:, 0].tolist())


def test_din_keeps_the_newest():
    _, _, targets, seen = looked_at("din")
    for b, p, n in CASES:
        end = int(targets.visible[b, p])
        assert kept(seen, b, p, n) == set(range(max(0, end - KEEP), end))


def test_avgpool_and_sdim_keep_everything():
    for name in ("avgpool", "sdim"):
        _, _, targets, seen = looked_at(name)
        assert all(kept(seen, b, p, n) == set(range(int(targets.visible[b, p]))) for b, p, n in CASES)


def test_avgpool_is_the_plain_mean():
    model, life, targets, seen = looked_at("avgpool")
    events = model.encoder().encode(life.item, life.query).pair
    for b, p, n in CASES:
        mean = events[b, : int(targets.visible[b, p])].mean(0)
        assert torch.allclose(seen.interest[b, p, n], model.values(mean.expand(4, -1)), atol=1e-5)


def test_sim_hard_keeps_the_newest_of_the_targets_category():
    _, life, targets, seen = looked_at("sim-hard")
    category = categories()
    found = 0
    for b in range(len(life.item)):
        for p in range(3):
            for n in range(5):
                wanted = int(category[targets.item[b, p, n]])
                same = [l for l in range(int(targets.visible[b, p])) if int(category[life.item[b, l]]) == wanted]
                expected = set(same[-KEEP:]) if wanted else set()
                assert kept(seen, b, p, n) == expected
                found += len(expected)
    assert found > 20


@torch.no_grad()
def test_sim_soft_searches_with_its_own_projections_and_has_a_loss_of_its_own():
    model, life, targets, seen = looked_at("sim-soft")
    search = begin(life, targets, model.encoder(), model.score, "pair")
    for b, p, n in CASES:
        target = model.gsu.target(search.candidates.pair[b, p, n])
        scores = [float(target @ model.gsu.event(search.events.pair[b, l])) for l in range(int(targets.visible[b, p]))]
        assert kept(seen, b, p, n) == best(scores)
    assert model.train()(life, targets).auxiliary["first_stage"] > 0
    assert model.eval()(life, targets).auxiliary == {}


def test_eta_keeps_the_smallest_hamming_distances_with_ties_to_the_newer():
    model, life, targets, seen = looked_at("eta")
    search = begin(life, targets, model.encoder(), model.score, "pair")
    for b, p, n in CASES:
        code = search.candidates.pair[b, p, n] @ model.gsu.directions >= 0
        scores = [
            float((code == (search.events.pair[b, l] @ model.gsu.directions >= 0)).sum())
            for l in range(int(targets.visible[b, p]))
        ]
        assert kept(seen, b, p, n) == best(scores)
    assert "gsu.directions" in model.state_dict()


def test_sdim_sums_the_events_of_the_targets_bucket():
    torch.manual_seed(0)
    pooling = BucketPooling(width=16, groups=5, bits=2)
    model, life, targets, _ = looked_at("sdim")
    model.esu = pooling
    search = begin(life, targets, model.encoder(), None, "pair")
    got = pooling(search, model.gsu(search), model.values).interest
    for b, p, n in CASES:
        target, groups = search.candidates.pair[b, p, n], []
        for g in range(5):
            directions = pooling.directions[:, 2 * g : 2 * g + 2]
            mine = (target @ directions >= 0).tolist()
            total = torch.zeros(16)
            for l in range(int(targets.visible[b, p])):
                event = search.events.pair[b, l]
                if (event @ directions >= 0).tolist() == mine:
                    total = total + event
            groups.append(F.normalize(total, dim=0, eps=1e-6))
        pooled = torch.stack(groups).mean(0)
        assert torch.allclose(got[b, p, n], model.values(pooled.expand(4, -1)), atol=1e-5)


def test_twin_adds_recency_to_every_heads_score():
    model, life, targets, seen = looked_at("twin")
    search = begin(life, targets, model.encoder(), model.score, "pair")
    plain = model.score(search.candidates.pair, search.events.pair)
    expected = plain + model.score.recency.view(1, 1, 1, -1, 1) * search.age[:, :, None, None, :]
    assert torch.allclose(seen.scores, expected, atol=1e-5) and model.score.recency.abs().min() > 0


@torch.no_grad()
def test_qin_searches_by_query_then_attends_by_item():
    model, life, targets, seen = looked_at("qin")
    search = begin(life, targets, model.encoder(), model.score, "item")
    asked = {True: 0, False: 0}
    for b, p, n in CASES:
        has = bool(targets.query[b, p, n] != 0)
        asked[has] += 1
        wanted = search.candidates.query[b, p, n] if has else search.candidates.item[b, p, n]
        scores = [float(wanted @ search.events.pair[b, l]) for l in range(int(targets.visible[b, p]))]
        assert kept(seen, b, p, n) == best(scores)
        second = model.score(search.candidates.item, search.events.item)[b, p, n]
        assert torch.allclose(seen.scores[b, p, n], second, atol=1e-5)
    assert all(asked.values())


def test_muse_searches_by_the_cosine_of_frozen_vectors_and_counts_it_by_tier():
    model, life, targets, seen = looked_at("muse")
    search = begin(life, targets, model.encoder(), model.score, "pair")
    channels = model.channels

    def meaning(row: int) -> torch.Tensor:
        parts = []
        for table in (channels.text_items, channels.image_items):
            vector = table[row]
            parts.append(vector / vector.norm() if vector.any() else vector)
        both = torch.cat(parts)
        return both / both.norm() if both.any() else both

    for b, p, n in CASES:
        wanted = meaning(int(targets.item[b, p, n]))
        cosine = [float(wanted @ meaning(int(life.item[b, l]))) for l in range(int(targets.visible[b, p]))]
        assert torch.allclose(semantic_cosine(search)[b, p, n, : len(cosine)], torch.tensor(cosine), atol=1e-5)
        assert kept(seen, b, p, n) == best([round(c, 5) for c in cosine])
        attended = model.esu(search, model.gsu(search), model.values)
        counts = [0] * model.esu.n_features
        for l in kept(seen, b, p, n):
            counts[min(int((cosine[l] + 1) * 10), 19)] += 1
        assert torch.allclose(attended.features[b, p, n], torch.log1p(torch.tensor(counts).float()), atol=1e-5)
        score, mix = seen.scores[b, p, n], model.esu.mix
        near = semantic_cosine(search)[b, p, n]
        logits = mix[0] * score + mix[1] * near + mix[2] * score * near
        weights = torch.softmax(logits.masked_fill(~seen.kept[b, p, n], -math.inf), -1)
        assert torch.allclose(seen.weights[b, p, n], weights, atol=1e-5)


def test_a_histogram_by_hand():
    esu = SemanticAttention(bins=4)
    cosine = torch.tensor([-1.0, -0.4, 0.1, 1.0, 0.9]).view(1, 1, 1, 5)
    kept_events = torch.tensor([True, True, True, True, False]).view(1, 1, 1, 5)
    assert esu.histogram(cosine, kept_events).flatten().tolist() == [1.0, 1.0, 1.0, 1.0]


def test_seminar_pq_selects_by_approximate_events_and_attends_exactly():
    model, life, targets, seen = looked_at("seminar-pq")
    exact = make_model("seminar")
    exact.load_state_dict(model.state_dict(), strict=False)  # all but the codec
    flat = (life.item.reshape(-1), life.query.reshape(-1))
    near = model.encoder().approximate(*model.gsu.codec.reconstruct(*flat), flat[1]).view(*life.item.shape, -1)
    search = begin(life, targets, model.encoder(), model.score, "pair")
    coarse = model.score(search.candidates.pair, near)
    assert torch.allclose(seen.scores, exact.inspect(life, targets).scores)
    differs = 0
    for b, p, n in CASES:
        for h in range(4):
            end = int(targets.visible[b, p])
            assert kept(seen, b, p, n, h) == best(coarse[b, p, n, h, :end].tolist())
            differs += kept(seen, b, p, n, h) != best(seen.scores[b, p, n, h, :end].tolist())
    assert differs > 0


@pytest.mark.parametrize("item_absent", ["keep", "renormalise"])
def test_seminar_pq_with_exact_codes_is_seminar(item_absent):
    model = make_model("seminar-pq", fusion=Fusion(item_absent=item_absent))
    vectors = model.channel_vectors()
    model.gsu.codec = TableCodec(torch.from_numpy(vectors.item), torch.from_numpy(vectors.query))
    exact = make_model("seminar", fusion=Fusion(item_absent=item_absent))
    exact.load_state_dict(model.state_dict(), strict=False)  # all but the codec
    batch = to_tensors(*make_batch())
    assert torch.allclose(model(*batch).logits, exact(*batch).logits, atol=1e-6)
    rows = torch.arange(model.channels.n_items + 1)
    queries = rows % (model.channels.n_queries + 1)
    near = model.encoder().approximate(*model.gsu.codec.reconstruct(rows, queries), queries)
    assert torch.allclose(near, model.encoder().encode(rows, queries).pair, atol=1e-6)


def test_straight_through_attends_to_the_approximation_and_trains_the_exact_vectors():
    model = make_model("seminar-pq")
    batch = to_tensors(*make_batch())
    exact_logits = model(*batch).logits
    model.gsu.straight_through = True
    output = model(*batch)
    assert not torch.allclose(output.logits, exact_logits, atol=1e-3)
    output.logits.sum().backward()
    assert model.channels.id_embedding.grad.any()


@pytest.mark.parametrize("item_absent", ["keep", "renormalise"])
def test_straight_through_exact_codes_every_gradient_is_that_of_seminar_and_the_codec_has_the_events_share(item_absent):
    model = make_model("seminar-pq", fusion=Fusion(item_absent=item_absent))
    vectors = model.channel_vectors()
    model.gsu.codec = TableCodec(torch.from_numpy(vectors.item), torch.from_numpy(vectors.query))
    model.gsu.codec.item.requires_grad_()
    model.gsu.straight_through = True
    exact = make_model("seminar", fusion=Fusion(item_absent=item_absent))
    exact.load_state_dict(model.state_dict(), strict=False)  # all but the codec
    batch = to_tensors(*make_batch())
    for one in (model, exact):
        one.train()(*batch).logits.square().sum().backward()
    assert model.gsu.codec.item.grad.any()
    own = dict(model.named_parameters())
    for name, parameter in exact.named_parameters():
        if parameter.grad is not None:
            scale = max(float(parameter.grad.abs().max()), 1e-3)
            assert torch.allclose(own[name].grad, parameter.grad, rtol=0, atol=1e-4 * scale), name


def test_straight_through_the_second_stage_reads_the_codecs_vectors_to_the_last_bit():
    model, batch = make_model("seminar-pq").train(), to_tensors(*make_batch())
    model.gsu.straight_through = True
    flat = (batch[0].item.reshape(-1), batch[0].query.reshape(-1))
    near = model.encoder().approximate(*model.gsu.codec.reconstruct(*flat), flat[1]).view(*batch[0].item.shape, -1)
    selected = model.gsu(begin(*batch, model.encoder(), model.score, "pair"))
    assert torch.equal(selected.pair, near)


def test_seminar_pq_without_codebooks_says_what_to_do():
    model = make_model("seminar-pq")
    model.gsu.codec = None
    with pytest.raises(NotReadyError, match="no codebooks attached"):
        model(*to_tensors(*make_batch()))


def test_unknown_and_impossible_models_are_refused():
    with pytest.raises(UnknownNameError, match="model 'seminer' is not known; known: avgpool, din, eta") as caught:
        build_model("seminer", channels=make_channels())
    assert "did you mean 'seminar'" in caught.value.hint
    with pytest.raises(ConfigError, match="sim-hard needs the category"):
        build_model("sim-hard", channels=make_channels())
    with pytest.raises(ConfigError, match="muse needs frozen text or image"):
        build_model("muse", channels=make_channels(disabled=("T", "I")))
    with pytest.raises(ConfigError, match="width 16 is not divisible by heads 3"):
        build_model("seminar", channels=make_channels(), heads=3)


def test_every_model_of_the_command_line_is_there():
    assert set(MODELS) == {
        "seminar", "seminar-pq", "din", "avgpool", "sim-hard", "sim-soft", "eta", "sdim", "twin", "qin", "muse",
    }  # fmt: skip
