"""Likelihoods: normalised, differentiated, simulated as they say; with rejected variants."""

import math
from itertools import pairwise

import pytest
import torch
from noise_cases import (
    CONTINUOUS,
    DISCRETE,
    F64,
    MEANS,
    NOISES,
    chance,
    log_density,
    support,
    total,
)
from scipy import stats

import wellposed as wp
from wellposed.errors import CapabilityError, InputError, WellposedError
from wellposed.noise import (
    BlackBox,
    Gaussian,
    Huber,
    Laplace,
    OneBit,
    Poisson,
    Quantized,
    ScaleMixture,
    StudentT,
    Tempered,
)
from wellposed.noise.quantized import log_interval
from wellposed.rng import Stream

STREAM = Stream(31)
every = pytest.mark.parametrize("name", NOISES)


# ---------------------------------------------------------------- normalisation


@every
@pytest.mark.parametrize("mean", MEANS)
def test_probabilities_add_up_to_one(name, mean):
    assert total(NOISES[name], mean) == pytest.approx(1, abs=1e-8)


def test_a_power_is_not_normalised():
    assert abs(total(Tempered(Gaussian(0.7), 2.0), 0.4) - 1) > 0.1


@every
def test_items_are_sums_over_their_elements(name):
    noise = NOISES[name]
    mean = STREAM.normal((4, 2, 3), "means")
    y = noise.simulate(mean, STREAM)
    pairs = zip(y.flatten(), mean.flatten(), strict=True)
    single = torch.stack([log_density(noise, v, float(m)) for v, m in pairs])
    expected = single.reshape(4, 6).sum(1)
    assert torch.allclose(noise.log_density(y, mean), expected, rtol=1e-11)
    assert torch.equal(noise.log_density(y[1:2], mean[1:2])[0], noise.log_density(y, mean)[1])


def test_densities_are_those_of_scipy():
    y = torch.linspace(-30, 30, 61, dtype=F64)
    pairs = {
        Gaussian(0.7): stats.norm(0.4, 0.7),
        Laplace(0.5): stats.laplace(0.4, 0.5),
        StudentT(3.5, 0.8): stats.t(3.5, 0.4, 0.8),
        Huber(0.6, 1.2): stats.genhyperbolic(1.0, 1.44, 0.0, 0.4, 0.72),
    }
    for noise, law in pairs.items():
        expected = torch.from_numpy(law.logpdf(y.numpy()))
        good = expected.isfinite()  # scipy's Bessel functions underflow far out
        assert int(good.sum()) > 40
        assert torch.allclose(log_density(noise, y, 0.4)[good], expected[good], rtol=1e-9)


def test_complex_gaussian_is_two_real_ones():
    mean = torch.view_as_complex(STREAM.normal((3, 4, 2), "complex"))
    y = Gaussian(0.3).simulate(mean, STREAM)
    parts = [torch.view_as_real(v).flatten(1) for v in (y, mean)]
    got, expected = (Gaussian(0.3).log_density(*v) for v in ((y, mean), parts))
    assert torch.allclose(got, expected, rtol=1e-12)


def test_gaussian_with_a_level_for_each_element():
    sigma = 0.1 + STREAM.uniform((2, 3), "sigma")
    noise, mean = Gaussian(sigma), STREAM.normal((4, 2, 3), "means")
    y = noise.simulate(mean, STREAM)
    law = torch.distributions.Normal(mean, sigma)
    assert torch.allclose(noise.log_density(y, mean), law.log_prob(y).flatten(1).sum(1))
    assert torch.allclose(noise.gradient(y, mean), (y - mean) / sigma**2)
    assert noise.curvature_bound == pytest.approx(float(sigma.min()) ** -2)
    many = noise.simulate(torch.zeros(20000, 2, 3, dtype=F64), STREAM)
    # four standard errors of a standard deviation from 20000 draws: 2 %
    assert torch.allclose(many.std(0), sigma, rtol=0.02)


# ---------------------------------------------------------------- gradients and curvature


@every
@pytest.mark.parametrize("mean", MEANS)
def test_gradients_agree_with_central_differences(name, mean):
    noise, h = NOISES[name], 1e-5
    mean = mean + 0.013  # off the kinks
    y = support(noise, mean) if name in DISCRETE else torch.linspace(-4, 4, 41, dtype=F64)
    up, down = (log_density(noise, y, mean + s * h) for s in (1, -1))
    numeric = (up - down) / (2 * h)
    got = noise.gradient(y[:, None], torch.full((len(y), 1), mean, dtype=F64))[:, 0]
    seen = up > -600  # beyond, the difference of logarithms has no digits left
    scale = 1e-6 * got[seen].abs().clamp_min(1) + 1e-10 * up[seen].abs()
    assert bool(((got - numeric)[seen].abs() <= scale).all())
    if not bool(numeric.any()):  # no light arrives at all
        assert isinstance(noise, Poisson)
        return
    assert not torch.allclose(1.001 * got[seen], numeric[seen], rtol=1e-6, atol=1e-6)


@every
def test_curvature_stays_below_its_bound_and_comes_near_it(name):
    noise = NOISES[name]
    if noise.curvature_bound is None:
        assert isinstance(noise, (Laplace, Poisson))
        return
    mean = torch.linspace(-3, 3, 20001, dtype=F64)[:, None]
    values = noise.simulate(torch.zeros(40, 1, dtype=F64), STREAM).flatten().unique()
    if name in CONTINUOUS:
        values = values.new_tensor([0.0])
    slopes = torch.stack([noise.gradient(torch.full_like(mean, v), mean)[:, 0] for v in values])
    worst = float((-slopes.diff(dim=1) / (mean[1] - mean[0])).max())
    assert worst <= noise.curvature_bound * (1 + 1e-5)
    assert worst >= 0.7 * noise.curvature_bound


# ---------------------------------------------------------------- simulation against density


def cells(noise, mean, name):
    """Values or intervals with their probabilities, none of them rare."""
    if name in DISCRETE:
        values = support(noise, mean)
        chances = log_density(noise, values, mean).exp()
        keep = chances > 1e-3
        return values[keep], chances[keep]
    unit = getattr(noise, "sigma", getattr(noise, "scale", None))
    edges = [mean + c * unit for c in (-math.inf, -4, -2, -1, -0.5, 0, 0.3, 0.8, 1.5, 3, math.inf)]
    return torch.tensor(edges, dtype=F64), torch.tensor(
        [chance(noise, mean, a, b) for a, b in pairwise(edges)], dtype=F64
    )


def p_value(noise, law, mean, name, count=40_000):
    """Chi-square test of draws of ``noise`` against the density of ``law``."""
    y = noise.simulate(torch.full((count,), mean, dtype=F64), STREAM)
    where, chances = cells(law, mean, name)
    if name in DISCRETE:
        seen = torch.stack([(y == v).sum() for v in where]).double()
    else:
        seen = torch.histogram(y.clamp(-1e12, 1e12), where.clamp(-1e12, 1e12)).hist
    rest = 1 - float(chances.sum())
    observed, expected = seen.tolist(), (count * chances).tolist()
    if rest * count > 5:
        observed.append(count - sum(observed))
        expected.append(rest * count)
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return float(stats.chi2(len(expected) - 1).sf(statistic))


@every
@pytest.mark.parametrize("mean", [-0.2, 0.4])
def test_draws_follow_the_density(name, mean):
    """26 tests at level 1e-4: false-alarm rate 0.3 %, with fixed seeds."""
    noise = NOISES[name]
    assert p_value(noise, noise, mean, name) > 1e-4


WRONG = {
    "Gaussian": Gaussian(0.72),
    "Laplace": Laplace(0.52),
    "Huber": Huber(0.62, 1.2),
    "StudentT": StudentT(3.5, 0.84),
    "Poisson": Poisson(12.0, offset=0.53),
    "logistic": OneBit(0.4, "probit"),
    "Quantized": Quantized(3, 0.5, 0.32),
}


@pytest.mark.parametrize("name", WRONG)
def test_draws_of_a_slightly_different_noise_are_rejected(name):
    assert p_value(WRONG[name], NOISES[name], 0.4, name) < 1e-4


@every
def test_draws_repeat_and_keep_the_type(name):
    mean = STREAM.normal((3, 4), "means").float()
    one, two = (NOISES[name].simulate(mean, Stream(4)) for _ in range(2))
    assert one.dtype == torch.float32
    assert torch.equal(one, two)
    assert not torch.equal(one, NOISES[name].simulate(mean, Stream(5)))
    NOISES[name].check(one)


# ---------------------------------------------------------------- bits


def test_one_bit_of_a_quantizer_is_a_sign():
    quantized, sign = Quantized(1, 1.0, 0.4), OneBit(0.4, "probit")
    y, mean = torch.tensor([[-1.0], [1.0]], dtype=F64), torch.full((2, 1), 0.3, dtype=F64)
    assert torch.allclose(quantized.log_density(y / 2, mean), sign.log_density(y, mean))


@pytest.mark.parametrize("link", ["logistic", "probit"])
@pytest.mark.parametrize(("dtype", "slack"), [(F64, 1e-8), (torch.float32, 1e-6)])
def test_signs_far_on_the_wrong_side_keep_their_digits(link, dtype, slack):
    noise = OneBit(0.01, link)
    y, mean = torch.ones(1, 1, dtype=dtype), torch.full((1, 1), -3.0, dtype=dtype)
    value, slope = noise.log_density(y, mean), noise.gradient(y, mean)
    expected = -300.0 if link == "logistic" else stats.norm.logcdf(-300.0)
    assert float(value) == pytest.approx(expected, rel=slack)
    steep = 100 * (300 + 1 / 300 - 2 / 300**3)  # of the Gaussian tail
    assert float(slope) == pytest.approx(100 if link == "logistic" else steep, rel=slack)
    assert abs(float(noise.gradient(-y, mean))) < 1e-100


@pytest.mark.parametrize(
    ("low", "high"), [(30.0, 31.0), (-31.0, -30.0), (8.0, 8.001), (-1e-4, 2e-4), (-math.inf, -40.0)]
)
def test_interval_probabilities_keep_their_digits(low, high):
    import mpmath

    mpmath.mp.dps = 400
    ends = [mpmath.mpf(v) if math.isfinite(v) else mpmath.mpf("-inf") for v in (low, high)]
    expected = mpmath.log(mpmath.ncdf(ends[1]) - mpmath.ncdf(ends[0]))
    got = log_interval(*(torch.tensor(v, dtype=F64) for v in (low, high)))
    assert float(got) == pytest.approx(float(expected), rel=1e-9)
    if low > 5:  # the plain difference has lost everything, or most of it
        plain = torch.special.ndtr(torch.tensor([low, high], dtype=F64)).diff().log()
        assert not math.isclose(float(plain), float(expected), rel_tol=1e-9)


def test_quantizer_rounds_to_the_middle_of_the_cell():
    noise = Quantized(2, 1.0, 0.1)
    value = torch.tensor([-7.0, -1.0, -0.2, 0.0, 0.9, 1.0, 55.0])
    assert noise.quantize(value).tolist() == [-1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 1.5]


# ---------------------------------------------------------------- forms and refusals


def test_gaussian_forms_and_temperature():
    y, mean = STREAM.normal((2, 5), "y"), STREAM.normal((2, 5), "mean")
    each = Gaussian(0.3 + STREAM.uniform((5,), "sigma"))
    for noise in (Gaussian(0.3), each, Tempered(Gaussian(0.3), 4.0), Tempered(each, 0.5)):
        form = noise.gaussian_form(y)
        assert torch.allclose(noise.gradient(y, mean), (form.target - mean) / form.sigma**2)
    assert Laplace(1.0).gaussian_form(y) is None
    warm = Tempered(OneBit(0.4), 0.5)
    signs = y.sign()
    assert torch.allclose(warm.log_density(signs, mean), 2 * OneBit(0.4).log_density(signs, mean))
    assert warm.curvature_bound == 2 * OneBit(0.4).curvature_bound
    assert torch.equal(warm.simulate(mean, STREAM), OneBit(0.4).simulate(mean, STREAM))
    assert not isinstance(Tempered(Laplace(1.0), 2.0), ScaleMixture)


def test_a_black_box_knows_its_likelihood_only():
    noise = BlackBox(lambda y, mean: -(y - mean).square().flatten(1).sum(1))
    y, mean = torch.zeros(3, dtype=F64), STREAM.normal((4, 3), "means")
    assert torch.allclose(noise.log_density(y, mean), -mean.square().sum(1))
    assert not noise.differentiable
    with pytest.raises(CapabilityError, match="no gradient"):
        noise.gradient(y, mean)
    with pytest.raises(CapabilityError, match="simulator"):
        noise.simulate(mean, STREAM)
    drawn = BlackBox(noise.log_likelihood, lambda mean, stream: mean + 1).simulate(mean, STREAM)
    assert torch.equal(drawn, mean + 1)
    for wrong in (lambda y, m: m.sum(), lambda y, m: 1.0, lambda y, m: m.sum(1) * math.nan):
        with pytest.raises(InputError, match="log_likelihood returned"):
            BlackBox(wrong).log_density(y, mean)


def problem(y, noise):
    y = torch.as_tensor(y)
    return wp.Problem(y, wp.operators.Identity(tuple(y.shape)), noise)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gaussian(0.0), ["sigma is 0.0", "leave noise out"]),
        (lambda: Gaussian(float("nan")), ["sigma is nan"]),
        (lambda: Gaussian(torch.tensor([1.0, 0.0])), ["sigma", "not positive"]),
        (lambda: Gaussian([1.0, math.inf]), ["sigma", "not positive and finite"]),
        (lambda: problem([1.0, 2.0], Gaussian([1.0])), ["sigma has shape [1]", "[2]"]),
        (lambda: Laplace(-1.0), ["scale is -1.0"]),
        (lambda: problem([1j], Laplace(1.0)), ["complex", "Laplace"]),
        (lambda: Huber(1.0, 0.0), ["threshold is 0.0"]),
        (lambda: Huber(0.0), ["sigma is 0.0"]),
        (lambda: StudentT(0.0, 1.0), ["degrees is 0.0"]),
        (lambda: StudentT(1.0, -1.0), ["scale is -1.0"]),
        (lambda: problem([1j], StudentT(3.0, 1.0)), ["complex", "StudentT"]),
        (lambda: Poisson(0.0), ["gain is 0.0"]),
        (lambda: Poisson(1.0, background=0.0), ["background is 0.0", "impossible"]),
        (lambda: problem([1.5], Poisson(1.0)), ["counts"]),
        (lambda: problem([-1.0], Poisson(1.0)), ["counts"]),
        (lambda: OneBit(0.0), ["scale is 0.0", "dither"]),
        (lambda: OneBit(1.0, "cauchit"), ["link is 'cauchit'", "logistic, probit"]),
        (lambda: problem([0.0, 1.0], OneBit(1.0)), ["-1 and 1", "2 b - 1"]),
        (lambda: Quantized(0, 1.0, 1.0), ["bits is 0"]),
        (lambda: Quantized(40, 1.0, 1.0), ["bits is 40"]),
        (lambda: Quantized(2, 0.0, 1.0), ["step is 0.0"]),
        (lambda: Quantized(2, 1.0, 0.0), ["dither is 0.0"]),
        (lambda: problem([0.3], Quantized(2, 1.0, 1.0)), ["4 levels", "noise.quantize"]),
        (lambda: problem([2.5], Quantized(2, 1.0, 1.0)), ["levels"]),
        (lambda: BlackBox(3), ["log_likelihood is a int"]),
        (lambda: Tempered(wp.noise.SparseOutliers(0.1), 2.0), ["density"]),
        (lambda: Tempered(Gaussian(1.0), 0.0), ["temperature is 0.0"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(WellposedError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
