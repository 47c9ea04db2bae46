"""Downsampling against torch's and Pillow's resize; exact adjoint and spectrum at 64 x 64."""

import numpy as np
import pytest
import torch
from PIL import Image

from wellposed.errors import InputError
from wellposed.operators import Downsample
from wellposed.operators.normal import conjugate_gradients, gaussian_mean
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(8)


def interpolate(x, factor, mode):
    return torch.nn.functional.interpolate(
        x, scale_factor=1 / factor, mode=mode, antialias=True, align_corners=False
    )


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_bicubic_is_the_antialiased_resize_of_torch(factor):
    x = STREAM.normal((2, 3, 24, 36), "x")
    got = Downsample(factor, (3, 24, 36))(x)
    assert torch.allclose(got, interpolate(x, factor, "bicubic"), atol=1e-12)


def test_bicubic_is_the_resize_of_pillow():
    x = STREAM.normal((64, 48), "x").float()
    expected = Image.fromarray(x.numpy()).resize((12, 16), Image.Resampling.BICUBIC)
    got = Downsample(4, (64, 48))(x)
    assert torch.allclose(got, torch.from_numpy(np.array(expected)), atol=2e-6)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_box_is_the_mean_over_blocks(factor):
    x = STREAM.normal((3, 1, 16, 8), "x")
    expected = torch.nn.functional.avg_pool2d(x, factor)
    assert torch.allclose(Downsample(factor, (1, 16, 8), "box")(x), expected, atol=1e-14)


def test_kernels_are_told_apart():
    x = STREAM.normal((2, 3, 24, 24), "x")
    got = Downsample(4, (3, 24, 24))(x)
    assert not torch.allclose(got, interpolate(x, 4, "bilinear"), atol=1e-2)
    plain = torch.nn.functional.interpolate(x, scale_factor=0.25, mode="bicubic")
    assert not torch.allclose(got, plain, atol=1e-2)


@pytest.mark.parametrize("kernel", ["bicubic", "box"])
def test_adjoint_and_spectrum_at_image_size(kernel):
    operator = Downsample(4, (3, 64, 64), kernel)
    u, v = STREAM.normal((2, 3, 64, 64), "u"), STREAM.normal((2, 3, 16, 16), "v")
    image, back = operator(u), operator.adjoint(v)
    off = (image * v).sum() - (u * back).sum()
    assert abs(float(off)) <= 1e-12 * float(image.norm() * v.norm())
    spectral = operator.spectral()
    assert torch.allclose(spectral.apply(u), operator.adjoint(image), atol=1e-14)
    assert torch.allclose(spectral.synthesise(spectral.analyse(u)), u, atol=1e-12)
    assert int((spectral.weights > 1e-14).sum()) == 3 * 16 * 16


def test_the_basis_and_conjugate_gradients_agree():
    operator = Downsample(4, (3, 32, 32))
    x, y = STREAM.normal((2, 3, 32, 32), "x"), STREAM.normal((3, 8, 8), "y")
    sigma, eta = 0.05, 0.5
    direct = gaussian_mean(operator, y, x, sigma, eta).z

    def normal(z):
        return operator.backward(operator.forward(z)) / sigma**2 + z / eta**2

    rhs = operator.adjoint(y) / sigma**2 + x / eta**2
    assert float((conjugate_gradients(normal, rhs).z - direct).norm() / direct.norm()) < 1e-9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Downsample(0, (4, 4)), ["factor is 0"]),
        (lambda: Downsample(2.0, (4, 4)), ["factor is 2.0", "whole"]),
        (lambda: Downsample(3, (3, 4)), ["3 does not divide", "4 pixels", "crop"]),
        (lambda: Downsample(2, (4,)), ["[4]", "[..., H, W]"]),
        (lambda: Downsample(2, (4, 4), "lanczos"), ["kernel is 'lanczos'", "bicubic, box"]),
        (lambda: Downsample(2, (4, 4))(torch.ones(3, 5, 4)), ["[3, 5, 4]", "[*, 4, 4]"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
