"""Blurs against scipy on every boundary rule, in the Hartley basis, at 64 x 64; kernels."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

import wellposed as wp
from wellposed.errors import InputError
from wellposed.operators import Blur, Compose, Mask, gaussian_kernel, motion_kernel
from wellposed.operators.blur import BOUNDARIES
from wellposed.operators.normal import gaussian_draw
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(3)
MODES = {"circular": "wrap", "zero": "constant", "reflect": "mirror", "replicate": "nearest"}


def reference(image, kernel, boundary):
    """The same convolution by scipy: ndimage centres a kernel at size // 2 as well."""
    if boundary == "valid":
        return signal.convolve2d(image, kernel, mode="valid")
    return ndimage.convolve(image, kernel, mode=MODES[boundary])


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("kernel", [(3, 3), (4, 7), (1, 6), (9, 2), (12, 15)])
def test_convolution_is_that_of_scipy(boundary, kernel):
    kernel = STREAM.normal(kernel, "kernel")
    x = STREAM.normal((2, 3, 13, 17), "x")
    y = Blur(kernel, (3, 13, 17), boundary)(x)
    for got, image in zip(y.flatten(0, 1), x.flatten(0, 1), strict=True):
        expected = torch.from_numpy(reference(image.numpy(), kernel.numpy(), boundary))
        assert torch.allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_lines_are_convolved_like_images_of_one_row(boundary):
    kernel, x = STREAM.normal((6,), "kernel"), STREAM.normal((4, 1, 20), "x")
    line = Blur(kernel, (1, 20), boundary)(x)
    image = Blur(kernel[None], (1, 20), boundary)(x)
    assert torch.allclose(line, image, atol=1e-13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_adjoint_and_spectrum_at_image_size(boundary):
    operator = Blur(gaussian_kernel(2.0), (3, 64, 60), boundary)
    u, v = STREAM.normal((2, *operator.shape_in), "u"), STREAM.normal((2, *operator.shape_out), "v")
    image, back = operator(u), operator.adjoint(v)
    off = (image * v).sum() - (u * back).sum()
    assert abs(float(off)) <= 1e-12 * float(image.norm() * v.norm())
    spectral = operator.spectral()
    assert (spectral is None) == (boundary != "circular")
    if spectral is not None:
        assert torch.allclose(spectral.apply(u), operator.adjoint(image), atol=1e-13)
        assert operator.gain == pytest.approx(float(operator.kernel.square().sum()))
        assert operator.norm == pytest.approx(1.0)


def test_wrong_boundary_and_wrong_centre_are_told_apart():
    kernel, x = STREAM.normal((4, 4), "kernel"), STREAM.normal((9, 9), "x")
    expected = torch.from_numpy(reference(x.numpy(), kernel.numpy(), "reflect"))
    assert not torch.allclose(Blur(kernel, (9, 9), "replicate")(x), expected, atol=1e-2)
    assert not torch.allclose(Blur(kernel.flip(0, 1), (9, 9), "reflect")(x), expected, atol=1e-2)


def test_circulants_commute_with_a_composition_and_others_do_not():
    blur = Blur(gaussian_kernel(1.0), (3, 32, 32), "circular")
    twice = Compose(blur, blur)
    x = STREAM.normal((1, 3, 32, 32), "x")
    assert twice.circulant
    assert torch.allclose(twice.spectral().apply(x), twice.adjoint(twice(x)), atol=1e-13)
    assert Compose(Mask(torch.ones(32, 32), (3, 32, 32)), blur).spectral() is not None
    half = Mask(STREAM.uniform((32, 32), "mask") < 0.5, (3, 32, 32))
    assert Compose(half, blur).spectral() is None
    assert Compose(half, Blur(gaussian_kernel(1.0), (3, 32, 32), "zero")).spectral() is None
    line = Blur([0.5, 0.5], (3, 32, 32), "circular")
    mixed = Compose(line, blur)
    assert not mixed.circulant
    assert mixed.spectral() is None


def test_masked_blur_is_drawn_by_conjugate_gradients_like_the_dense_law():
    blur = Blur(gaussian_kernel(1.0), (24, 24), "reflect")
    operator = Compose(Mask(STREAM.uniform((24, 24), "mask") < 0.5), blur)
    x = STREAM.normal((2, 24, 24), "x")
    n1, n2 = STREAM.normal((2, *operator.shape_out), "n1"), STREAM.normal((2, 24, 24), "n2")
    y = operator(x[0])
    solved = gaussian_draw(operator, y, x, 0.05, 0.8, n1, n2)
    rows = operator(torch.eye(576, dtype=F64).reshape(576, 24, 24)).mT
    total = rows.mT @ rows / 0.05**2 + torch.eye(576, dtype=F64) / 0.8**2
    right = (y + 0.05 * n1) @ rows / 0.05**2 + (x + 0.8 * n2).flatten(1) / 0.8**2
    expected = torch.linalg.solve(total, right.mT).mT
    assert solved.converged.all()
    assert float((solved.z.flatten(1) - expected).norm() / expected.norm()) < 1e-7


def test_kernels_sum_to_one_and_have_the_stated_spread():
    kernel = gaussian_kernel(1.5)
    place = torch.arange(kernel.shape[0], dtype=F64) - kernel.shape[0] // 2
    assert kernel.shape == (13, 13)
    assert float(kernel.sum()) == pytest.approx(1)
    assert float((kernel.sum(1) * place**2).sum()) == pytest.approx(1.5**2, rel=2e-3)
    assert torch.allclose(gaussian_kernel(1.5, axes=1), kernel.sum(1), atol=1e-12)


@pytest.mark.parametrize(("length", "angle"), [(0, 0), (5, 0), (7, 90), (9.5, 30), (6, -120)])
def test_motion_has_the_length_and_direction_of_its_path(length, angle):
    kernel = motion_kernel(length, angle)
    side = kernel.shape[0]
    place = torch.arange(side, dtype=F64) - side // 2
    row, col = kernel.sum(1), kernel.sum(0)
    assert float(kernel.sum()) == pytest.approx(1)
    assert float((row * place).sum()) == pytest.approx(0, abs=1e-12)
    covariance = np.array(
        [
            [float((col * place**2).sum()), -float((kernel * place[:, None] * place).sum())],
            [0, float((row * place**2).sum())],
        ]
    )
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    expected = length**2 / 12 * np.outer(direction, direction)
    assert covariance[0, 1] == pytest.approx(expected[0, 1], abs=0.02 * max(1, length))
    # sharing between two pixels adds the variance f (1 - f) <= 1/4 along each axis
    for i in range(2):
        assert -0.01 <= covariance[i, i] - expected[i, i] <= 0.26


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Blur(torch.ones(2, 2, 2), (4, 4)), ["kernel", "1 or 2 axes"]),
        (lambda: Blur(torch.zeros(3, 3), (4, 4)), ["kernel", "zeros"]),
        (lambda: Blur(torch.ones(3, 3) * 1j, (4, 4)), ["kernel", "real"]),
        (lambda: Blur([[torch.nan]], (4, 4)), ["kernel", "NaN"]),
        (lambda: Blur(torch.ones(3, 3), (4,)), ["kernel has 2 axes", "[4]"]),
        (lambda: Blur(torch.ones(3, 3), (4, 4), "mirror"), ["boundary", "reflect, replicate"]),
        (lambda: Blur(torch.ones(5, 5), (4, 8), "circular"), ["5 elements", "4"]),
        (lambda: Blur(torch.ones(8, 1), (4, 8), "reflect"), ["8 elements", "7"]),
        (lambda: Blur(torch.ones(3, 3), (4, 4))(torch.ones(3, 3)), ["[3, 3]", "[4, 4]"]),
        (lambda: gaussian_kernel(0.0), ["sigma is 0.0"]),
        (lambda: gaussian_kernel(1.0, size=0), ["size is 0"]),
        (lambda: motion_kernel(-1.0, 0.0), ["length is -1.0"]),
        (lambda: motion_kernel(1.0, float("nan")), ["angle is nan"]),
        (lambda: Mask(torch.zeros(3, 3)), ["mask is empty"]),
        (lambda: Mask([0.0, 0.5]), ["mask", "0 and 1"]),
        (lambda: Mask(torch.ones(3), (3, 2)), ["mask has sides [3]", "[3, 2]"]),
        (lambda: Mask(True), ["mask"]),
        (lambda: Mask(torch.ones(3)).adjoint(torch.ones(2)), ["measurement", "[2]"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_values_under_a_mask_in_a_problem():
    mask = STREAM.uniform((8, 8), "mask") < 0.5
    image = STREAM.normal((8, 8), "image")
    problem = wp.Problem(image.numpy()[mask.numpy()], Mask(mask))
    assert torch.equal(problem.y, problem.operator(image))
