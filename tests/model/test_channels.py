"""Channels: worked example, absence is exactly zero, frozen tables stay, row 0 stays, one path equals the other."""

import pytest
import torch

from seminar_core.errors import ConfigError, NonFiniteError, ShapeError, UnknownNameError
from seminar_core.model.channels import Channels
from seminar_core.model.fusion import Fusion, Projections
from seminar_core.model.search import Encoder
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import ITEMS, channel_arrays, make_batch, make_channels, make_psu


def test_attribute_channel_by_hand():
    channels = Channels(
        width=2, n_items=2, attributes=torch.tensor([[0, 0], [1, 2], [2, 0]]), n_attribute_values=2,
        query_tokens=None, n_query_tokens=0,
    )  # fmt: skip
    with torch.no_grad():
        channels.id_embedding[1:] = torch.tensor([[10.0, 0.0], [0.0, 10.0]])
        channels.attribute_embedding[1:] = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    vectors, present = channels.items(torch.tensor([1, 2, 0]))
    assert vectors[:, 0].tolist() == [[13.0, 4.0], [5.0, 15.0], [0.0, 0.0]]
    assert present.tolist() == [[True, False, False], [True, False, False], [False, False, False]]


def test_query_channel_is_token_mean_plus_projected_vector():
    channels, arrays = make_channels(), channel_arrays()
    vectors, present = channels.queries(torch.tensor([3, 0]))
    tokens = arrays["query_tokens"][3]
    mean = channels.token_embedding[tokens[tokens != 0]].mean(0)
    expected = mean + channels.query_projection.weight @ arrays["text_queries"][3]
    assert torch.allclose(vectors[0], expected, atol=1e-6)
    assert not vectors[1].any() and present.tolist() == [True, False]


def test_an_absent_channel_is_exactly_zero_and_reported_absent():
    channels, arrays = make_channels(), channel_arrays()
    vectors, present = channels.items(torch.arange(ITEMS + 1))
    assert torch.equal(present[:, 1], arrays["text_present"]) and torch.equal(present[:, 2], arrays["image_present"])
    assert not vectors[~present].any() and bool((vectors[present] != 0).any(-1).all())


def test_rows_that_are_marked_absent_are_read_as_zero_whatever_they_hold():
    arrays = channel_arrays()
    text = arrays["text_items"].clone()
    text[5] = 100.0
    vectors, _ = make_channels(text_items=text).items(torch.tensor([5]))
    assert not vectors[0, 1].any()


def test_an_item_that_was_never_trained_on_has_no_id():
    known = torch.ones(ITEMS + 1, dtype=torch.bool)
    known[[4, 5]] = False
    channels = make_channels(known_items=known)
    vectors, present = channels.items(torch.tensor([4, 5]))
    values = channel_arrays()["attributes"][4]
    mean = channels.attribute_embedding[values[values != 0]].mean(0)
    assert torch.allclose(vectors[0, 0], mean, atol=1e-6)
    assert present[:, 0].tolist() == [True, False] and not vectors[1].any()


def test_frozen_tables_are_neither_trained_nor_initialised():
    arrays = channel_arrays()
    psu = make_psu(channels=make_channels())
    psu.apply(lambda module: torch.nn.init.normal_(module.weight) if isinstance(module, torch.nn.Linear) else None)
    optimiser = torch.optim.AdamW(psu.parameters(), lr=0.1)
    batch = to_tensors(*make_batch())
    for _ in range(3):
        optimiser.zero_grad()
        psu(*batch).total.backward()
        optimiser.step()
    assert torch.equal(psu.channels.text_items, arrays["text_items"])
    assert torch.equal(psu.channels.image_items, arrays["image_items"])
    assert not any("_items" in name or name.endswith("queries") for name in psu.state_dict())


def test_row_zero_stays_zero_through_training_with_weight_decay():
    psu = make_psu()
    optimiser = torch.optim.AdamW(psu.parameters(), lr=0.1, weight_decay=0.1)
    for seed in range(3):
        optimiser.zero_grad()
        psu(*to_tensors(*make_batch(seed))).total.backward()
        optimiser.step()
    assert not any(table[0].any() for table in psu.channels.embedding_parameters())


@pytest.mark.parametrize("disabled", ["", "T", "AI", "Q"])
@pytest.mark.parametrize("item_absent", ["keep", "renormalise"])
def test_fusing_at_once_equals_channels_then_projections_then_weights(disabled, item_absent):
    channels = make_channels(disabled=tuple(disabled))
    fusion = Fusion(enabled=channels.enabled, item_absent=item_absent)
    turns = Projections(width=channels.width, enabled=channels.enabled)
    with torch.no_grad():
        turns.item.add_(torch.randn_like(turns.item))
        if fusion.logits is not None:
            fusion.logits.add_(torch.randn(3))
    rows = torch.arange(ITEMS + 1)
    vectors, present = channels.items(rows)
    weights = fusion.item_weights().detach()
    for row in range(ITEMS + 1):
        expected, mass = torch.zeros(channels.width), 0.0
        for m in range(3):
            expected += weights[m] * (turns.item[m] @ vectors[row, m])
            mass += float(weights[m]) if present[row, m] else 0.0
        if item_absent == "renormalise" and mass > 0:
            expected = expected / mass
        got = Encoder(channels, fusion, turns).encode(rows[row : row + 1], torch.zeros(1, dtype=torch.long)).item[0]
        assert torch.allclose(got, expected, atol=1e-5)


def test_a_disabled_channel_has_no_parameters_and_is_absent_everywhere():
    channels = make_channels(disabled=("T", "Q"))
    assert channels.enabled == ("A", "I")
    assert not any("text" in name or "token" in name or "query" in name for name, _ in channels.named_parameters())
    vectors, present = channels.items(torch.arange(ITEMS + 1))
    assert not vectors[:, 1].any() and not present[:, 1].any()
    assert not channels.queries(torch.tensor([1, 2]))[1].any()


def test_bad_arrays_are_named_with_row_or_shape():
    arrays = channel_arrays()
    broken = arrays["text_items"].clone()
    broken[3, 2] = float("nan")
    with pytest.raises(NonFiniteError, match="text_items row 3"):
        make_channels(text_items=broken)
    with pytest.raises(ShapeError, match=r"image_items has shape \(7, 9\), expected \(41, W\)"):
        make_channels(image_items=arrays["image_items"][:7], image_present=None)
    with pytest.raises(UnknownNameError, match="channel 'X' is not known; known: A, I, Q, T"):
        make_channels(disabled=("X",))
    with pytest.raises(ConfigError, match="no item channel is left"):
        make_channels(disabled=("A", "T", "I"))
