"""The PSU's objectives on a batch: oracles from its own vectors, switches, masks, directions."""

import math

import pytest
import torch
from test_losses import naive_info_nce

from seminar_core.errors import ConfigError, UnknownNameError
from seminar_core.model.losses import heldout_items
from seminar_core.model.psu import OBJECTIVES
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import ITEMS, channel_arrays, make_batch, make_channels, make_psu

EVERY = dict.fromkeys(OBJECTIVES, 1.0)


def test_losses_are_returned_by_name_and_summed_by_weight():
    psu = make_psu(objectives={"next_pair": 2.0, "alignment": 0.5, "relevance": 1.0})
    output = psu(*to_tensors(*make_batch()))
    assert set(output.losses) == {"next_pair", "alignment", "relevance"}
    losses = output.losses
    expected = 2 * losses["next_pair"] + 0.5 * losses["alignment"] + losses["relevance"]
    assert torch.isclose(output.total, expected)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_can_be_the_only_one(name):
    output = make_psu(objectives={name: 1.0})(*to_tensors(*make_batch()))
    assert set(output.losses) == {name} and torch.isfinite(output.total) and output.total > 0


def test_next_pair_logit_is_interest_times_pair_by_loops():
    psu = make_psu()
    life, targets = to_tensors(*make_batch(positions=2, candidates=3))
    logits = psu(life, targets).logits
    score, values = psu.score, psu.values
    d = score.head_width
    with torch.no_grad():
        for b in range(len(life.item)):
            for p in range(2):
                events = [psu.pair(life.item[b, l], life.query[b, l]) for l in range(int(targets.visible[b, p]))]
                for n in range(3):
                    target = psu.pair(targets.item[b, p, n], targets.query[b, p, n])
                    heads = []
                    for h in range(score.heads):
                        part = slice(h * d, (h + 1) * d)
                        query = score.query[part] @ target
                        scored = [float(query @ (score.key[part] @ e)) / math.sqrt(d) for e in events]
                        order = sorted(range(len(events)), key=lambda l, s=scored: (s[l], l), reverse=True)[:4]
                        total = sum(math.exp(scored[l]) for l in order)
                        head = torch.zeros(d)
                        for l in order:
                            head += math.exp(scored[l]) / total * (values.value[part] @ events[l])
                        heads.append(head)
                    expected = float((values.output @ torch.cat(heads)) @ target)
                    assert math.isclose(float(logits[b, p, n]), expected, rel_tol=1e-3, abs_tol=1e-4)


def test_alignment_equals_a_double_loop_over_distinct_present_items():
    held = torch.from_numpy(heldout_items(ITEMS, 1))
    psu = make_psu(objectives={"alignment": 1.0}, heldout=held)
    life, targets = to_tensors(*make_batch())
    rows = {int(r) for r in life.item[life.valid]} | {int(r) for r in targets.item[:, :, 0].flatten()}
    rows = torch.tensor(sorted(rows))
    vectors, present = psu.channels.items(rows)
    usable = present & ~held[rows].unsqueeze(1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    vectors = vectors.detach()
    losses = [naive_info_nce(vectors[:, i], vectors[:, j], usable[:, i] & usable[:, j], rows, 0.05) for i, j in pairs]
    assert math.isclose(float(psu(life, targets).losses["alignment"]), sum(losses) / 3, rel_tol=1e-4)


def test_held_out_items_get_no_gradient_from_alignment():
    held = torch.from_numpy(heldout_items(ITEMS, 1, share=0.5))
    psu = make_psu(objectives={"alignment": 1.0}, heldout=held)
    psu(*to_tensors(*make_batch())).total.backward()
    touched = psu.channels.id_embedding.grad.any(1)
    assert touched.any() and not touched[held].any()


def test_relevance_equals_a_double_loop_over_events_with_a_query():
    psu = make_psu(objectives={"relevance": 1.0})
    life, targets = to_tensors(*make_batch())
    events = psu.encoder().encode(life.item, life.query)
    asked = (life.query != 0) & life.valid
    query, item = events.query[asked].detach(), events.item[asked].detach()
    expected = naive_info_nce(query, item, [True] * len(query), life.item[asked].tolist(), 0.05)
    assert math.isclose(float(psu(life, targets).losses["relevance"]), expected, rel_tol=1e-4)


def test_training_relevance_raises_the_cosine_of_a_query_and_its_item():
    """The released loss minimised positive over negative, which lowers it."""
    psu = make_psu(objectives={"relevance": 1.0})
    life, targets = to_tensors(*make_batch(query_share=0.9))
    asked = (life.query != 0) & life.valid

    def nearness() -> float:
        events = psu.encoder().encode(life.item, life.query)
        true = torch.cosine_similarity(events.query[asked], events.item[asked]).mean()
        other = torch.cosine_similarity(events.query[asked], events.item[asked].flip(0)).mean()
        return float(true - other)

    before = nearness()
    optimiser = torch.optim.Adam(psu.parameters(), lr=0.01)
    for _ in range(30):
        optimiser.zero_grad()
        psu(life, targets).total.backward()
        optimiser.step()
    assert nearness() > before + 0.3


def test_what_is_absent_is_left_out_of_every_loss():
    """Whatever the tables hold where a text is marked absent, and without any query, nothing changes."""
    arrays = channel_arrays()
    rubbish = torch.where(arrays["text_present"].unsqueeze(1), arrays["text_items"], 100.0)
    psu, other = make_psu(objectives=EVERY), make_psu(objectives=EVERY, channels=make_channels(text_items=rubbish))
    batch = to_tensors(*make_batch(query_share=0.0))
    one, two = (model(*batch, torch.Generator().manual_seed(0)) for model in (psu, other))
    assert all(torch.equal(one.losses[name], two.losses[name]) for name in one.losses)
    assert float(one.losses["relevance"]) == 0  # no event has a query


def test_the_generator_decides_what_a_sampled_loss_compares():
    psu = make_psu(objectives=EVERY, sample=6)
    batch = to_tensors(*make_batch())

    def total(seed: int) -> float:
        return float(psu(*batch, torch.Generator().manual_seed(seed)).total)

    assert total(1) == total(1) != total(2)


def test_in_batch_negatives_are_other_lives_positives_with_the_same_presence():
    _, targets = to_tensors(*make_batch(seed=3))
    more, allowed = targets.with_in_batch(2)
    assert more.item.shape[2] == targets.item.shape[2] + 2 and allowed[..., : targets.item.shape[2]].all()
    people = len(targets.item)
    for b in range(people):
        for k in (1, 2):
            other = (b + k) % people
            place = targets.item.shape[2] + k - 1
            assert torch.equal(more.item[b, :, place], targets.item[other, :, 0])
            same = (targets.query[other, :, 0] != 0) == (targets.query[b, :, 0] != 0)
            differs = targets.item[other, :, 0] != targets.item[b, :, 0]
            assert torch.equal(allowed[b, :, place], same & differs)
    psu = make_psu(objectives={"next_pair": 1.0}, in_batch_negatives=2, hard_negatives=3)
    assert torch.isfinite(psu(*to_tensors(*make_batch())).total)


def test_masked_event_falls_when_the_hidden_event_is_what_the_others_are():
    psu = make_psu(objectives={"masked_event": 1.0})
    life, targets = to_tensors(*make_batch(lengths=(12,) * 6, query_share=0.0))
    alike, mixed = life.item.clone(), life.item.clone()
    alike[:] = torch.arange(1, 7).unsqueeze(1)  # each life is one item
    optimiser = torch.optim.Adam(psu.parameters(), lr=0.02)

    def loss(item: torch.Tensor) -> torch.Tensor:
        return psu(type(life)(item, life.query, life.time_s, life.valid), targets).losses["masked_event"]

    for _ in range(20):
        optimiser.zero_grad()
        loss(alike).backward()
        optimiser.step()
    assert float(loss(alike)) < float(loss(mixed))


def test_bad_settings_are_named():
    with pytest.raises(UnknownNameError, match="objective 'aligment' is not known; known: alignment, masked_attribute"):
        make_psu(objectives={"aligment": 1.0})
    with pytest.raises(ConfigError, match="objective alignment has weight -1"):
        make_psu(objectives={"alignment": -1.0})
    with pytest.raises(ConfigError, match="temperature is 0"):
        make_psu(temperature=0.0)
    with pytest.raises(UnknownNameError, match="loss 'x'"):
        make_psu(next_loss="x")


def test_neighbours_are_later_events_of_the_same_life_within_reach(monkeypatch):
    """What the loss is given: a visible event, and the item of one 1 to 16 events after it, never of padding."""
    psu = make_psu(objectives={"neighbour": 1.0})
    life, targets = to_tensors(*make_batch())
    seen = {}

    def spy(pair, item, valid, person, rows, log_q, temperature):
        seen.update(pair=pair, item=item, valid=valid, person=person, rows=rows, log_q=log_q)
        return pair.sum() * 0

    monkeypatch.setattr("seminar_core.model.psu.neighbour_loss", spy)
    psu(life, targets, torch.Generator().manual_seed(0))
    events = psu.encoder().encode(life.item, life.query)
    assert seen["valid"].any()
    for k in torch.nonzero(seen["valid"])[:, 0].tolist():
        b = int(seen["person"][k])
        length = int(life.valid[b].sum())
        at = [l for l in range(length) if torch.equal(events.pair[b, l], seen["pair"][k])]
        rows = [int(life.item[b, m]) for l in at for m in range(l + 1, min(l + 17, length))]
        assert int(seen["rows"][k]) in rows
        assert torch.equal(seen["log_q"][k], psu.log_q[seen["rows"][k]])
    single, _ = to_tensors(*make_batch(lengths=(1, 1)))
    psu.neighbour(single, psu.encoder().encode(single.item, single.query), torch.Generator().manual_seed(0))
    assert not seen["valid"].any()  # nothing follows an only event


def test_hidden_ids_are_absent_in_their_step_alone():
    psu = make_psu(objectives={"neighbour": 1.0}, hide_ids=0.5)
    channels, rows = psu.channels, torch.arange(1, ITEMS + 1)
    before, _ = channels.items(rows)
    hidden = psu.hidden_ids(torch.Generator().manual_seed(4), rows.device)
    assert 0.2 < float(hidden.float().mean()) < 0.8
    with channels.hiding(hidden):
        inside, present = channels.items(rows)
    after, there = channels.items(rows)
    assert torch.equal(before, after) and torch.equal(before[:, 1:], inside[:, 1:])
    changed = (before[:, 0] != inside[:, 0]).any(-1)
    assert torch.equal(changed, hidden[rows] & channels.known_items[rows])
    bare = hidden[rows] & ~(channels.attributes[rows] != 0).any(-1)
    assert torch.equal(present[:, 0], there[:, 0] & ~bare)
    psu(*to_tensors(*make_batch()), torch.Generator().manual_seed(4)).total.backward()
    assert not channels.id_embedding.grad[hidden].any() and channels.id_embedding.grad.any()
    assert channels.hidden is None
