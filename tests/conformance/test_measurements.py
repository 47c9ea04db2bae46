"""One battery over every operator with every likelihood: gradients, Gaussian steps, refusals."""

import math

import pytest
import torch
from test_operators import CASES, F32, F64, Draw, close

import wellposed as wp
from wellposed import noise, operators
from wellposed.errors import CapabilityError, InputError
from wellposed.operators import Compose, LinearOperator, Operator
from wellposed.operators.normal import gaussian_draw, gaussian_mean, smoothed_log_density
from wellposed.rng import Stream

STREAM = Stream(19)
SHAPE = (1, 6, 8)
KERNEL = operators.gaussian_kernel(0.8, 3)
SEEN = STREAM.uniform(SHAPE[1:], "seen") < 0.6

LINEAR = {
    "identity": operators.Identity(SHAPE),
    "mask": operators.Mask(SEEN, SHAPE),
    "diagonal": operators.Diagonal(STREAM.normal(SHAPE, "weights")),
    "circular blur": operators.Blur(KERNEL, SHAPE, "circular"),
    "reflecting blur": operators.Blur(KERNEL, SHAPE),
    "masked blur": Compose(operators.Mask(SEEN, SHAPE), operators.Blur(KERNEL, SHAPE)),
    "bicubic": operators.Downsample(2, SHAPE),
    "fourier": operators.Fourier(SEEN, SHAPE),
    "coils": operators.Fourier(SEEN, SHAPE, STREAM.normal((2, *SHAPE[1:]), "maps")),
    "radon": operators.Radon([0.0, 30.0, 100.0], SHAPE),
    "projection": operators.random_projection(9, SHAPE),
}
NONLINEAR = {
    "phase": operators.PhaseRetrieval(STREAM.normal(SHAPE[1:], "code"), 2.0, SHAPE),
    "gamma": operators.Gamma(1.8, SHAPE),
    "blur of light": operators.nonlinear_blur(KERNEL, SHAPE),
    "jpeg": operators.JPEG(40, SHAPE),
    "codec": operators.JPEG(40, SHAPE, codec=True),
    "clipped": operators.from_callable(torch.tanh, SHAPE),
}
OPERATORS = LINEAR | NONLINEAR


def off(y, mean):
    return -(y - mean).abs().square().flatten(1).sum(1)


NOISES = {
    "Gaussian": lambda shape: noise.Gaussian(0.3),
    "Gaussian each": lambda shape: noise.Gaussian(0.2 + STREAM.uniform(shape, "sigma")),
    "Laplace": lambda shape: noise.Laplace(0.4),
    "Huber": lambda shape: noise.Huber(0.3),
    "StudentT": lambda shape: noise.StudentT(3.0, 0.4),
    "Poisson": lambda shape: noise.Poisson(20.0, offset=9.0),
    "logistic": lambda shape: noise.OneBit(0.5),
    "probit": lambda shape: noise.OneBit(0.5, "probit"),
    "Quantized": lambda shape: noise.Quantized(3, 0.5, 0.3),
    "Tempered": lambda shape: noise.Tempered(noise.Gaussian(0.3), 2.0),
    "BlackBox": lambda shape: noise.BlackBox(off, lambda mean, stream: mean),
}
TAKES_COMPLEX = ("Gaussian", "Gaussian each", "Tempered", "BlackBox")

every_operator = pytest.mark.parametrize("name", OPERATORS)
every_linear = pytest.mark.parametrize("name", LINEAR)


def signals(count):
    return 0.4 * STREAM.normal((count, *SHAPE), "signals")


def gradient(operator, likelihood, y, x):
    """The gradient of log p(y | A(x)) in x."""
    return operator.pullback(x, likelihood.gradient(y, operator.forward(x)))


def check_gradient(operator, likelihood, y, x, h=1e-6):
    """Assert that the gradient is that of central differences along one direction."""
    u = STREAM.normal(x.shape, "direction")
    up, down = (likelihood.log_density(y, operator.forward(x + s * h * u)) for s in (1, -1))
    got = (gradient(operator, likelihood, y, x) * u).flatten(1).sum(1)
    scale = got.abs() + 1e-3 * (up.abs() + 1)
    assert bool(((up - down) / (2 * h) - got).abs().le(1e-6 * scale + 1e-8).all())


@every_operator
@pytest.mark.parametrize("law", NOISES)
def test_every_pair_simulates_weighs_and_differentiates(name, law):
    operator, x = OPERATORS[name], signals(3)
    likelihood, mean = NOISES[law](operator.shape_out), operator.forward(x)
    if mean.is_complex() and law not in TAKES_COMPLEX:
        with pytest.raises(InputError, match=r"noise\.\w+ expects real"):
            wp.Problem(mean[0], operator, likelihood)
        return
    y = wp.Problem(likelihood.simulate(mean[0], STREAM), operator, likelihood).y
    log_p = likelihood.log_density(y, mean)
    assert log_p.shape == (3,)
    assert bool(torch.isfinite(log_p).all())
    alone = likelihood.log_density(y, operator.forward(x[1:2]))[0]
    assert float(alone) == pytest.approx(float(log_p[1]), rel=1e-12)
    if operator.differentiable and likelihood.differentiable:
        check_gradient(operator, likelihood, y, x)
        return
    with pytest.raises(CapabilityError, match=r"differentiable|no gradient"):
        gradient(operator, likelihood, y, x)


class Loud(noise.Gaussian):
    """The wrong variant: a gradient that is a little too large."""

    def gradient(self, y, mean):
        return 1.0001 * super().gradient(y, mean)


def test_the_battery_rejects_a_wrong_gradient():
    operator, x = OPERATORS["reflecting blur"], signals(3)
    y = signals(1)[0]
    check_gradient(operator, noise.Gaussian(0.3), y, x)
    with pytest.raises(AssertionError):
        check_gradient(operator, Loud(0.3), y, x)


# ---------------------------------------------------------------- the Gaussian step


class Hidden(LinearOperator):
    """An operator that hides its basis: only conjugate gradients are left."""

    gain = 1.0

    def __init__(self, operator):
        self.shape_in, self.shape_out = operator.shape_in, operator.shape_out
        self.forward, self.backward = operator.forward, operator.backward

    def forward(self, x):
        raise NotImplementedError

    def backward(self, y):
        raise NotImplementedError

    def spectral(self):
        return None


def parts(y):
    """Real and imaginary parts of measurements, [B, m]."""
    y = y.flatten(1)
    return torch.cat([y.real, y.imag], 1) if y.is_complex() else y


@every_linear
@pytest.mark.parametrize("law", ["Gaussian", "Gaussian each"])
@pytest.mark.parametrize("hidden", [False, True])
def test_posterior_draws_are_those_of_the_dense_law(name, law, hidden):
    """The draw is the mean for perturbed data: compare it with dense linear algebra."""
    operator, x, eta = LINEAR[name], signals(2), 0.8
    likelihood = NOISES[law](operator.shape_out)
    y, sigma = likelihood.gaussian_form(likelihood.simulate(operator.forward(x)[0], STREAM))
    n1 = noise.Gaussian(1.0).simulate(y.new_zeros(2, *y.shape), STREAM)
    n2 = STREAM.normal(x.shape, "n2")
    used = Hidden(operator) if hidden else operator
    got = gaussian_draw(used, y, x, sigma, eta, n1, n2)
    units = torch.eye(math.prod(SHAPE), dtype=F64).reshape(-1, *SHAPE)
    rows = parts(operator.forward(units)).mT
    weights = torch.as_tensor(sigma, dtype=F64).expand(y.shape).flatten() ** -2
    weights = weights.repeat(2) if y.is_complex() else weights
    total = rows.mT * weights @ rows + torch.eye(rows.shape[1], dtype=F64) / eta**2
    right = parts(y + sigma * n1) * weights @ rows + (x + eta * n2).flatten(1) / eta**2
    expected = torch.linalg.solve(total, right.mT).mT
    assert got.converged.all()
    assert close(got.z.flatten(1), expected, expected.norm(), 1e-8)
    unperturbed = gaussian_mean(used, y, x, sigma, eta).z
    assert not close(unperturbed.flatten(1), expected, expected.norm(), 1e-2)
    if law == "Gaussian" and not hidden:
        blurred = smoothed_log_density(operator, y, x, sigma, eta)
        covariance = sigma**2 * torch.eye(rows.shape[0], dtype=F64) + eta**2 * rows @ rows.mT
        mean = parts(operator.forward(x))
        exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(parts(y[None]))
        assert torch.allclose(blurred, exact, rtol=1e-9)


BIG = {
    "mask": operators.Mask(STREAM.uniform((32, 48), "big") < 0.5, (3, 32, 48)),
    "circular blur": operators.Blur(operators.gaussian_kernel(1.5), (3, 32, 48), "circular"),
    "reflecting blur": operators.Blur(operators.motion_kernel(7, 30), (3, 32, 48)),
    "bicubic": operators.Downsample(4, (3, 32, 48)),
    "fourier": operators.Fourier(operators.cartesian_mask((32, 48), 4), (3, 32, 48)),
    "radon": operators.Radon([0.0, 20.0, 50.0, 130.0], (3, 32, 48)),
    "projection": operators.random_projection(100, (3, 8, 8), dtype=F32),
    "phase": operators.PhaseRetrieval(operators.coded_mask((32, 48)), 4.0, (3, 32, 48)),
    "jpeg": operators.JPEG(40, (3, 32, 48)),
}


@every_operator
def test_complex_values_are_told_from_real_ones(name):
    operator = OPERATORS[name]
    y = operator.forward(signals(1))[0]
    assert operator.complex_values in (None, y.is_complex())
    assert operator.complex_values is not None or name in ("identity", "clipped")
    if operator.complex_values is None:
        return
    with pytest.raises(InputError, match=r"y holds .* values, .* returns"):
        wp.Problem(y.abs() if y.is_complex() else y.to(torch.complex128), operator)


@pytest.mark.parametrize("name", BIG)
def test_an_image_is_the_same_bit_for_bit_alone_or_in_company(name):
    operator = BIG[name]
    x = STREAM.normal((5, *operator.shape_in), "images", dtype=F32)
    y = operator.forward(x)
    for i in range(5):
        assert torch.equal(operator.forward(x[i : i + 1])[0], y[i])
        if operator.linear:
            assert torch.equal(operator.backward(y[i : i + 1])[0], operator.backward(y)[i])
    if operator.linear:
        solved = gaussian_mean(operator, y[0], x, 0.3, 0.5)
        alone = gaussian_mean(operator, y[0], x[3:4], 0.3, 0.5)
        assert solved.converged.all()
        assert torch.equal(alone.z[0], solved.z[3])


def test_every_operator_is_in_a_battery():
    named = {getattr(operators, name) for name in operators.__all__}
    kinds = {k for k in named if isinstance(k, type) and issubclass(k, Operator)}
    kinds -= {Operator, LinearOperator, operators.MatrixOperator, Compose}
    kinds = {k for k in kinds if not k.__abstractmethods__}
    d = Draw(4, 3, STREAM, F64)
    met = [type(make(d)) for make in CASES] + [type(o) for o in OPERATORS.values()]
    assert {k for k in kinds if not any(issubclass(m, k) for m in met)} == set()


def test_every_likelihood_is_in_the_battery():
    named = {getattr(noise, name) for name in noise.__all__}
    abstract = {noise.Noise, noise.Likelihood, noise.ScaleMixture, noise.SparseOutliers}
    assert {type(make(())) for make in NOISES.values()} == named - abstract
