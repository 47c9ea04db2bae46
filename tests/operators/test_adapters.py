"""Operators of scipy, pylops and deepinv; what is said where an extra is missing."""

import sys
import types

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from wellposed.errors import InputError, MissingExtraError
from wellposed.operators import Matrix, from_deepinv, from_pylops, from_scipy
from wellposed.operators.normal import gaussian_mean
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(71)
REAL = STREAM.normal((5, 12), "real")
COMPLEX = torch.view_as_complex(STREAM.normal((5, 12, 2), "complex"))


@pytest.mark.parametrize("table", [REAL, COMPLEX], ids=["real", "complex"])
def test_scipy_operators_are_their_matrices(table):
    wrapped, matrix = from_scipy(aslinearoperator(table.numpy()), (3, 4)), Matrix(table, (3, 4))
    x, y = STREAM.normal((2, 3, 4), "x"), matrix(STREAM.normal((2, 3, 4), "y"))
    assert torch.allclose(wrapped(x), matrix(x))
    assert torch.allclose(wrapped.adjoint(y), matrix.adjoint(y))
    assert wrapped.gain == pytest.approx(matrix.gain)
    assert wrapped(x.float()).dtype == (torch.complex64 if table.is_complex() else torch.float32)
    draws = [gaussian_mean(op, y[0], x, 0.3, 1.0).z for op in (wrapped, matrix)]
    assert torch.allclose(*draws, atol=1e-10)


@pytest.mark.parametrize("table", [REAL, COMPLEX], ids=["real", "complex"])
def test_autograd_passes_through_scipy_operators(table):
    wrapped = from_scipy(aslinearoperator(table.numpy()), (3, 4))
    x = STREAM.normal((2, 3, 4), "x").requires_grad_()
    assert torch.autograd.gradcheck(lambda v: wrapped.forward(v).abs(), x)
    back = STREAM.normal((2, 5), "y").to(table.dtype).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: wrapped.backward(v).square(), back)


def test_single_precision_is_kept():
    wrapped = from_scipy(aslinearoperator(REAL.numpy()))
    y = wrapped(torch.ones(12))
    assert y.dtype == wrapped.adjoint(y).dtype == torch.float32


def test_a_wrong_adjoint_is_refused():
    wrong = LinearOperator(
        (5, 12), matvec=lambda x: REAL.numpy() @ x, rmatvec=lambda y: 1.001 * REAL.numpy().T @ y,
        dtype=float,
    )  # fmt: skip
    with pytest.raises(InputError, match="not the adjoint"):
        from_scipy(wrong)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: from_scipy(3), ["int", "aslinearoperator"]),
        (lambda: from_scipy(aslinearoperator(np.ones((2, 3))), (2, 2)), ["shape_in", "4", "3"]),
        (lambda: from_scipy(aslinearoperator(np.ones((2, 3))), None, (3,)), ["shape_out", "2"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("name", "make"), [("pylops", from_pylops), ("deepinv", from_deepinv)])
def test_the_extra_is_named_where_it_is_missing(name, make, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"wellposed\[{name}\]"):
        make(*(object(), (3,))[: 1 if name == "pylops" else 2])


def test_pylops_operators_keep_their_shapes():
    pylops = pytest.importorskip("pylops", reason="the extra pylops is not installed")
    given = pylops.FirstDerivative((6, 5), axis=0, kind="forward")
    wrapped = from_pylops(given)
    x = STREAM.normal((2, 6, 5), "x")
    expected = torch.cat([x.diff(dim=1), torch.zeros(2, 1, 5, dtype=F64)], 1)
    assert wrapped.shape_in == wrapped.shape_out == (6, 5)
    assert torch.allclose(wrapped(x), expected)
    with pytest.raises(InputError, match="expected an operator of pylops"):
        from_pylops(aslinearoperator(np.ones((2, 3))))


def check_physics(deepinv, linear, nonlinear):
    """A linear physics x -> x[1:] - x[:-1] along the last axis, and its square."""
    wrapped = from_deepinv(linear, (1, 4, 5))
    x = STREAM.normal((2, 1, 4, 5), "x").float()
    y = wrapped(x)
    assert torch.allclose(y, linear.A(x))
    back = wrapped.adjoint(y)
    assert float((y * y).sum()) == pytest.approx(float((x * back).sum()), rel=1e-5)
    plain = from_deepinv(nonlinear, (1, 4, 5))
    assert not plain.linear
    assert torch.allclose(plain(x), nonlinear.A(x))
    with pytest.raises(InputError, match="expected a physics of deepinv"):
        from_deepinv(torch.nn.Identity(), (3,))


def test_physics_with_the_interface_of_deepinv(monkeypatch):
    class Physics:
        def A(self, x):
            return x.diff(dim=-1).square()

    class LinearPhysics(Physics):
        def A(self, x):
            return x.diff(dim=-1)

    stub = types.ModuleType("deepinv")
    stub.physics = types.SimpleNamespace(Physics=Physics, LinearPhysics=LinearPhysics)
    monkeypatch.setitem(sys.modules, "deepinv", stub)
    check_physics(stub, LinearPhysics(), Physics())


def test_physics_of_deepinv():
    deepinv = pytest.importorskip("deepinv", reason="the extra deepinv is not installed")
    blur = deepinv.physics.Blur(torch.ones(1, 1, 3, 3) / 9, padding="circular")
    nonlinear = deepinv.physics.Physics(A=lambda x, **kwargs: x.square())
    check_physics(deepinv, blur, nonlinear)
