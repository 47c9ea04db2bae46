"""Exact posteriors against quadrature, dense formulas, and Bayes' rule on finite sets."""

import math

import mpmath
import pytest
import torch
from laws import KINDS, empirical, gaussian, mixture, points

from wellposed.errors import CapabilityError, InputError
from wellposed.noise import Gaussian as White
from wellposed.noise import Laplace
from wellposed.operators import Entries, LinearOperator
from wellposed.priors import Empirical, Gaussian, GaussianMixture, LowRankPlusIdentity
from wellposed.problem import Problem
from wellposed.rng import Stream


class Dot(LinearOperator):
    """y = A x for a dense A [m, d], real or complex."""

    def __init__(self, matrix):
        self.matrix = torch.as_tensor(matrix)
        self.shape_out, self.shape_in = (self.matrix.shape[0],), (self.matrix.shape[1],)

    def forward(self, x):
        return x.to(self.matrix.dtype) @ self.matrix.mT

    def backward(self, y):
        return (y @ self.matrix.conj()).real

    @property
    def gain(self):
        return float(self.matrix.abs().square().sum()) / self.matrix.shape[1]


class Cells(LinearOperator):
    """y = x at some positions."""

    def __init__(self, index, d):
        self.index, self.shape_in, self.shape_out = index, (d,), (len(index),)

    def forward(self, x):
        return x[:, self.index]

    def backward(self, y):
        out = y.new_zeros(len(y), *self.shape_in)
        out[:, self.index] = y
        return out

    @property
    def gain(self):
        return len(self.index) / self.shape_in[0]


def _problem(d=8, m=4, tau=0.3):
    a = Stream(21).normal((m, d), "operator")
    return Problem(2 * Stream(21).normal((m,), "y"), Dot(a), White(tau))


def _by_the_book(dense, problem):
    """Posterior weights, means and covariances with the m x m gain formula."""
    a, y, tau = problem.operator.matrix, problem.y, problem.noise.sigma
    logs, means, covariances = [], [], []
    for w, m, c in zip(dense.weights, dense.means, dense.covariances, strict=True):
        s = a @ c @ a.T + tau**2 * torch.eye(len(y), dtype=torch.float64)
        gain = c @ a.T @ torch.linalg.inv(s)
        logs.append(w.log() + torch.distributions.MultivariateNormal(a @ m, s).log_prob(y))
        means.append(m + gain @ (y - a @ m))
        covariances.append(c - gain @ a @ c)
    return torch.stack(logs).softmax(0), torch.stack(means), torch.stack(covariances)


@pytest.mark.parametrize("kind", KINDS)
def test_mixture_against_the_gain_formula(kind):
    prior, dense = mixture(kind)
    problem = _problem()
    weights, means, covariances = _by_the_book(dense, problem)
    law = prior.posterior(problem)
    assert torch.allclose(law.weights, weights, rtol=1e-10)
    assert torch.allclose(law.means, means, rtol=1e-10, atol=1e-12)
    assert torch.allclose(law.covariances, covariances, rtol=1e-10, atol=1e-12)
    wrong = _by_the_book(dense, Problem(problem.y, problem.operator, White(0.33)))
    assert not torch.allclose(law.covariances, wrong[2], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gaussian_against_the_gain_formula(kind):
    prior, dense = gaussian(kind)
    problem = _problem()
    _, means, covariances = _by_the_book(dense, problem)
    law = prior.posterior(problem)
    assert isinstance(law, Gaussian)
    assert torch.allclose(law.mean, means[0], rtol=1e-10, atol=1e-12)
    assert torch.allclose(law.covariance, covariances[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_brute_force_quadrature(kind, d):
    """p(x | y) on a grid from prior times likelihood: density, mean and normaliser."""
    prior, _ = mixture(kind, d)
    problem = Problem([0.7], Dot(torch.tensor([[0.8, -0.5][:d]], dtype=torch.float64)), White(0.4))
    law = prior.posterior(problem)
    n = 40_001 if d == 1 else 701
    axis = torch.linspace(-16, 16, n, dtype=torch.float64)
    cells = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    step = (float(axis[1]) - float(axis[0])) ** d
    mean = problem.operator(cells)
    joint = prior.log_density(cells) + problem.noise.log_density(problem.y.expand_as(mean), mean)
    want = joint.exp() / (joint.exp().sum() * step)
    have = law.log_density(cells).exp()
    assert float((have - want).abs().sum()) * step <= 1e-8  # twice the total variation
    centre = (want[:, None] * cells).sum(0) * step
    assert torch.allclose(law.mean, centre, rtol=1e-8, atol=1e-8)
    far = prior.log_density(cells).exp()  # negative control: the prior is not the posterior
    assert float((far - want).abs().sum()) * step > 0.1


def test_complex_measurements_count_each_real_component():
    prior, dense = mixture("dense")
    re, im = Stream(22).normal((2, 3, 8), "operator")
    y = Stream(22).normal((3, 2), "y")
    law = prior.posterior(
        Problem(torch.complex(y[:, 0], y[:, 1]), Dot(torch.complex(re, im)), White(0.3))
    )
    real = Problem(torch.cat([y[:, 0], y[:, 1]]), Dot(torch.cat([re, im])), White(0.3))
    weights, means, covariances = _by_the_book(dense, real)
    assert torch.allclose(law.weights, weights, rtol=1e-10)
    assert torch.allclose(law.means, means, rtol=1e-10, atol=1e-12)
    assert torch.allclose(law.covariances, covariances, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["scalar", "each", "diagonal"])
def test_diagonal_problems_stay_diagonal(kind):
    prior, dense = mixture(kind)
    cells = Cells([1, 4, 6], 8)
    problem = Problem([0.3, -1.0, 2.0], cells, White(0.2))
    law = prior.posterior(problem)
    assert law.covariances.shape == (3, 8)
    rows = torch.eye(8, dtype=torch.float64)[cells.index]
    weights, means, covariances = _by_the_book(dense, Problem(problem.y, Dot(rows), White(0.2)))
    assert torch.allclose(law.weights, weights, rtol=1e-10)
    assert torch.allclose(law.means, means, rtol=1e-10, atol=1e-12)
    assert torch.allclose(torch.diag_embed(law.covariances), covariances, rtol=1e-10, atol=1e-12)


def test_large_diagonal_posterior():
    """d = 5000, beyond any dense covariance; closed form of a scalar prior."""
    d = 5000
    prior = GaussianMixture([0.5, 0.5], Stream(23).normal((2, d), "means"), 0.5)
    seen = list(range(0, d, 2))
    x = prior.sample(1, seed=3)[0]
    law = prior.posterior(Problem(x[seen] + 0.01, Cells(seen, d), White(0.5)))
    hidden = law.means[:, 1::2]
    assert torch.allclose(hidden, prior.means[:, 1::2], rtol=1e-14, atol=1e-14)
    assert float((law.covariances[:, ::2] - 1 / (1 / 0.5 + 1 / 0.25)).abs().max()) <= 1e-14
    nearest = (x - prior.means).square().sum(1).argmin()
    assert float(law.weights[nearest]) > 1 - 1e-12


def test_tiny_noise_keeps_weights_and_variances():
    """sigma = 1e-6 against unit prior variance: the gain formula in high precision."""
    prior, _ = mixture("tied", 2)
    tau, a, y = 1e-6, [0.8, -0.5], 0.7
    law = prior.posterior(Problem([y], Dot(torch.tensor([a], dtype=torch.float64)), White(tau)))
    with mpmath.workdps(50):
        av = mpmath.matrix([a])
        c = mpmath.matrix(prior.covariances.tolist())
        s = (av * c * av.T)[0] + mpmath.mpf(tau) ** 2
        logs = []
        for k in range(3):
            m = mpmath.matrix(prior.means[k].tolist())
            off = y - (av * m)[0]
            mean = m + c * av.T * (off / s)
            assert law.means[k].tolist() == pytest.approx([float(v) for v in mean], rel=1e-9)
            logs.append(mpmath.log(mpmath.mpf(float(prior.weights[k]))) - off**2 / (2 * s))
        total = sum(mpmath.exp(v) for v in logs)
        want = [float(mpmath.exp(v) / total) for v in logs]
        covariance = c - c * av.T * av * c / s
        along = (av * covariance * av.T)[0]
    assert law.weights.tolist() == pytest.approx(want, rel=1e-9)
    seen = torch.tensor(a, dtype=torch.float64)
    assert float(seen @ law.covariances[0] @ seen) == pytest.approx(float(along), rel=1e-3)


def test_float32_problems():
    prior, _ = mixture("dense")
    small = GaussianMixture(prior.weights, prior.means.float(), prior.covariances.float())
    problem = _problem()
    single = Problem(problem.y.float(), Dot(problem.operator.matrix.float()), White(0.3))
    law, want = small.posterior(single), prior.posterior(problem)
    assert law.means.dtype == torch.float32
    assert torch.allclose(law.means.double(), want.means, atol=1e-4)
    assert torch.allclose(law.weights, want.weights, atol=1e-4)


def test_empirical_posterior_reweighs_the_data():
    prior = empirical(8, 20)
    problem = _problem()
    law = prior.posterior(problem)
    off = problem.y - prior.data @ problem.operator.matrix.T
    want = (-0.5 * off.square().sum(1) / 0.09).softmax(0)
    assert isinstance(law, Empirical)
    assert torch.allclose(law.weights, want, rtol=1e-12)
    assert torch.equal(law.data, prior.data)
    again = law.posterior(problem)  # the same measurement twice: half the variance
    want = (-0.5 * off.square().sum(1) / 0.045).softmax(0)
    assert torch.allclose(again.weights, want, rtol=1e-10)
    flat = prior.posterior(Problem(problem.y, problem.operator, Laplace(0.2)))
    assert torch.allclose(flat.weights, (-off.abs().sum(1) / 0.2).softmax(0), rtol=1e-12)


def test_posterior_denoiser_is_the_conditional_mean():
    """Denoising under the posterior equals the posterior under one more measurement z."""
    prior, _ = mixture("dense")
    problem, z, sigma = _problem(), points(8, 1), 0.6
    a = problem.operator.matrix
    stacked = torch.cat([a, torch.eye(8, dtype=torch.float64) * 0.3 / sigma])
    both = Problem(torch.cat([problem.y, z[0] * 0.3 / sigma]), Dot(stacked), White(0.3))
    want = prior.posterior(both).mean
    assert torch.allclose(prior.posterior(problem).denoise(z, sigma)[0], want, rtol=1e-10)


def test_matrix_signals():
    prior = Gaussian(torch.zeros(2, 3), LowRankPlusIdentity(torch.ones(6, 1), 0.5))
    law = prior.posterior(Problem([3.0], Entries([0], [1], (2, 3)), White(1.0)))
    assert law.shape == (2, 3)
    assert float(law.mean[0, 1]) == pytest.approx(3 * 1.5 / 2.5, rel=1e-6)
    assert float(law.mean[1, 2]) == pytest.approx(3 * 1.0 / 2.5, rel=1e-6)


class Square(Dot):
    linear = False


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: Problem(p.y, p.operator), CapabilityError, "noise is None"),
        (lambda p: Problem(p.y, p.operator, Laplace(1.0)), CapabilityError, "Laplace"),
        (lambda p: Problem(p.y, Square(p.operator.matrix), White(1.0)), InputError, "not linear"),
        (lambda p: _problem(d=5), InputError, r"\[5\], the prior has \[8\]"),
        (lambda p: "problem", InputError, "expected a Problem"),
    ],
)
@pytest.mark.parametrize("build", [mixture, gaussian])
def test_problems_without_closed_form(build, make, error, words):
    with pytest.raises(error, match=words):
        build("dense")[0].posterior(make(_problem()))


def test_too_large_for_dense():
    d = 2100
    prior = Gaussian(torch.zeros(d, dtype=torch.float64), 1.0)
    a = torch.ones(1, d, dtype=torch.float64)
    with pytest.raises(CapabilityError, match="2100 coordinates"):
        prior.posterior(Problem([1.0], Dot(a), White(1.0)))


def test_empirical_needs_a_density():
    problem = _problem()
    with pytest.raises(CapabilityError, match="with a density"):
        empirical(8).posterior(Problem(problem.y, problem.operator))
    assert math.isfinite(empirical(8).posterior(problem).sigma_data)


def test_a_level_for_each_element_is_a_scaled_row_for_each():
    problem, sigma = _problem(), torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64)
    prior, _ = mixture("dense")
    given = Problem(problem.y, problem.operator, White(sigma))
    rows = problem.operator.matrix / sigma[:, None]
    scaled = Problem(problem.y / sigma, Dot(rows), White(1.0))
    got, expected = prior.posterior(given), prior.posterior(scaled)
    plain = prior.posterior(Problem(problem.y, problem.operator, White(float(sigma.mean()))))
    for name in ("weights", "means", "covariances"):
        a, b, c = (getattr(law, name) for law in (got, expected, plain))
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)
        assert not torch.allclose(a, c, rtol=1e-2, atol=1e-3)
