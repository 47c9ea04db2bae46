"""from_callable: the adjoint by autograd, and every way in which a function can be unfit."""

import pytest
import torch

import wellposed as wp
from wellposed.errors import CapabilityError, InputError
from wellposed.operators import LinearOperator, MatrixOperator, from_callable

F64 = torch.float64


class OldStyle(torch.autograd.Function):
    """A custom function without the newer functional interface."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def test_adjoint_matches_the_matrix():
    kernel = torch.tensor([1.0, -2.0, 0.5], dtype=F64)

    def blur(x):
        return torch.nn.functional.conv1d(x[:, None], kernel[None, None])[:, 0]

    operator = from_callable(blur, (8,), linear=True)
    table = operator(torch.eye(8, dtype=F64)).mT
    y = torch.arange(6.0, dtype=F64)
    assert operator.shape_out == (6,)
    assert torch.allclose(operator.adjoint(y), table.mT @ y, atol=1e-14)
    assert operator.gain == pytest.approx(float(table.square().sum()) / 8)


def test_custom_autograd_functions_and_no_grad_callers_work():
    operator = from_callable(OldStyle.apply, (3,), linear=True)
    with torch.no_grad():
        assert operator.adjoint(torch.ones(3, dtype=F64)).tolist() == [2, 2, 2]


def test_matrix_functions_can_be_recovered_from():
    table = torch.outer(torch.arange(1.0, 7.0, dtype=F64), torch.arange(2.0, 7.0, dtype=F64))
    operator = from_callable(lambda m: 3 * m, (6, 5), linear=True)
    assert isinstance(operator, MatrixOperator)
    fit = wp.recover(wp.Problem(operator(table), operator), wp.LowRank(1), wp.ScaledGD())
    assert torch.allclose(fit.signal, table, atol=1e-4)


def test_nonlinear_functions_are_plain_operators():
    operator = from_callable(lambda x: x.square().sum(-1, keepdim=True), (3,))
    assert not isinstance(operator, LinearOperator)
    assert not operator.linear
    assert operator(torch.tensor([1.0, 2.0, 2.0], dtype=F64)).tolist() == [9.0]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_dtype_is_kept(dtype):
    operator = from_callable(lambda x: x.cumsum(-1), (4,), linear=True, dtype=dtype)
    assert operator.adjoint(operator(torch.ones(4, dtype=dtype))).dtype == dtype


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (torch.square, ["not linear"]),
        (lambda x: x + 1, ["not linear", "constants"]),
        (lambda x: x + 1e-6 * x.square(), ["not linear"]),
        (torch.abs, ["not linear"]),
        (lambda x: 2 * x.detach(), ["no adjoint", "detach"]),
        (lambda x: x + x.detach(), ["<f(x), y>", "autograd does not see"]),
        (lambda x: torch.from_numpy(2 * x.detach().numpy()), ["no adjoint"]),
    ],
)
def test_unfit_linear_functions_are_refused(function, words):
    with pytest.raises(InputError) as caught:
        from_callable(function, (5,), linear=True)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (3, ["function is a int"]),
        (lambda x: x.reshape(7), ["failed on a trial batch", "[2, 5]"]),
        (lambda x: x.sum(), ["tensor of shape []", "one item for each signal"]),
        (lambda x: x.numpy(), ["a ndarray"]),
        (lambda x: x - x.mean(0, keepdim=True), ["alone", "one by one"]),
    ],
)
def test_functions_that_do_not_map_batches_are_refused(function, words):
    with pytest.raises(InputError) as caught:
        from_callable(function, (5,))
    for word in words:
        assert word in str(caught.value)


def test_bad_shapes_are_named():
    with pytest.raises(InputError, match="a side of shape_in is -1"):
        from_callable(torch.sin, (-1,))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (torch.square, True),
        (lambda x: torch.from_numpy(x.numpy() ** 2), False),
        (lambda x: x.detach().square(), False),
        (lambda x: (x > 0).double(), False),
    ],
)
def test_functions_that_autograd_does_not_see_are_not_differentiable(function, expected):
    operator = from_callable(function, (3,))
    x = torch.ones(1, 3, dtype=F64)
    assert operator.differentiable == expected
    assert operator.forward(x).tolist() == [[1, 1, 1]]
    if expected:
        assert operator.pullback(x, x).tolist() == [[2, 2, 2]]
        return
    with pytest.raises(CapabilityError, match="not differentiable"):
        operator.pullback(x, x)
