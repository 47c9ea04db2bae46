"""Identity, Matrix and Compose: capabilities, the measured gain, bad input."""

import pytest
import torch
from scipy import sparse

from wellposed.errors import InputError
from wellposed.operators import (
    Compose,
    Entries,
    Identity,
    LinearOperator,
    Matrix,
    MatrixOperator,
    from_callable,
)
from wellposed.operators.dense import EXACT_GAIN
from wellposed.rng import Stream

F64 = torch.float64


def test_identity_observes_matrices_fully_and_other_shapes_plainly():
    plane, cube = Identity((4, 5)), Identity((2, 4, 5))
    assert isinstance(plane, MatrixOperator)
    assert isinstance(plane, Identity)
    assert not isinstance(cube, MatrixOperator)
    assert cube == Identity([2, 4, 5])


def test_complex_matrix_keeps_signals_real():
    stream = Stream(0)
    table = torch.view_as_complex(stream.normal((5, 3, 2), "matrix"))
    y = torch.view_as_complex(stream.normal((5, 2), "y"))
    back = Matrix(table).adjoint(y)
    assert torch.allclose(back, (table.mH @ y).real)


def test_sparse_matrix_stays_sparse():
    table = sparse.random_array((2000, 3000), density=1e-3, rng=0, format="coo")
    operator = Matrix(table)
    x = Stream(1).normal((3000,), "x")
    assert operator.matrix.values.numel() == table.nnz
    assert torch.allclose(operator(x), torch.from_numpy(table.tocsr() @ x.numpy()))


def test_composition_keeps_what_both_can_do():
    rows, cols = torch.ones(4, 3).nonzero(as_tuple=True)
    cells, weights = Entries(rows, cols, (4, 3)), Matrix(torch.ones(2, 12, dtype=F64))
    square = from_callable(torch.square, (2,))
    assert isinstance(Compose(weights, cells), MatrixOperator)
    assert isinstance(Compose(weights, Identity((12,))), LinearOperator)
    assert not isinstance(Compose(weights, Identity((12,))), MatrixOperator)
    assert not isinstance(Compose(square, weights), LinearOperator)
    assert not Compose(square, weights).linear
    assert Compose(inner=weights, outer=square)(torch.ones(12, dtype=F64)).tolist() == [144, 144]


def test_order_of_composition_matters():
    double, shift = (from_callable(f, (3,)) for f in (lambda x: 2 * x, lambda x: x + 1))
    one = torch.ones(3, dtype=F64)
    assert Compose(double, shift)(one).tolist() == [4, 4, 4]
    assert Compose(shift, double)(one).tolist() == [3, 3, 3]


@pytest.mark.parametrize("kind", ["vectors", "cells"])
def test_gain_of_a_large_composition_is_estimated_closely(kind):
    stream, n = Stream(4), 2 * EXACT_GAIN
    weights = stream.normal((30, n), "weights")
    if kind == "vectors":
        inner, size = Identity((n,)), n
    else:
        mask = stream.uniform((64, 64), "cells").flatten().argsort()[:n]
        inner, size = Entries(mask // 64, mask % 64, (64, 64)), 64 * 64
    operator = Compose(Matrix(weights), inner)
    # 64 probes of an operator of rank 30: standard error about sqrt(2 / (64 * 30)) = 3 %
    assert operator.gain == pytest.approx(float(weights.square().sum()) / size, rel=0.15)
    assert operator.gain == Compose(Matrix(weights), inner).gain


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Identity((2, 0)), ["a side of shape is 0"]),
        (lambda: Identity(()), ["shape is ()"]),
        (lambda: Identity("ab"), ["shape is 'ab'"]),
        (lambda: Matrix(torch.ones(3)), ["matrix", "[3]", "[m, n]"]),
        (lambda: Matrix([[1.0, torch.inf]]), ["matrix", "infinite", "(0, 1)"]),
        (lambda: Matrix(sparse.csr_array([[0.0, torch.nan]])), ["matrix", "NaN"]),
        (lambda: Matrix(sparse.coo_array([0.0, 1.0])), ["matrix", "[2]", "[m, n]"]),
        (lambda: Matrix(torch.eye(2))(torch.ones(2, dtype=F64)), ["signal", "float64", "float32"]),
        (lambda: Matrix(torch.eye(2))(torch.ones(2) * 1j), ["signal", "complex64", "float32"]),
        (
            lambda: Matrix(torch.eye(2) * 1j).adjoint(torch.ones(2)),
            ["measurement", "float32", "complex64"],
        ),
        (lambda: Compose(Identity((2,)), Identity((3,))), ["[3]", "[2]"]),
        (lambda: Compose(torch.sin, Identity((3,))), ["outer", "expected an operator"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
