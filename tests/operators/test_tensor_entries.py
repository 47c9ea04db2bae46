"""Operators on tensors: every layout against dense autograd, the start, memory, bad input."""

import tracemalloc

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import wellposed as wp
from wellposed.lowrank.tensor_setting import TensorSetting
from wellposed.multilinear import Tucker, dense, unfold
from wellposed.operators import tensor_entries
from wellposed.operators.tensor_entries import FibreEntries, MaskedTensor, build_fibres
from wellposed.rng import Stream
from wellposed.task import Task

SIDES = [(7, 6, 5), (5, 4, 6, 3), (4, 3, 3, 2, 5)]
every = pytest.mark.parametrize("sides", SIDES, ids=["3", "4", "5"])


def tucker(sides, rank=2, seed=0):
    stream = Stream(seed)
    factors = tuple(stream.normal((n, rank), f"u{k}") for k, n in enumerate(sides))
    return Tucker(stream.normal((rank,) * len(sides), "core"), factors)


def cells(sides, share=0.3, seed=0):
    mask = Stream(seed).uniform(sides, "mask") < share
    order = Stream(seed).permutation(int(mask.sum()), "order")
    return wp.operators.TensorEntries(mask.nonzero()[order], sides)


def fibres(operator, monkeypatch, share):
    with monkeypatch.context() as patch:
        patch.setattr(tensor_entries, "GRID_SHARE", share)
        return build_fibres(operator.indices, operator.shape)


def masked(operator):
    return MaskedTensor(operator.backward(torch.ones(1, *operator.shape_out).double())[0])


def layouts(operator, monkeypatch):
    """Each layout, with a function that lays measurements out for it."""
    yield operator, lambda y: y
    for share in (0.0, 10.0):
        layout = fibres(operator, monkeypatch, share)
        assert (layout.fibres is None) == (share == 0.0)
        yield layout, lambda y, order=layout.cells.pattern.order: y[order]
    yield masked(operator), lambda y: operator.backward(y[None])[0]


@every
def test_every_layout_has_the_slopes_of_autograd(sides, monkeypatch):
    operator, t = cells(sides), tucker(sides)
    y = Stream(1).normal(operator.shape_out, "y")
    leaves = [p.clone().requires_grad_() for p in t.factors]
    core = t.core.clone().requires_grad_()
    off = operator.forward(dense(Tucker(core, tuple(leaves)))[None])[0] - y
    want = torch.autograd.grad(0.5 * off.square().sum(), [core, *leaves])
    for layout, lay in layouts(operator, monkeypatch):
        residual = layout.residual(t, lay(y))
        assert torch.allclose(layout.on_tucker(t) - lay(y), residual, rtol=0, atol=1e-12)
        assert torch.allclose(residual, lay(off.detach()), rtol=0, atol=1e-12)
        found = layout.slopes(residual, t, range(len(sides)))
        got = [found.core, *(found.factors[k] for k in range(len(sides)))]
        for a, b in zip(got, want, strict=True):
            assert float((a - b).norm()) <= 1e-10 * float(b.norm())
        assert layout.gain == pytest.approx(operator.gain)
        if isinstance(layout, FibreEntries):
            assert torch.allclose(layout.backward(lay(y)[None]), operator.backward(y[None]))


@every
def test_the_start_sees_the_unbiased_gram(sides, monkeypatch):
    operator = cells(sides)
    y = Stream(2).normal(operator.shape_out, "y")
    full, p = operator.backward(y[None])[0], operator.gain
    for k in range(len(sides)):
        gram = unfold(full, k) @ unfold(full, k).T
        gram -= (1 - p) * torch.diag(gram.diagonal())
        top = torch.linalg.eigh(gram).eigenvectors[:, -2:]
        for layout, lay in layouts(operator, monkeypatch):
            found = layout.mode_basis(lay(y), k, 2)
            assert float((found @ found.T - top @ top.T).norm()) < 1e-9
    monkeypatch.setattr(tensor_entries, "GRAM_SIDE", 0)  # multiply with the Gram instead
    assert float((operator.mode_basis(y, k, 2) @ operator.mode_basis(y, k, 2).T
                  - top @ top.T).norm()) < 1e-8  # fmt: skip


def test_the_corrected_gram_is_less_biased_than_the_plain_one():
    """With unequal rows the plain Gram turns to the loudest row; the mean over masks tells.

    With g = X X^T / p^2 of the seen cells, whose diagonal is multiplied by p, off the diagonal
    Var g_ij = (1 / p^2 - 1) sum_c (x_ic x_jc)^2, on it Var g_ii = (1 / p - 1) sum_c x_ic^4, and
    the plain diagonal is 1 / p times the truth's. The squared deviation of the mean is a sum of
    weighted chi-squares, like one of (sum v)^2 / sum v^2 = 21 degrees: it exceeds twice its mean
    with probability 0.004.
    """
    t = tucker((12, 12, 12), 1, 4)
    loud = Tucker(t.core, (t.factors[0].index_fill(0, torch.tensor([3]), 0.0), *t.factors[1:]))
    full = dense(loud)
    full[3] = 2.5 * Stream(5).normal((12, 12), "own")  # energy in row 3, on no common direction
    truth = unfold(full, 0) @ unfold(full, 0).T
    plain, mended, p, count = 0.0, 0.0, 0.1, 1000
    for seed in range(count):
        seen = full * (Stream(seed).uniform(full.shape, "m") < p)
        gram = unfold(seen, 0) @ unfold(seen, 0).T / p**2
        plain += gram / count
        mended += (gram - (1 - p) * torch.diag(gram.diagonal())) / count
    squares = unfold(full, 0).square()
    variance = (p**-2 - 1) * (squares @ squares.T)
    variance.diagonal().copy_((1 / p - 1) * squares.square().sum(1))
    deviation = float((variance.sum() / count).sqrt())
    assert float((mended - truth).norm()) < 2**0.5 * deviation
    bias = (1 / p - 1) * float(truth.diagonal().norm())
    assert float((plain - truth).norm()) == pytest.approx(bias, rel=0.1)
    assert bias > 10 * deviation


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returned."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, torch.Tensor) and x.layout == torch.strided:
                self.size = max(self.size, x.untyped_storage().nbytes() // x.element_size())
        return out


def peak(operator, y, rank):
    """Largest torch tensor, and numpy bytes at once, of start and step."""
    method = wp.TensorScaledGD()
    with Largest():  # import all that the dispatcher wants, before memory is watched
        torch.ones(2) + 1
    tracemalloc.start()
    with Largest() as seen:
        task = Task(wp.Problem(y, operator), wp.LowTucker((rank,) * len(operator.shape_in)))
        plan = method.prepare(task)
        method.step(plan, method.init(plan, Stream(0)))
    numpy_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seen.size, numpy_bytes


def test_memory_grows_with_the_observed_cells_only():
    n, m, rank = 400, 20_000, 3
    flat = (Stream(0).uniform((2 * m,), "cells") * n**3).long().unique()
    flat = flat[Stream(0).permutation(len(flat), "some")[:m]]
    indices = torch.stack(torch.unravel_index(flat, (n, n, n)), 1)
    operator = wp.operators.TensorEntries(indices, (n, n, n))
    size, numpy_bytes = peak(operator, operator.on_tucker(tucker((n,) * 3, rank)), rank)
    kronecker, unfolding = n**2 * rank**2, n**3
    assert size <= 12 * m < kronecker < unfolding
    assert numpy_bytes <= 8 * 25 * m + 8 * n**2
    dense_size, _ = peak(masked(cells((60, 60, 60), 0.01)), torch.zeros(60, 60, 60).double(), rank)
    assert dense_size >= 60**3  # the dense layout fails the same measurement


def test_small_filled_tensors_become_dense_and_others_do_not():
    few, many = cells((9, 9, 9), 0.05), cells((9, 9, 9), 0.5)
    one = torch.ones
    assert isinstance(few.canonical(one(few.shape_out).double())[0], FibreEntries)
    assert isinstance(many.canonical(one(many.shape_out).double())[0], MaskedTensor)


def test_empty_slices_are_named():
    operator = wp.operators.TensorEntries([[0, 1, 2], [3, 1, 0]], (4, 2, 3))
    assert operator.empty(0).tolist() == [1, 2]
    assert operator.empty(1).tolist() == [0]


def test_sensing_and_functions_agree_with_their_table():
    table = Stream(0).normal((5, 3, 4, 2), "a")
    sensing = wp.operators.TensorSensing(table)
    function = wp.operators.from_callable(
        lambda x: torch.einsum("bijk,mijk->bm", x, table), (3, 4, 2), linear=True
    )
    t, y = tucker((3, 4, 2)), Stream(1).normal((5,), "y")
    for operator in (sensing, function):
        off = operator.residual(t, y)
        assert torch.allclose(off, torch.einsum("ijk,mijk->m", dense(t), table) - y)
        assert operator.gain == pytest.approx(float(table.square().sum()) / 24)
        want = torch.einsum("m,mijk->ijk", off, table)
        found = operator.slopes(off, t, (0, 2))
        assert torch.allclose(found.core, torch.einsum("ijk,ia,jb,kc->abc", want, *t.factors))
    plan = TensorSetting(sensing, y, y.norm(), sensing.gain, (1, 1, 1))
    assert plan.operator.mode_basis(y, 1, 1).shape == (4, 1)


@pytest.mark.parametrize(
    ("indices", "shape", "message"),
    [
        ([[0, 0, 0]], (2, 2), "at least three sides"),
        ([[0, 0]], (2, 2, 2), r"expected \[m, 3\]"),
        ([[0, 0, 2]], (2, 2, 2), r"indices\[:, 2\] runs from 2 to 2"),
        ([[-1, 0, 0]], (2, 2, 2), "runs from -1"),
        ([], (2, 2, 2), "expected"),
        ([[0.5, 0, 0]], (2, 2, 2), "fraction"),
        ([[0, 0, 0]], (2, 0, 2), "whole number"),
        ([[0, 0, 0]], (2**31, 2**31, 2), "numbered"),
    ],
)
def test_bad_positions_are_refused(indices, shape, message):
    with pytest.raises(wp.WellposedError, match=message):
        wp.operators.TensorEntries(indices, shape)


def test_repeated_cells_are_refused_in_every_layout():
    for shape in ((3, 3, 3), (300, 300, 300)):
        operator = wp.operators.TensorEntries([[1, 2, 0], [0, 0, 0], [1, 2, 0]], shape)
        with pytest.raises(wp.WellposedError, match=r"cell \(1, 2, 0\) is given more than once"):
            operator.canonical(torch.ones(3))


def test_sensing_tensors_must_be_tensors():
    for bad in (torch.ones(3, 2, 2), torch.zeros(2, 2, 2, 2), torch.full((1, 2, 2, 2), torch.nan)):
        with pytest.raises(wp.WellposedError):
            wp.operators.TensorSensing(bad)
