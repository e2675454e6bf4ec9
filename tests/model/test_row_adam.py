"""Adam by rows: equal to Adam's own first step up to the row's mean square, untouched rows stay, state is small."""

import pytest
import torch

from seminar_core.errors import ConfigError
from seminar_core.training.row_adam import RowAdam, rows_of


def naive(table, gradients, lr=0.1, betas=(0.9, 0.999), eps=1e-8):
    """Row by row in plain Python."""
    table = table.clone()
    first, second = torch.zeros_like(table), torch.zeros(len(table))
    for t, gradient in enumerate(gradients, 1):
        for r in range(len(table)):
            if gradient[r].any():
                first[r] = betas[0] * first[r] + (1 - betas[0]) * gradient[r]
                second[r] = betas[1] * second[r] + (1 - betas[1]) * (gradient[r] ** 2).mean()
                step = lr / (1 - betas[0] ** t) * first[r]
                table[r] -= step / ((second[r] / (1 - betas[1] ** t)).sqrt() + eps)
    return table


@pytest.mark.parametrize("sparse", [False, True])
def test_three_steps_equal_a_loop_over_rows(sparse):
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.randn(6, 3))
    start = table.detach().clone()
    gradients = [torch.randn(6, 3) * (torch.rand(6, 1) < 0.6) for _ in range(3)]
    optimiser = RowAdam([table], lr=0.1)
    for gradient in gradients:
        table.grad = gradient.to_sparse(1) if sparse else gradient
        optimiser.step()
    assert torch.allclose(table, naive(start, gradients), atol=1e-5)


def test_repeated_rows_of_a_gradient_are_added():
    gradient = torch.sparse_coo_tensor(torch.tensor([[2, 2, 4]]), torch.ones(3, 2), (6, 2), check_invariants=False)
    rows, values = rows_of(gradient)
    assert rows.tolist() == [2, 4] and values.tolist() == [[2.0, 2.0], [1.0, 1.0]]


def test_state_is_one_moment_per_number_and_one_per_row_and_reloads():
    table = torch.nn.Parameter(torch.randn(6, 3))
    optimiser = RowAdam([table], lr=0.1)
    table.grad = torch.ones(6, 3)
    optimiser.step()
    state = optimiser.state[table]
    assert state["exp_avg"].shape == (6, 3) and state["exp_avg_sq"].shape == (6,)
    other = RowAdam([table], lr=0.5)
    other.load_state_dict(optimiser.state_dict())
    assert other.param_groups[0]["lr"] == 0.1 and torch.equal(other.state[table]["exp_avg"], state["exp_avg"])


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="RowAdam got lr -1"):
        RowAdam([torch.nn.Parameter(torch.zeros(2, 2))], lr=-1)
