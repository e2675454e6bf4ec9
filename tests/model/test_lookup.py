"""Look-ups: values and gradients equal torch's own, row 0 never moves, sparse equals dense."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seminar_core.model.lookup import bag_mean, distinct, look_up, project_rows, spread


def _table(rows: int = 9, width: int = 3) -> torch.Tensor:
    table = torch.randn(rows, width)
    table[0] = 0
    return table


def test_mean_of_two_tokens_by_hand():
    table = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 6.0]])
    means = bag_mean(table, torch.tensor([[1, 2, 0], [2, 0, 0], [0, 0, 0]]))
    assert means.tolist() == [[2.0, 4.0], [3.0, 6.0], [0.0, 0.0]]


def test_bag_mean_and_its_gradient_equal_a_loop():
    torch.manual_seed(0)
    tokens = torch.randint(0, 9, (20, 4))
    ours, loop = _table().requires_grad_(), _table()
    loop = ours.detach().clone().requires_grad_()
    rows = []
    for bag in tokens:
        real = [loop[t] for t in bag if t != 0]
        rows.append(torch.stack(real).mean(0) if real else torch.zeros(3))
    weights = torch.randn(20, 3)
    (torch.stack(rows) * weights).sum().backward()
    (bag_mean(ours, tokens) * weights).sum().backward()
    assert torch.allclose(bag_mean(ours, tokens), torch.stack(rows), atol=1e-6)
    assert torch.allclose(ours.grad, loop.grad, atol=1e-6)


@pytest.mark.parametrize("rows", [9, 50_000])
def test_sparse_gradients_equal_dense_ones_and_leave_row_zero_out(rows):
    torch.manual_seed(0)
    tokens = torch.randint(0, min(rows, 400), (60, 5))
    weights = torch.randn(60, 3)
    gradients = []
    for sparse in (False, True):
        table = _table(rows).requires_grad_()
        (bag_mean(table, tokens, sparse) * weights).sum().backward()
        gradients.append(table.grad)
    assert gradients[1].is_sparse and 0 not in gradients[1].coalesce().indices()
    # _table draws anew each time, but a gradient of a mean does not depend on the table's values
    assert torch.allclose(gradients[0], gradients[1].to_dense(), atol=1e-6)
    assert not gradients[0][0].any()


def test_look_up_gives_row_zero_no_gradient():
    table = _table().requires_grad_()
    look_up(table, torch.tensor([0, 1, 1, 4])).sum().backward()
    assert table.grad.sum(1).tolist() == [0, 6, 0, 0, 3, 0, 0, 0, 0]


@pytest.mark.parametrize("size", [10, 100_000])
def test_distinct_rows_spread_back_to_where_they_came_from(size):
    rows = torch.randint(0, 10, (50,))
    unique, inverse = distinct(rows, size)
    assert unique.tolist() == sorted(set(rows.tolist())) and torch.equal(unique[inverse], rows)
    vectors = torch.randn(len(unique), 2, requires_grad=True)
    weights = torch.randn(50, 2)
    (spread(vectors, inverse) * weights).sum().backward()
    expected = torch.zeros(len(unique), 2).index_add(0, inverse, weights)
    assert torch.allclose(vectors.grad, expected, atol=1e-6)


def test_distinct_gives_up_where_it_does_not_pay():
    assert distinct(torch.arange(8), 10, worth=0.5)[1] is None


def test_projection_in_blocks_equals_projection_at_once():
    torch.manual_seed(0)
    table, weight = torch.randn(700, 7), torch.randn(3, 7, requires_grad=True)
    rows = torch.randint(0, 700, (1300,))
    outer = torch.randn(1300, 3)
    (project_rows(weight, table, rows) * outer).sum().backward()
    blocked, weight.grad = weight.grad, None
    (F.linear(table[rows], weight) * outer).sum().backward()
    assert torch.allclose(blocked, weight.grad, rtol=1e-4, atol=1e-4)
    assert np.allclose(project_rows(weight, table, rows).detach(), (table[rows] @ weight.t()).detach(), atol=1e-5)
