"""One battery over every operator: what base.py promises, measured against dense matrices.

An operator takes part by a line in ``CASES``. Dense references are built from ``forward`` on
unit vectors, except for the least-squares misfits of ``Hankel`` and ``RankOneSensing``, which
hold more than the plain measurements and are written out here independently.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from wellposed.codec import decode, encode
from wellposed.operators import (
    Blur,
    Compose,
    DenseSensing,
    Diagonal,
    Downsample,
    Entries,
    Fourier,
    Hankel,
    Identity,
    Mask,
    Matrix,
    MatrixOperator,
    Radon,
    RankOneSensing,
    TensorEntries,
    TensorSensing,
    from_callable,
    from_scipy,
    random_projection,
)
from wellposed.operators.entries import MaskedEntries, SortedEntries, build_pattern
from wellposed.rng import Stream

F64, F32 = torch.float64, torch.float32


class Draw(NamedTuple):
    n1: int
    n2: int
    stream: Stream
    dtype: Any

    def normal(self, *shape, key="numbers"):
        return self.stream.normal(shape, key, dtype=self.dtype)

    def cells(self):
        mask = self.stream.uniform((self.n1, self.n2), "cells") < 0.6
        mask[self.n1 // 2, self.n2 // 2] = True
        return mask


# ---------------------------------------------------------------- the operators, small


def dense_sensing(d):
    return DenseSensing(3 * d.normal(4, d.n1, d.n2))


def rank_one(d):
    return RankOneSensing(0.5 * d.normal(5, d.n1))


def entries(d):
    rows, cols = d.cells().nonzero(as_tuple=True)
    order = d.stream.permutation(rows.numel(), "order")
    return Entries(rows[order], cols[order], (d.n1, d.n2))


def sorted_entries(d):
    shape = (d.n1, d.n2)
    return SortedEntries(build_pattern(*d.cells().nonzero(as_tuple=True), shape), shape)


def masked_entries(d):
    return MaskedEntries(d.cells().to(d.dtype))


def hankel(d):
    length = d.n1 + d.n2 - 1
    return Hankel(d.stream.permutation(length, "order")[: (length + 1) // 2], length, d.n1)


def plane_identity(d):
    return Identity((d.n1, d.n2))


def line_identity(d):
    return Identity((d.n1,))


def matrix(d):
    return Matrix(d.normal(d.n1, d.n2))


def complex_matrix(d):
    return Matrix(torch.complex(d.normal(d.n1, d.n2), d.normal(d.n1, d.n2, key="imaginary")))


def sparse_matrix(d):
    return Matrix(sparse.coo_array((d.normal(d.n1, d.n2) * d.cells()).numpy()))


def composed_vectors(d):
    return Compose(Matrix(d.normal(3, d.n1)), Matrix(d.normal(d.n1, d.n2, key="inner")))


def composed_cells(d):
    cells = entries(d)
    return Compose(Matrix(d.normal(3, cells.shape_out[0])), cells)


def function_of_vectors(d):
    return from_callable(lambda x: x.cumsum(-1), (d.n1,), linear=True, dtype=d.dtype)


def function_of_matrices(d):
    return from_callable(torch.fft.rfft2, (d.n1, d.n2), linear=True, dtype=d.dtype)


def mask(d):
    return Mask(d.cells(), (2, d.n1, d.n2))


def composed_masks(d):
    cells = Mask(d.cells())
    kept = d.stream.uniform(cells.shape_out, "kept") < 0.9
    kept[0] = True
    return Compose(Mask(kept), cells)


def kernel(d, longest_row=4, longest_col=3):
    return d.stream.normal((min(longest_row, d.n1), min(longest_col, d.n2)), "kernel")


def circular_blur(d):
    return Blur(kernel(d), (2, d.n1, d.n2), "circular")


def circular_blurs(d):
    return Compose(Blur(kernel(d, 2), (d.n1, d.n2), "circular"), circular_blur_of_planes(d))


def circular_blur_of_planes(d):
    return Blur(kernel(d, 3, 2), (d.n1, d.n2), "circular")


def valid_blur(d):
    return Blur(kernel(d), (d.n1, d.n2), "valid")


def zero_blur(d):
    return Blur(d.stream.normal((5, 4), "kernel"), (2, d.n1, d.n2), "zero")


def reflecting_blur(d):
    return Blur(kernel(d), (1, d.n1, d.n2), "reflect")


def replicating_blur(d):
    return Blur(d.stream.uniform((4, 7), "kernel"), (d.n1, d.n2), "replicate")


def blur_of_lines(d):
    return Blur(kernel(d)[0], (d.n1, d.n2), "reflect")


def masked_blur(d):
    blur = circular_blur_of_planes(d)
    return Compose(Mask(d.cells()), blur)


def bicubic_downsample(d):
    return Downsample(2, (2, 2 * d.n1, 2 * d.n2))


def box_downsample(d):
    return Downsample(3, (3 * d.n1, 3), "box")


def downsampled_blur(d):
    blur = Blur(d.stream.uniform((3, 3), "kernel"), (2 * d.n1, 2 * d.n2), "replicate")
    return Compose(Downsample(2, blur.shape), blur)


def fourier(d):
    return Fourier(d.cells(), (2, d.n1, d.n2))


def fourier_of_lines(d):
    return Fourier(d.cells()[d.n1 // 2], (d.n1, d.n2))


def coils(d):
    maps = torch.view_as_complex(d.stream.normal((3, d.n1, d.n2, 2), "maps"))
    return Fourier(d.cells(), (2, d.n1, d.n2), maps)


def fourier_of_blur(d):
    return Compose(Fourier(d.cells()), circular_blur_of_planes(d))


def radon(d):
    return Radon(d.stream.uniform((4,), "angles") * 180, (2, d.n1, d.n2))


def narrow_radon(d):
    return Radon(d.stream.uniform((3,), "angles") * 360, (d.n1, d.n2), 2)


def tensor_entries(d):
    return TensorEntries.from_mask(d.stream.uniform((d.n1, d.n2, 2), "cells") < 0.99)


def tensor_sensing(d):
    return TensorSensing(d.normal(5, d.n1, d.n2, 2))


def diagonal(d):
    return Diagonal(d.normal(2, d.n1, d.n2))


def scipy_columns(d):
    return from_scipy(aslinearoperator(d.normal(3, 2 * d.n1).numpy()), (2, d.n1))


def projection(d):
    return random_projection(4, (1, d.n1, d.n2), dtype=d.dtype)


ON_MATRICES = (
    dense_sensing, rank_one, entries, sorted_entries, masked_entries, hankel, plane_identity,
    composed_cells, function_of_matrices,
)  # fmt: skip
ON_IMAGES = (
    mask, composed_masks, circular_blur, circular_blurs, valid_blur, zero_blur, reflecting_blur,
    replicating_blur, blur_of_lines, masked_blur, bicubic_downsample, box_downsample,
    downsampled_blur, fourier, fourier_of_lines, coils, fourier_of_blur,
    radon, narrow_radon, projection, diagonal,
)  # fmt: skip
CASES = (
    *ON_MATRICES, *ON_IMAGES, line_identity, matrix, complex_matrix, sparse_matrix,
    composed_vectors, function_of_vectors, scipy_columns, tensor_entries, tensor_sensing,
)  # fmt: skip

draws = st.builds(
    lambda n1, n2, seed: Draw(n1, n2, Stream(seed), F64),
    st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**20),
)  # fmt: skip
few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def every(cases):
    return pytest.mark.parametrize("make", cases, ids=lambda make: make.__name__)


# ---------------------------------------------------------------- helpers


def close(a, b, size, tol=1e-12):
    """Both agree to ``tol`` of ``size``."""
    return float((a - b).norm()) <= tol * float(size) + 1e-300


def measurements(operator, d, count):
    """Random measurements [count, *shape_out] in the dtype that the operator returns."""
    like = operator.forward(torch.zeros(1, *operator.shape_in, dtype=d.dtype))
    real = d.normal(count, *operator.shape_out, key="measurement")
    if not like.is_complex():
        return real
    return torch.complex(real, d.normal(count, *operator.shape_out, key="imaginary measurement"))


def check_adjoint(operator, d, tol):
    """Assert Re<A u, v> = <u, A* v> for a batch, and that a batch is its items."""
    u = d.normal(3, *operator.shape_in, key="signal")
    v = measurements(operator, d, 3)
    image, back = operator(u), operator.adjoint(v)
    assert image.shape == (3, *operator.shape_out)
    assert back.shape == (3, *operator.shape_in)
    assert (image.dtype, back.dtype) == (v.dtype, u.dtype)
    for i in range(3):
        left, right = (image[i] * v[i].conj()).sum().real, (u[i] * back[i]).sum()
        assert abs(float(left - right)) <= tol * float(image[i].norm() * v[i].norm()) + 1e-300
    assert close(operator(u[1]), image[1], image.norm(), tol)
    assert close(operator.adjoint(v[1]), back[1], back.norm(), tol)


def rows_as_real(operator, d):
    rows = rows_of(operator, d)
    return torch.cat([rows.real, rows.imag]) if rows.is_complex() else rows


def check_spectral(operator, d):
    """Assert A* A = S diag(w) T on a batch, with T isometric and S T = I."""
    spectral, x = operator.spectral(), d.normal(2, *operator.shape_in, key="signal")
    coefficients = spectral.analyse(x)
    size = x.norm()
    assert coefficients.shape[1:] == spectral.weights.shape
    assert bool((spectral.weights >= 0).all())
    assert close(spectral.synthesise(coefficients), x, size)
    assert abs(float(coefficients.norm() - size)) <= 1e-12 * float(size)
    normal = operator.backward(operator.forward(x))
    assert close(spectral.apply(x), normal, spectral.weights.max() * size)


def rows_of(operator, d):
    """The matrix of ``forward``, [measurements, signals], from unit vectors."""
    size = torch.Size(operator.shape_in).numel()
    units = torch.eye(size, dtype=d.dtype).reshape(size, *operator.shape_in)
    return operator.forward(units).flatten(1).mT


@dataclass
class Fit:
    """The equations that a misfit is about: rows @ vec(M) = embed(y)."""

    rows: torch.Tensor
    embed: Any
    directions: int  # dimension of the signals that the gain is a mean over


def fit_of(operator, d):
    rows = rows_of(operator, d)
    if isinstance(operator, RankOneSensing):
        return rank_one_fit(operator, rows)
    if isinstance(operator, Hankel):
        return hankel_fit(operator)
    return Fit(rows, lambda y: y.flatten(), rows.shape[1])


def rank_one_fit(operator, rows):
    """Least squares with the mean of y weighted by 2 / n, on symmetric matrices."""
    m, n = operator.shape_out[0], operator.shape_in[0]
    mean = torch.full((m, m), 1 / m, dtype=rows.dtype)
    weigh = torch.eye(m, dtype=rows.dtype) - mean + min(1.0, 2 / n) ** 0.5 * mean
    return Fit(weigh @ rows, lambda y: weigh @ y, n * (n + 1) // 2)


def hankel_fit(operator):
    """Orthonormal anti-diagonals G_k: sqrt(1/p) <G_k, M> = sqrt(w_k / p) y_k, (I - G G*) M = 0."""
    (n1, n2), length = operator.shape_in, operator.length
    place = (torch.arange(n1)[:, None] + torch.arange(n2)).flatten()
    basis = torch.stack([(place == k).double() for k in range(length)])
    counts = basis.sum(1)
    basis /= counts.sqrt()[:, None]
    share = operator.observed.numel() / length
    structure = torch.eye(n1 * n2, dtype=F64) - basis.mT @ basis
    rows = torch.cat([basis[operator.observed] / share**0.5, structure])

    def embed(y):
        data = y * (counts[operator.observed] / share).sqrt()
        return torch.cat([data, torch.zeros(n1 * n2, dtype=F64)])

    return Fit(rows, embed, n1 * n2)


def factors(operator, d, rank=2):
    n1, n2 = operator.shape_in
    return d.normal(n1, rank, key="left"), d.normal(n2, rank, key="right")


def check_misfit(operator, d, layout, y, reference, tol=1e-12):
    """Assert that gradient and norm are those of 1/2 ||rows vec(L R^T) - embed(y)||^2."""
    left, right = factors(operator, d)
    misfit = layout.misfit(left, right, y)
    off = reference.rows @ (left @ right.mT).flatten().to(reference.rows.dtype) - reference.target
    gradient = (reference.rows.mH @ off).real.reshape(operator.shape_in)
    size = reference.rows.norm() * (off.norm() + reference.target.norm())
    assert tuple(misfit.gradient.shape) == tuple(operator.shape_in)
    assert close(misfit.gradient @ right, gradient @ right, size * right.norm(), tol)
    assert close(misfit.gradient.T @ left, gradient.mT @ left, size * left.norm(), tol)
    # sums of squares lose half of the digits of a small residual, hence the larger size
    assert abs(float(misfit.norm - off.norm())) <= tol * float(size / off.norm() * size)


class Reference(NamedTuple):
    rows: torch.Tensor
    target: torch.Tensor


# ---------------------------------------------------------------- the battery


@every(CASES)
@given(d=draws)
@few
def test_adjoint_and_batches(make, d):
    check_adjoint(make(d), d, 1e-12)


@every(CASES)
@given(d=draws)
@few
def test_adjoint_in_single_precision(make, d):
    d = d._replace(dtype=F32)
    check_adjoint(make(d), d, 1e-5)


@every(CASES)
@given(d=draws)
@few
def test_gain_is_the_mean_squared_stretch(make, d):
    operator = make(d)
    fit = fit_of(operator, d)
    expected = float(fit.rows.norm() ** 2) / fit.directions
    assert operator.gain == pytest.approx(expected, rel=1e-12, abs=1e-300)


@every(CASES)
@given(d=draws)
@few
def test_spectral_form_is_the_normal_operator(make, d):
    check_spectral(make(d), d)


@every(ON_MATRICES)
@given(d=draws)
@few
def test_factors_give_what_their_product_gives(make, d):
    operator = make(d)
    left, right = factors(operator, d)
    dense = operator(left @ right.mT)
    size = rows_of(operator, d).norm() * left.norm() * right.norm()
    assert isinstance(operator, MatrixOperator)
    assert close(operator.on_factors(left, right), dense, size)


@every(ON_MATRICES)
@given(d=draws)
@few
def test_adjoint_matrix_multiplies_from_both_sides(make, d):
    operator = make(d)
    left, right = factors(operator, d)
    y = measurements(operator, d, 1)[0]
    implicit, dense = operator.adjoint_matrix(y), operator.adjoint(y)
    assert tuple(implicit.shape) == tuple(operator.shape_in)
    assert tuple(implicit.T.shape) == tuple(operator.shape_in)[::-1]
    assert (implicit.dtype, implicit.device) == (dense.dtype, dense.device)
    size = rows_of(operator, d).norm() * y.norm()
    assert close(implicit @ right, dense @ right, size * right.norm())
    assert close(implicit.T @ left, dense.mT @ left, size * left.norm())
    assert close(implicit.T.T @ right, dense @ right, size * right.norm())


@every(ON_MATRICES)
@given(d=draws)
@few
def test_misfit_is_that_of_the_dense_least_squares_problem(make, d):
    operator = make(d)
    y = operator(d.normal(*operator.shape_in, key="truth"))
    fit = fit_of(operator, d)
    check_misfit(operator, d, operator, y, Reference(fit.rows, fit.embed(y)))


@every(ON_MATRICES)
@given(d=draws)
@few
def test_canonical_layout_has_the_same_misfit_and_gain(make, d):
    operator = make(d)
    y = operator(d.normal(*operator.shape_in, key="truth"))
    layout, values = operator.canonical(y)
    fit = fit_of(operator, d)
    check_misfit(operator, d, layout, values, Reference(fit.rows, fit.embed(y)))
    assert layout.gain == pytest.approx(operator.gain, rel=1e-12)


@every((dense_sensing, rank_one))
@given(d=draws)
@few
def test_canonical_layout_follows_the_dtype_of_y(make, d):
    operator = make(d)
    layout, y = operator.canonical(torch.ones(operator.shape_out, dtype=F32))
    assert layout.misfit(*factors(operator, d._replace(dtype=F32)), y).norm.dtype == F32


FUNCTIONS = (function_of_vectors, function_of_matrices, scipy_columns)


@every([make for make in CASES if make not in FUNCTIONS])
def test_operators_survive_a_file(make):
    d = Draw(4, 3, Stream(11), F64)
    operator, tensors = make(d), {}
    again = decode(json.loads(json.dumps(encode(operator, tensors))), tensors)
    x = d.normal(2, *operator.shape_in, key="signal")
    assert type(again) is type(operator)
    assert torch.equal(again(x), operator(x))
    assert torch.equal(copy.copy(operator)(x), operator(x))
    assert all(tensor.layout == torch.strided for tensor in tensors.values())


@every(CASES)
def test_norm_is_the_largest_singular_value(make):
    d = Draw(4, 3, Stream(13), F64)
    operator = make(d)
    largest = torch.linalg.matrix_norm(rows_as_real(operator, d), 2)
    assert operator.norm == pytest.approx(float(largest), rel=1e-9)


RESCALED = {
    "DenseSensing": lambda d, c: DenseSensing(c * d.normal(4, d.n1, d.n2)),
    "RankOneSensing": lambda d, c: RankOneSensing(abs(c) ** 0.5 * d.normal(5, d.n1)),
    "Matrix": lambda d, c: Matrix(c * d.normal(d.n1, d.n2)),
    "Compose": lambda d, c: Compose(Matrix(c * torch.eye(d.n1, dtype=F64)), Identity((d.n1,))),
    "from_callable": lambda d, c: from_callable(lambda x: c * x.flip(-1), (d.n1, d.n2), True),
}


@pytest.mark.parametrize("name", RESCALED)
@pytest.mark.parametrize("c", [1e-6, -3.0, 1e8])
def test_gain_grows_like_the_square_of_the_operator(name, c):
    d = Draw(4, 3, Stream(7), F64)
    assert RESCALED[name](d, c).gain == pytest.approx(c**2 * RESCALED[name](d, 1.0).gain, rel=1e-9)


# ---------------------------------------------------------------- negative controls


class SlightlyWrong(DenseSensing):
    def backward(self, y):
        return super().backward(y) * (1 + 1e-9)


class Forgetful(RankOneSensing):
    def adjoint_matrix(self, y):
        return super().adjoint_matrix(y.abs())


def test_the_battery_rejects_a_wrong_adjoint():
    d = Draw(3, 4, Stream(1), F64)
    good = DenseSensing(d.normal(4, 3, 4))
    check_adjoint(good, d, 1e-12)
    with pytest.raises(AssertionError):
        check_adjoint(SlightlyWrong(good.matrices), d, 1e-12)


def test_the_battery_rejects_a_wrong_gradient():
    d = Draw(3, 3, Stream(1), F64)
    good = RankOneSensing(d.normal(5, 3))
    y = good(d.normal(3, 3, key="truth"))
    fit = fit_of(good, d)
    reference = Reference(fit.rows, fit.embed(y))
    check_misfit(good, d, good, y, reference)
    with pytest.raises(AssertionError):
        check_misfit(good, d, Forgetful(good.vectors), y, reference)
