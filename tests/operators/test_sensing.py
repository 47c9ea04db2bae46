"""Dense and quadratic sensing: means over designs, units, memory, bad input."""

import pytest
import torch

import wellposed as wp
from wellposed.errors import InputError
from wellposed.operators import DenseSensing, MatrixOperator, RankOneSensing
from wellposed.rng import Stream

F64 = torch.float64


def low_rank(n, rank, kappa, stream):
    """A symmetric positive semi-definite matrix with singular values from 1 to 1 / kappa."""
    basis = torch.linalg.qr(stream.normal((n, rank), "truth"))[0]
    return basis * torch.linspace(1, 1 / kappa, rank, dtype=F64) @ basis.mT


class PlainQuadratic(RankOneSensing):
    """The wrong variant: plain least squares, and the mean over all n^2 directions."""

    misfit = MatrixOperator.misfit
    start_matrix = MatrixOperator.start_matrix
    canonical = MatrixOperator.canonical

    @property
    def gain(self):
        return float(self.vectors.square().sum(1).square().sum()) / self.shape_in[0] ** 2


def test_dense_sensing_keeps_the_matrices_without_a_copy():
    matrices = Stream(0).normal((5, 3, 4), "matrices")
    assert DenseSensing(matrices).matrices.data_ptr() == matrices.data_ptr()


@pytest.mark.parametrize("scale", [1e-5, 1e4])
def test_sensing_matrices_of_any_scale_give_the_same_iterates(scale):
    stream = Stream(3)
    truth = low_rank(8, 2, 3, stream)
    matrices = stream.normal((200, 8, 8), "matrices")

    def run(c):
        operator = DenseSensing(c * matrices)
        return wp.recover(wp.Problem(operator(truth), operator), wp.LowRank(2), wp.ScaledGD(),
                          steps=5).signal  # fmt: skip

    assert torch.allclose(run(1.0), run(scale), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
def test_quadratic_start_estimates_the_signal_for_gaussian_vectors(scale):
    stream, n, m = Stream(5), 6, 200_000
    truth = low_rank(n, 2, 2, stream)
    vectors = scale * stream.normal((m, n), "vectors")

    def error(operator):
        estimate = operator.start_matrix(operator(truth)) @ torch.eye(n, dtype=F64)
        return float((estimate / operator.gain - truth).norm() / truth.norm())

    # 20 other seeds: median 0.015, largest 0.018
    assert error(RankOneSensing(vectors)) < 0.04
    assert error(PlainQuadratic(vectors)) > 1.0


@pytest.mark.parametrize("kappa", [1, 20])
def test_quadratic_sensing_converges_with_the_default_step(kappa):
    stream, n, rank = Stream(1), 30, 3
    truth = low_rank(n, rank, kappa, stream)
    vectors = stream.normal((10 * n * rank, n), "vectors")

    def error(operator):
        problem = wp.Problem(operator(truth), operator)
        fit = wp.recover(problem, wp.LowRank(rank, symmetric=True), wp.ScaledGD(), steps=120)
        return float((fit.signal - truth).norm() / truth.norm())

    plain = PlainQuadratic(vectors)
    assert error(RankOneSensing(vectors)) < 1e-5
    assert not error(plain) < 1e-1  # diverges


def test_quadratic_products_never_form_the_matrix():
    stream, n = Stream(2), 200_000  # n x n would be 320 GB
    operator = RankOneSensing(stream.normal((3, n), "vectors"))
    left = stream.normal((n, 2), "left")
    misfit = operator.misfit(left, left, torch.ones(3, dtype=F64))
    assert (misfit.gradient @ left).shape == (n, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DenseSensing(torch.ones(3, 4)), ["matrices", "[3, 4]", "[m, n1, n2]"]),
        (lambda: DenseSensing(torch.ones(0, 2, 2)), ["matrices", "[0, 2, 2]", "none of them zero"]),
        (lambda: DenseSensing(torch.zeros(2, 2, 2)), ["matrices", "only zeros"]),
        (lambda: DenseSensing(torch.full((2, 2, 2), torch.nan)), ["matrices", "NaN", "(0, 0, 0)"]),
        (lambda: DenseSensing(torch.ones(2, 2, 2) * 1j), ["matrices", "complex64", "real"]),
        (lambda: DenseSensing("text"), ["matrices", "expected numbers"]),
        (lambda: RankOneSensing(torch.ones(3)), ["vectors", "[3]", "[m, n]"]),
        (lambda: DenseSensing(torch.ones(2, 3, 3))(torch.ones(2, 2)), ["signal", "[2, 2]", "3, 3"]),
        (
            lambda: DenseSensing(torch.ones(2, 3, 3))(torch.ones(3, 3, dtype=F64)),
            ["signal", "float64", "float32"],
        ),
        (
            lambda: RankOneSensing(torch.ones(2, 3)).adjoint(torch.ones(2, dtype=F64)),
            ["measurement", "float64", "float32"],
        ),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
