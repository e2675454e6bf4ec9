"""Table look-ups whose row 0 stays zero for ever and whose gradients are fast, and sparse where asked.

Model layer. Row 0 of every table stands for padding and absence. torch's own `padding_idx` costs the bag look-up its
fast path, so the row is held at zero by its gradient instead: it starts at zero and never receives one.

The gradient of a look-up adds rows up by where they came from. torch does that by scattering; sorting the places by
counting (scipy's sparse transpose) and reading them back as bags is several times faster on one core. Measured with
64,000 bags of 5 from 50,000 rows at D=64: 5 ms against 49 ms; with 64,000 plain look-ups of 39,600 rows: 1.7 ms
against 8.6 ms.

`distinct` finds the distinct rows of a batch. On the CPU each is computed once and gathered; on CUDA finding them would
make the host wait for the device, and computing a row twice is cheaper than that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor
from torch.autograd.function import once_differentiable


def on_cpu(tensor: Tensor) -> bool:
    """Whether values may be read back without waiting for a device; elsewhere the shapes alone decide what is done."""
    return tensor.device.type == "cpu"


def add_rows(grad: Tensor, places: Tensor, rows: int) -> Tensor:
    """Sum of gradients by place: (n, D), (n, T) places in 0..rows-1 -> (rows, D) float32; on the CPU in fixed order."""
    count, each = places.shape
    grad = grad.float()
    if not on_cpu(grad):
        total = grad.new_zeros(rows, grad.shape[1])
        return total.index_add_(0, places.reshape(-1), grad.repeat_interleave(each, 0))
    ends = np.arange(0, count * each + 1, each, dtype=np.int32)
    flat = places.reshape(-1).numpy().astype(np.int32)
    turned = csr_array((np.ones(len(flat), np.int8), flat, ends), shape=(count, rows)).tocsc()
    who, starts = torch.from_numpy(turned.indices), torch.from_numpy(turned.indptr)
    return F.embedding_bag(who, grad.contiguous(), starts, mode="sum", include_last_offset=True)


def row_gradient(grad: Tensor, places: Tensor, rows: int, sparse: bool) -> Tensor:
    """Gradient of a table of `rows` rows from (n, D) and (n, T) places; row 0 is zero; sparse if asked."""
    if not sparse:
        dense = add_rows(grad, places, rows)
        dense[0] = 0
        return dense
    size = (rows, grad.shape[1])
    flat = places.reshape(-1)
    unique, inverse = distinct(flat, rows)
    if inverse is None:
        values = grad.repeat_interleave(places.shape[1], 0) * (flat != 0).unsqueeze(1)
        return torch.sparse_coo_tensor(flat.unsqueeze(0), values, size, check_invariants=False)
    values = add_rows(grad, inverse.view(places.shape), len(unique))
    if len(unique) and unique[0] == 0:
        unique, values = unique[1:], values[1:]
    return torch.sparse_coo_tensor(unique.unsqueeze(0), values, size, is_coalesced=True, check_invariants=False)


class _Rows(torch.autograd.Function):
    """Sum of the table rows of each bag (T = 1: a plain look-up)."""

    @staticmethod
    def forward(ctx, weight: Tensor, places: Tensor, sparse: bool, reserved: bool) -> Tensor:
        ctx.save_for_backward(places)
        ctx.rows, ctx.sparse, ctx.reserved = weight.shape[0], sparse, reserved
        if places.shape[1] == 1:
            return torch.index_select(weight, 0, places[:, 0])
        return F.embedding_bag(places, weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        (places,) = ctx.saved_tensors
        if ctx.reserved:
            return row_gradient(grad, places, ctx.rows, ctx.sparse), None, None, None
        return add_rows(grad, places, ctx.rows), None, None, None


def look_up(weight: Tensor, rows: Tensor, sparse: bool = False) -> Tensor:
    """Rows of a trained table: (V, D) and (n,) -> (n, D); row 0 gets no gradient."""
    return _Rows.apply(weight, rows.unsqueeze(1), sparse, True)


def bag_mean(weight: Tensor, tokens: Tensor, sparse: bool = False) -> Tensor:
    """Masked mean of the rows of each bag: (n, T) token rows, 0 = none, from (V, D) -> (n, D); an empty bag is zero."""
    count = (tokens != 0).sum(1, keepdim=True).clamp(min=1)  # (n, 1)
    return _Rows.apply(weight, tokens, sparse, True) * (1.0 / count)


def distinct(rows: Tensor, table_size: int, worth: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """The distinct values of `rows` (n,) in ascending order and where each row is among them.

    Args:
        rows: (n,).
        table_size: rows lie in 0..table_size-1.
        worth: largest u / n at which computing each once and gathering pays.

    Returns:
        (u,) distinct rows and (n,) positions in it; on CUDA, or where it does not pay, `rows` itself and None.
    """
    if not on_cpu(rows):
        return rows, None
    values = rows.numpy()
    if table_size > 64 * max(len(values), 1):
        unique, inverse = np.unique(values, return_inverse=True)
        if len(unique) > worth * len(values):
            return rows, None
        return torch.from_numpy(unique), torch.from_numpy(inverse)
    seen = np.zeros(table_size, dtype=bool)
    seen[values] = True
    unique = np.flatnonzero(seen)
    if len(unique) > worth * len(values):
        return rows, None
    place = np.empty(table_size, dtype=np.int64)
    place[unique] = np.arange(len(unique))
    return torch.from_numpy(unique), torch.from_numpy(place[values])


def spread(vectors: Tensor, inverse: Tensor | None) -> Tensor:
    """Give every row its distinct vector back: (u, D), (n,) -> (n, D)."""
    return vectors if inverse is None else _Rows.apply(vectors, inverse.unsqueeze(1), False, False)


class _BlockedProjection(torch.autograd.Function):
    """table[rows] @ weight.T on the CPU, a block of rows at a time, so that the gathered rows never leave the cache."""

    @staticmethod
    def forward(ctx, weight: Tensor, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.table = table
        turned = weight.t().contiguous()  # (W, D)
        out = weight.new_empty(len(rows), weight.shape[0])
        for part, block in _blocks(table, rows):
            torch.mm(block, turned, out=out[part])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        (rows,) = ctx.saved_tensors
        grad = grad.contiguous()
        total = grad.new_zeros(grad.shape[1], ctx.table.shape[1])  # (D, W)
        for part, block in _blocks(ctx.table, rows):
            total.addmm_(grad[part].t(), block)
        return total, None, None


def _blocks(table: Tensor, rows: Tensor, size: int = 512) -> Iterator[tuple[slice, Tensor]]:
    """The gathered rows of `table`, `size` at a time, in one buffer that is used again."""
    buffer = table.new_empty(min(size, len(rows)), table.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        block = buffer[: part.stop - part.start]
        torch.index_select(table, 0, rows[part], out=block)
        yield part, block


def project_rows(weight: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Projection of frozen rows: (D, W) weight, (I+1, W) table, (u,) rows -> (u, D); only `weight` is differentiated.

    On the CPU the gather and the product go block by block (measured at 20,800 rows of 512 to D=64, one thread: 13 ms
    against 43 ms for gathering first, which writes 42 MB of fresh memory).
    """
    if on_cpu(table) and weight.dtype == table.dtype:
        return _BlockedProjection.apply(weight, table, rows)
    return F.linear(table[rows], weight)


def frozen_products(table: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Inner products of frozen rows: (I+1, W) table, (B, R) and (B, L) rows -> (B, R, L), not differentiated.

    On the CPU a few people at a time, so that the gathered rows never leave the cache.
    """
    people, length = right.shape
    width = table.shape[1]
    if not on_cpu(table):
        return torch.bmm(table[left], table[right].transpose(1, 2))
    out = table.new_empty(people, left.shape[1], length)
    step = max(1, 512 // max(length, 1))
    buffer = table.new_empty(step * length, width)
    for start in range(0, people, step):
        part = slice(start, min(start + step, people))
        rows = right[part].reshape(-1)
        block = torch.index_select(table, 0, rows, out=buffer[: len(rows)]).view(-1, length, width)
        torch.bmm(table[left[part]], block.transpose(1, 2), out=out[part])
    return out
