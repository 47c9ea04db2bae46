"""The shared Gaussian step: one linear map of the noise however it is solved, exact moments."""

import pytest
import torch

from wellposed.errors import InputError, WellposedError
from wellposed.operators import Compose, Entries, Identity, Matrix, from_callable
from wellposed.operators.base import LinearOperator
from wellposed.operators.normal import (
    conjugate_gradients,
    gaussian_draw,
    gaussian_mean,
    smoothed_log_density,
    solve,
)
from wellposed.operators.spectral import hartley, hartley_basis
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(5)


class Plain(LinearOperator):
    """An operator that hides what it knows: only conjugate gradients are left."""

    gain = 1.0

    def __init__(self, operator):
        self.operator = operator
        self.shape_in, self.shape_out = operator.shape_in, operator.shape_out

    def forward(self, x):
        return self.operator.forward(x)

    def backward(self, y):
        return self.operator.backward(y)

    def spectral(self):
        return None


class Circular(LinearOperator):
    """Convolution of planes with a fixed kernel around the edges."""

    gain = 1.0

    def __init__(self, side):
        self.shape_in = self.shape_out = (side, side)
        kernel = STREAM.normal((3, 3), "kernel")
        self.spectrum = torch.fft.fft2(kernel, s=self.shape_in)

    def forward(self, x):
        return torch.fft.ifft2(torch.fft.fft2(x) * self.spectrum).real

    def backward(self, y):
        return torch.fft.ifft2(torch.fft.fft2(y) * self.spectrum.conj()).real

    def _diagonalise(self):
        return hartley_basis(self.spectrum.abs().square())


class InSingularBasis(Circular):
    def _diagonalise(self):
        return None  # left to the decomposition of small operators


def normals(*shape, key, complex_values=False):
    if complex_values:
        return torch.view_as_complex(STREAM.normal((*shape, 2), key))
    return STREAM.normal(shape, key)


TABLE = normals(5, 8, key="table")
WAVES = normals(5, 8, key="waves", complex_values=True)
TALL = normals(20, 8, key="tall")
WIDE = normals(3, 8, key="wide")
CELLS = Entries([0, 1, 3], [1, 0, 1], (4, 2))
OPERATORS = {
    "identity": Identity((8,)),
    "entries": CELLS,
    "wide": Matrix(WIDE),
    "square": Matrix(TABLE),
    "tall": Matrix(TALL),
    "complex": Matrix(WAVES),
    "composed": Compose(Matrix(TABLE[:, :3]), CELLS),
    "rotated": Compose(Matrix(torch.linalg.qr(TALL)[0]), Matrix(TALL[:8])),
    "function": from_callable(lambda x: x.cumsum(-1), (8,), linear=True),
}
every = pytest.mark.parametrize("name", OPERATORS)


def real_rows(operator):
    """A as a real matrix [m, n], imaginary parts below real ones."""
    size = torch.Size(operator.shape_in).numel()
    rows = operator.forward(torch.eye(size, dtype=F64).reshape(size, *operator.shape_in))
    rows = rows.flatten(1).mT
    return torch.cat([rows.real, rows.imag]) if rows.is_complex() else rows


def data(operator, count=1):
    x = normals(count, *operator.shape_in, key="x")
    image = operator.forward(x)
    y = normals(*image.shape, key="y", complex_values=image.is_complex())
    return x, y


def flat(y):
    y = y.flatten(1)
    return torch.cat([y.real, y.imag], 1) if y.is_complex() else y


@every
def test_spectral_form_is_the_normal_operator(name):
    operator = OPERATORS[name]
    spectral, (x, _) = operator.spectral(), data(operator, 3)
    expected = operator.backward(operator.forward(x))
    assert torch.allclose(spectral.apply(x), expected, rtol=0, atol=1e-12 * float(expected.norm()))
    coefficients = spectral.analyse(x)
    assert coefficients.shape[1:] == spectral.weights.shape
    assert torch.allclose(spectral.synthesise(coefficients), x, atol=1e-13)
    assert torch.allclose(coefficients.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))
    assert spectral is operator.spectral()
    assert bool((spectral.weights >= 0).all())


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 4, 6), (7,)])
def test_hartley_transform_is_orthogonal_and_its_own_inverse(shape):
    x = normals(2, *shape, key="image")
    for axes in range(1, min(2, len(shape)) + 1):
        once = hartley(x, axes)
        assert torch.allclose(hartley(once, axes), x, atol=1e-13)
        assert torch.allclose(once.norm(), x.norm())


@every
@pytest.mark.parametrize("sigma", [0.3, "vector"])
@pytest.mark.parametrize("plain", [False, True])
def test_draws_have_the_exact_mean_and_covariance(name, sigma, plain):
    """The draw is affine in its noise: read the map off unit vectors, in closed form."""
    operator = OPERATORS[name]
    x, y = data(operator)
    if sigma == "vector":
        sigma = 0.2 + STREAM.uniform(y.shape[1:], "sigma")
    eta, rows = 0.7, real_rows(operator)
    n, m = rows.shape[1], rows.shape[0]
    used = Plain(operator) if plain else operator

    def draw(n1, n2):
        count = len(n1)
        solved = gaussian_draw(used, y, x.expand(count, *x.shape[1:]), sigma, eta, n1, n2)
        assert solved.converged.all()
        return solved.z.flatten(1)

    half = y[0].numel()
    units = torch.eye(m, dtype=F64)
    n1 = torch.complex(units[:, :half], units[:, half:]) if y.is_complex() else units
    n1 = n1.reshape(m, *y.shape[1:])
    n2 = torch.eye(n, dtype=F64).reshape(n, *operator.shape_in)
    silent1 = torch.zeros(n, *y.shape[1:], dtype=y.dtype)
    silent2 = torch.zeros(m, *operator.shape_in, dtype=F64)
    mean = draw(silent1[:1], silent2[:1])
    spread = torch.cat([draw(n1, silent2), draw(silent1, n2)]) - mean
    precision = 1 / torch.as_tensor(sigma, dtype=F64).expand(y.shape[1:]).flatten() ** 2
    precision = torch.cat([precision, precision]) if y.is_complex() else precision
    inverse = torch.linalg.inv(rows.mT * precision @ rows + torch.eye(n, dtype=F64) / eta**2)
    b = rows.mT @ (precision * flat(y)[0]) + x.flatten() / eta**2
    assert torch.allclose(mean[0], inverse @ b, rtol=0, atol=1e-9)
    assert torch.allclose(spread.mT @ spread, inverse, rtol=0, atol=1e-9)
    without = spread[m:]  # the wrong variant: no noise on the measurement
    assert not torch.allclose(without.mT @ without, inverse, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("sigma", "eta"), [(0.05, 2.0), (1.0, 0.1)])
def test_fourier_singular_and_conjugate_gradients_are_one_map(sigma, eta):
    operator = Circular(12)
    x, y = data(operator, 4)
    n1, n2 = normals(*y.shape, key="n1"), normals(*x.shape, key="n2")

    def draw(used):
        return gaussian_draw(used, y, x, sigma, eta, n1, n2).z

    ways = [draw(way) for way in (operator, InSingularBasis(12), Plain(operator))]
    for other in ways[1:]:
        assert float((other - ways[0]).norm() / ways[0].norm()) < 1e-6
    shifted = gaussian_draw(operator, y, x, sigma, eta, n1.roll(1, 0), n2).z
    assert float((shifted - ways[0]).norm() / ways[0].norm()) > 1e-3


@every
@pytest.mark.parametrize("sigma", [0.3, "vector"])
@pytest.mark.parametrize("eta", [0.0, 0.8])
def test_smoothed_density_is_that_of_the_dense_gaussian(name, sigma, eta):
    operator = OPERATORS[name]
    x, y = data(operator, 3)
    if sigma == "vector":
        sigma = 0.2 + STREAM.uniform(y.shape[1:], "sigma")
        if eta and not operator.pointwise:
            with pytest.raises(WellposedError, match="determinant"):
                smoothed_log_density(operator, y, x, sigma, eta)
            return
    rows = real_rows(operator)
    variance = torch.as_tensor(sigma, dtype=F64).expand(y.shape[1:]).flatten() ** 2
    variance = torch.cat([variance, variance]) if y.is_complex() else variance
    law = torch.distributions.MultivariateNormal(
        x.flatten(1) @ rows.mT, torch.diag(variance) + eta**2 * rows @ rows.mT
    )
    got = smoothed_log_density(operator, y, x, sigma, eta)
    assert torch.allclose(got, law.log_prob(flat(y)), rtol=1e-11, atol=1e-10)


def test_an_item_is_the_same_alone_or_in_company():
    operator = Plain(Circular(16))
    x, y = data(operator, 6)
    scale = torch.logspace(-3, 3, 6, dtype=F64)[:, None, None]
    together = gaussian_mean(operator, y * scale, x, 0.1, 3.0)
    assert len(set(together.iterations.tolist())) > 1
    for i in range(6):
        alone = gaussian_mean(operator, (y * scale)[i], x[i : i + 1], 0.1, 3.0)
        assert torch.equal(alone.z[0], together.z[i])
        assert int(alone.iterations[0]) == int(together.iterations[i])


def coupled(normal, rhs, steps):
    """The wrong variant: one step size for the whole batch."""
    z, left, search = torch.zeros_like(rhs), rhs, rhs
    for _ in range(steps):
        image = normal(search)
        step = left.square().sum() / (search * image).sum()
        z, new = z + step * search, left - step * image
        search = new + new.square().sum() / left.square().sum() * search
        left = new
    return z


def test_coupled_conjugate_gradients_are_not_separable():
    operator = Circular(16)
    x, _ = data(operator, 2)

    def normal(z):
        return operator.backward(operator.forward(z)) + 0.01 * z

    assert not torch.equal(coupled(normal, x, 5)[0], coupled(normal, x[:1], 5)[0])


def test_single_precision_solves_to_its_rounding():
    operator = Circular(16)
    x, y = (v.float() for v in data(operator, 2))
    operator.spectrum = operator.spectrum.to(torch.complex64)
    direct = gaussian_mean(operator, y, x, 0.1, 1.0)
    iterated = gaussian_mean(Plain(operator), y, x, 0.1, 1.0)
    assert direct.z.dtype == iterated.z.dtype == torch.float32
    assert iterated.converged.all()
    assert float((direct.z - iterated.z).norm() / direct.z.norm()) < 1e-4


def test_an_iteration_that_does_not_arrive_says_so():
    operator = Plain(Circular(16))
    x, y = data(operator, 2)
    solved = gaussian_mean(operator, y, x, 1e-4, 1e4, limit=3)
    assert not solved.converged.any()
    assert bool((solved.residual > 1e-6).all())
    assert solved.iterations.tolist() == [3, 3]
    zero = solve(operator, torch.zeros(1, 16, 16, dtype=F64), 1.0)
    assert zero.converged.all()
    assert float(zero.z.abs().sum()) == 0


def test_without_a_ridge_the_shortest_solution_is_returned():
    rhs = WIDE.mT @ normals(3, key="least norm")
    z = solve(Matrix(WIDE), rhs[None], 0.0).z[0]
    assert torch.allclose(z, torch.linalg.pinv(WIDE.mT @ WIDE) @ rhs, atol=1e-10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sigma": 0.0}, "sigma is 0.0"),
        ({"sigma": torch.tensor([1.0, 0.0] * 4, dtype=F64)}, "expected numbers > 0"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"eta": 0.0}, "eta is 0.0"),
        ({"eta": -1.0}, "eta is -1.0"),
    ],
)
def test_bad_levels_are_named(change, words):
    x = torch.zeros(1, 8, dtype=F64)
    levels = {"sigma": 1.0, "eta": 1.0} | change
    with pytest.raises(InputError, match=words):
        gaussian_mean(Identity((8,)), x, x, **levels)
    with pytest.raises(InputError, match="ridge is -1"):
        solve(Identity((8,)), x, -1.0)


def test_conjugate_gradients_end_within_the_dimension():
    table = TALL.mT @ TALL
    solved = conjugate_gradients(lambda z: z @ table, TALL[:3])
    assert int(solved.iterations.max()) <= 9
    assert torch.allclose(solved.z @ table, TALL[:3], atol=1e-8)
