"""Self-calibration: exact recovery, noise, identifiability, units, and wrong models."""

import numpy as np
import pytest
import torch

from wellposed.bilinear import DiverseInputs, RepeatedMeasurements, SelfCalibration, Snapshots
from wellposed.bilinear import system as linear_system
from wellposed.errors import InputError
from wellposed.rng import Stream

F64 = torch.float64
MODELS = (RepeatedMeasurements, DiverseInputs, Snapshots)
FORMS = ("spectral", "least_squares")
every_model = pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
every_form = pytest.mark.parametrize("form", FORMS)
either_solver = pytest.mark.parametrize("work", [1e12, 0], ids=["dense", "matrix-free"])


def gaussian(stream, shape, key, complex_=True):
    if not complex_:
        return stream.normal(shape, key)
    return torch.view_as_complex(stream.normal((*shape, 2), key)) / 2**0.5


def instance(kind, m=60, n=12, p=4, seed=1, complex_=True, spread=6.283185):
    """A model, gains between 0.5 and 1.5 with phases over ``spread``, and signals."""
    stream = Stream(seed)
    gains = 0.5 + stream.uniform((m,), "sizes")
    if complex_:
        gains = gains * torch.exp(1j * spread * (stream.uniform((m,), "phases") - 0.5))
    matrices = gaussian(stream, (p, m, n), "matrices", complex_)
    model = Snapshots(matrices[0]) if kind is Snapshots else kind(matrices)
    return model, gains, gaussian(stream, model.signal_shape(p), "signals", complex_)


def noisy(y, sigma, seed=9):
    return y + sigma * y.norm() / y.numel() ** 0.5 * gaussian(Stream(seed), y.shape, "noise")


def errors(fit, gains, signals):
    """Relative errors of gains and signals after the best choice of the free factor."""
    best = fit.aligned(gains)
    on_gains = (best.gains - gains).norm() / gains.norm()
    return float(on_gains), float((best.signals - signals).norm() / signals.norm())


# ---------------------------------------------------------------- exactness


@every_model
@every_form
@either_solver
@pytest.mark.parametrize("complex_", [True, False], ids=["complex", "real"])
def test_exact_without_noise(kind, form, work, complex_, monkeypatch):
    monkeypatch.setattr(linear_system, "DENSE_WORK", work)
    model, gains, signals = instance(kind, complex_=complex_)
    fit = getattr(SelfCalibration(model), form)(model.measure(gains, signals))
    assert max(errors(fit, gains, signals)) < 1e-10
    assert fit.converged
    assert fit.residual < 1e-10
    assert fit.gap > 1 - 1e-8
    assert fit.gains.is_complex() == complex_


@every_model
def test_spectral_form_is_the_smallest_singular_vector_of_the_written_out_system(kind):
    model, gains, signals = instance(kind, m=9, n=2, p=3)
    y = noisy(model.measure(gains, signals), 0.05)
    blocks, shared = [], kind is RepeatedMeasurements
    for shot in range(3):
        table = model.matrix if kind is Snapshots else model.matrices[shot]
        wide = np.zeros((9, 2 if shared else 6), dtype=complex)
        at = 0 if shared else 2 * shot
        wide[:, at : at + 2] = table.numpy()
        blocks.append((np.diag(y[shot].numpy()), wide))
    left, right = (np.concatenate(part) for part in zip(*blocks, strict=True))
    left_scale = np.linalg.norm(left) / left.shape[1] ** 0.5
    right_scale = np.linalg.norm(right) / right.shape[1] ** 0.5
    _, values, rows = np.linalg.svd(np.concatenate([left / left_scale, -right / right_scale], 1))
    wanted = left_scale / rows[-1].conj()[:9]
    fit = SelfCalibration(model).spectral(y)
    factor = fit.gains[0].numpy() / wanted[0]
    assert np.allclose(fit.gains.numpy(), factor * wanted, rtol=1e-9)
    assert fit.smallest == pytest.approx(values[-1] / values[0], rel=1e-9)
    assert fit.second == pytest.approx(values[-2] / values[0], rel=1e-9)


@every_model
@pytest.mark.parametrize("with_basis", [False, True])
def test_adjoint_and_dense_form_of_the_system(kind, with_basis):
    model, gains, signals = instance(kind, m=7, n=2, p=3)
    basis = gaussian(Stream(2), (7, 4), "basis") if with_basis else None
    system = linear_system.System(model.measure(gains, signals), model, basis)
    u = gaussian(Stream(3), (system.shape[1],), "u")
    v = gaussian(Stream(3), (system.shape[0],), "v")
    image, back, table = system.times(u), system.adjoint(v), system.dense()[: system.shape[0]]
    assert abs(complex(v.conj() @ image - back.conj() @ u)) <= 1e-12 * float(
        image.norm() * v.norm()
    )
    assert torch.allclose(table @ u, image)
    assert torch.allclose(table.mH @ v, back)
    blocks = table[:, : system.head], table[:, system.head :]
    for block in blocks:
        assert float(block.norm()) == pytest.approx(block.shape[1] ** 0.5)


# ---------------------------------------------------------------- noise


@every_model
@every_form
def test_error_grows_linearly_with_the_noise(kind, form):
    model, gains, signals = instance(kind)
    levels = np.array([1e-5, 1e-4, 1e-3, 1e-2])
    clean, calibration = model.measure(gains, signals), SelfCalibration(model)
    found = np.array(
        [errors(getattr(calibration, form)(noisy(clean, s)), gains, signals) for s in levels]
    )
    for column in found.T:
        slope = np.polyfit(np.log(levels), np.log(column), 1)[0]
        assert abs(slope - 1) < 0.1
    assert found[-1].max() < 0.05


@every_form
def test_both_solvers_agree_on_noisy_readings(form, monkeypatch):
    model, gains, signals = instance(Snapshots)
    y, fits = noisy(model.measure(gains, signals), 0.02), []
    for work in (1e12, 0):
        monkeypatch.setattr(linear_system, "DENSE_WORK", work)
        fits.append(getattr(SelfCalibration(model), form)(y))
    assert torch.allclose(fits[0].gains, fits[1].gains, rtol=0, atol=1e-9)
    assert fits[0].smallest == pytest.approx(fits[1].smallest, rel=1e-3)
    assert fits[0].second == pytest.approx(fits[1].second, rel=1e-2)


def test_a_good_guess_beats_a_bad_one_and_the_spectral_form_needs_none():
    found = []
    for seed in range(7):
        model, gains, signals = instance(RepeatedMeasurements, 60, 30, 2, seed)
        y = noisy(model.measure(gains, signals), 0.05, seed)
        fits = (
            SelfCalibration(model).spectral(y),
            SelfCalibration(model).least_squares(y, guess=gains),
            SelfCalibration(model).least_squares(y),
        )
        found.append([errors(fit, gains, signals)[0] for fit in fits])
    spectral, guessed, blind = np.median(found, 0)
    assert spectral < 1.1 * guessed
    assert guessed < blind


# ---------------------------------------------------------------- identifiability


@every_form
def test_a_basis_makes_one_shot_enough(form):
    model, _, signals = instance(RepeatedMeasurements, m=60, n=20, p=1)
    basis = gaussian(Stream(4), (60, 5), "basis")
    gains = 1 / (basis @ gaussian(Stream(4), (5,), "coefficients"))
    y = model.measure(gains, signals)
    guess = gains if form == "least_squares" else None
    fit = getattr(SelfCalibration(model, basis), form)(y, *([] if guess is None else [guess]))
    assert max(errors(fit, gains, signals)) < 1e-10
    with pytest.raises(InputError, match=r"60 equations .* for 80 unknowns"):
        SelfCalibration(model).spectral(y)


@every_model
def test_the_counting_bound_is_sharp(kind):
    m, p = 11, 2
    n = (m * p - m + 1) // (1 if kind is RepeatedMeasurements else p)  # p m = unknowns - 1
    model, gains, signals = instance(kind, m, n, p)
    fit = SelfCalibration(model).spectral(model.measure(gains, signals))
    assert max(errors(fit, gains, signals)) < 1e-8
    model, gains, signals = instance(kind, m, n + 1, p)
    with pytest.raises(InputError, match="expected at least"):
        SelfCalibration(model).spectral(model.measure(gains, signals))


@every_form
@either_solver
def test_parallel_snapshots_are_refused(form, work, monkeypatch):
    monkeypatch.setattr(linear_system, "DENSE_WORK", work)
    model, gains, signals = instance(Snapshots, m=20, n=5)
    y = model.measure(gains, signals[:1] * torch.arange(1, 5)[:, None])
    with pytest.raises(InputError, match="more than one solution"):
        getattr(SelfCalibration(model), form)(y)


@every_model
def test_a_wrong_model_does_not_fit(kind):
    model, gains, signals = instance(kind)
    other = instance(kind, seed=2)[0]
    fit = SelfCalibration(other).spectral(model.measure(gains, signals))
    assert fit.residual > 0.1
    assert fit.gap < 0.5
    assert errors(fit, gains, signals)[0] > 0.3


def test_a_guess_orthogonal_to_the_gains_is_refused():
    model, gains, signals = instance(Snapshots, m=20, n=4, p=6)
    y = model.measure(gains, signals)
    wrong = gaussian(Stream(8), (20,), "wrong")
    inverse = 1 / gains
    wrong = wrong - inverse * (inverse.conj() @ wrong) / inverse.norm() ** 2
    with pytest.raises(InputError, match="nearly orthogonal"):
        SelfCalibration(model).least_squares(y, guess=1 / wrong)


# ---------------------------------------------------------------- units and the free factor


@every_model
@every_form
def test_units_do_not_matter(kind, form):
    model, gains, signals = instance(kind)
    y = noisy(model.measure(gains, signals), 0.01)
    scaled = type(model)(1e-3 * model.numbers)
    fit = getattr(SelfCalibration(model), form)(y)
    other = getattr(SelfCalibration(scaled), form)(1e6 * y)
    assert torch.allclose(other.gains, fit.gains, rtol=1e-9)
    assert torch.allclose(other.signals, 1e9 * fit.signals, rtol=1e-9)


@every_model
def test_free_factor_is_fixed_as_documented(kind):
    model, gains, signals = instance(kind)
    y = model.measure(gains, signals)
    fit = SelfCalibration(model).spectral(y)
    again = SelfCalibration(model).spectral(model.measure(3j * gains, signals / 3j))
    assert float(fit.gains.abs().square().mean()) == pytest.approx(1)
    assert abs(float(fit.gains[0].imag)) < 1e-12
    assert float(fit.gains[0].real) > 0
    assert torch.allclose(fit.gains, again.gains)
    assert torch.allclose(model.measure(fit.gains, fit.signals), y)


def test_single_precision_readings_give_single_precision_results():
    model, gains, signals = instance(Snapshots)
    fit = SelfCalibration(model).spectral(model.measure(gains, signals).to(torch.complex64))
    assert fit.gains.dtype == torch.complex64
    assert max(errors(fit, gains.to(torch.complex64), signals)) < 1e-5


# ---------------------------------------------------------------- bad input


def _reads(change):
    model, gains, signals = instance(Snapshots, m=8, n=2, p=3)
    y = model.measure(gains, signals)
    return SelfCalibration(model), change(y)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y[0], ["y has shape [8]", "[shots, 8]"]),
        (lambda y: y[:, :5], ["y has shape [3, 5]", "[shots, 8]"]),
        (lambda y: y.index_fill(1, torch.tensor([2]), torch.nan), ["y has 3 NaN", "(0, 2)"]),
        (lambda y: y.index_fill(1, torch.tensor([2]), 0), ["1 sensor(s) read zero", "[2]"]),
    ],
)
def test_bad_readings_are_named(change, words):
    calibration, y = _reads(change)
    with pytest.raises(InputError) as caught:
        calibration.spectral(y)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Snapshots(torch.ones(3)), ["matrix", "[3]", "[sensors, entries]"]),
        (lambda: DiverseInputs(torch.ones(3, 2)), ["matrices", "[shots, sensors, entries]"]),
        (lambda: Snapshots(torch.full((2, 2), torch.inf)), ["matrix", "infinite"]),
        (lambda: SelfCalibration(torch.ones(3, 2)), ["model is a Tensor"]),
        (
            lambda: SelfCalibration(Snapshots(torch.ones(3, 2)), torch.ones(4, 2)),
            ["basis has shape [4, 2]", "[3, *]"],
        ),
        (
            lambda: SelfCalibration(Snapshots(torch.ones(3, 2)), torch.ones(3, 2)),
            ["basis has 2 columns of rank 1"],
        ),
        (
            lambda: SelfCalibration(DiverseInputs(torch.ones(3, 4, 2))).spectral(torch.ones(2, 4)),
            ["y has 2 shots, expected 3"],
        ),
    ],
)
def test_bad_models_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("guess", "word"), [(torch.ones(7), "guess has shape [7]"), (torch.zeros(8), "has a zero")]
)
def test_bad_guesses_are_named(guess, word):
    calibration, y = _reads(lambda y: y)
    with pytest.raises(InputError) as caught:
        calibration.least_squares(y, guess)
    assert word in str(caught.value)
