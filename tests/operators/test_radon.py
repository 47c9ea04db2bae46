"""Projections: of a disk against its chords, sums that are exact, limited angles, bad input."""

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.operators import Matrix, Radon, random_projection
from wellposed.operators.normal import gaussian_mean
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(12)
ANGLES = np.array([0.0, 13.0, 45.0, 77.7, 90.0, 135.0, 161.0])


def disk(side, centre, radius, fine=16):
    """The share of each pixel inside a disk (lengths in units of the image's side)."""
    place = (np.arange(side * fine) + 0.5) / (side * fine) - 0.5
    inside = (place - centre[0]) ** 2 + (-place[:, None] - centre[1]) ** 2 < radius**2
    return inside.reshape(side, fine, side, fine).mean((1, 3))


def chords(angles, side, detectors, centre, radius):
    """Means over each strip of the lengths of a disk's chords, in pixels."""
    angles = np.deg2rad(angles)
    middle = (centre[0] * np.cos(angles) + centre[1] * np.sin(angles))[:, None] * side
    edges = np.arange(detectors + 1) - detectors / 2 - middle
    r = radius * side
    t = np.clip(edges / r, -1, 1)
    return np.diff(r**2 * (t * np.sqrt(1 - t**2) + np.arcsin(t)), axis=1)


@pytest.mark.parametrize(("centre", "radius"), [((0.0, 0.0), 0.4), ((0.15, -0.1), 0.2)])
def test_projection_of_a_disk_is_its_chords(centre, radius):
    def error(side, shift=0.0):
        scan = Radon(ANGLES, (side, side))
        got = scan(torch.from_numpy(disk(side, centre, radius))).numpy()
        expected = chords(ANGLES + shift, side, scan.detectors, centre, radius)
        return np.linalg.norm(got - expected) / np.linalg.norm(expected)

    assert error(64) < 0.01
    assert error(128) < 0.5 * error(32)
    if centre != (0.0, 0.0):
        assert error(64, shift=5.0) > 0.05  # the wrong direction
        assert error(64, shift=180.0) > 0.5


def test_straight_projections_are_sums_of_rows_and_columns():
    x = STREAM.normal((2, 3, 9, 14), "x")
    y = Radon([0, 90, 180, 270], (3, 9, 14), 14)(x)
    assert torch.allclose(y[..., 0, :], x.sum(-2), atol=1e-12)
    assert torch.allclose(y[..., 2, :], x.sum(-2).flip(-1), atol=1e-12)
    square = STREAM.normal((8, 8), "square")
    turned = Radon([90.0], (8, 8), 8)(square)[0]
    assert torch.allclose(turned, square.sum(1).flip(0), atol=1e-12)


def test_every_angle_sees_the_whole_mass_and_a_quarter_turn_is_a_rotation():
    x = STREAM.uniform((21, 21), "x")
    angles = torch.linspace(0, 179, 60, dtype=F64)
    y = Radon(angles, (21, 21))(x)
    assert torch.allclose(y.sum(1), x.sum().expand(60), rtol=1e-12)
    turned = Radon(angles + 90, (21, 21))(torch.rot90(x))
    assert torch.allclose(turned, y, atol=1e-11)


@pytest.mark.parametrize("count", [12, 45])
def test_adjoint_at_image_size(count):
    operator = Radon(np.linspace(0, 90, count), (64, 48))
    u, v = STREAM.normal((2, 64, 48), "u"), STREAM.normal((2, *operator.shape_out), "v")
    image, back = operator(u), operator.adjoint(v)
    off = (image * v).sum() - (u * back).sum()
    assert abs(float(off)) <= 1e-12 * float(image.norm() * v.norm())
    assert operator.spectral() is None
    single = operator(u.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), image, atol=1e-4 * float(image.abs().max()))


def test_a_full_scan_determines_the_image_and_a_limited_one_does_not():
    truth = torch.from_numpy(disk(32, (0.1, 0.05), 0.25))

    def error(angles):
        scan = Radon(angles, (32, 32))
        solved = gaussian_mean(scan, scan(truth), torch.zeros(1, 32, 32, dtype=F64), 0.5, 1.0)
        assert solved.converged.all()
        return float((solved.z[0] - truth).norm() / truth.norm())

    assert error(np.arange(0, 180, 2.0)) < 0.05
    assert error(np.arange(0, 60, 2.0)) > 0.2


def test_random_projections_keep_lengths_on_average():
    operator = random_projection(500, (1, 4, 5), seed=3)
    assert isinstance(operator, Matrix)
    assert operator.gain == pytest.approx(1, rel=0.05)  # standard error sqrt(2 / 10^4) = 1.4 %
    again = random_projection(500, (1, 4, 5), seed=3)
    assert torch.equal(operator.matrix, again.matrix)
    assert not torch.equal(operator.matrix, random_projection(500, (1, 4, 5)).matrix)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Radon([], (4, 4)), ["angles", "[0]"]),
        (lambda: Radon([0.0, float("inf")], (4, 4)), ["angles", "infinite"]),
        (lambda: Radon([[0.0]], (4, 4)), ["angles", "[1, 1]"]),
        (lambda: Radon([0.0], (4,)), ["[4]", "[..., H, W]"]),
        (lambda: Radon([0.0], (4, 4), 0), ["detectors is 0"]),
        (lambda: random_projection(0, (4,)), ["count is 0"]),
        (lambda: Matrix(torch.eye(4), (2, 3)), ["[2, 3]", "6 elements", "4 columns"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
