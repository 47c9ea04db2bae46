"""Fourier samples: against numpy, coil by coil; which frequencies count twice; bad input."""

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.operators import Blur, Compose, Fourier, cartesian_mask, gaussian_kernel
from wellposed.operators.normal import gaussian_draw
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(9)
SIDES = (12, 10)
MASK = STREAM.uniform(SIDES, "mask") < 0.4
MAPS = torch.view_as_complex(STREAM.normal((4, *SIDES, 2), "maps"))


def test_samples_are_those_of_numpy():
    x = STREAM.normal((2, 3, *SIDES), "x")
    y = Fourier(MASK, (3, *SIDES), MAPS)(x)
    coils = x[:, :, None].numpy() * MAPS.numpy()
    expected = np.fft.fft2(coils, norm="ortho")[..., MASK.numpy()]
    assert y.shape == (2, 3, 4, int(MASK.sum()))
    assert np.allclose(y.numpy(), expected, atol=1e-13)


def test_one_coil_of_ones_is_no_coil():
    x = STREAM.normal(SIDES, "x")
    plain, coil = Fourier(MASK), Fourier(MASK, maps=torch.ones(1, *SIDES))
    assert torch.allclose(coil(x)[0], plain(x), atol=1e-14)
    y = plain(x)
    assert torch.allclose(coil.adjoint(y[None]), plain.adjoint(y), atol=1e-14)


@pytest.mark.parametrize("maps", [None, MAPS], ids=["one coil", "four coils"])
def test_adjoint_at_image_size(maps):
    operator = Fourier(cartesian_mask((64, 48), 4), (3, 64, 48),
                       None if maps is None else STREAM.normal((4, 64, 48), "maps"))  # fmt: skip
    u = STREAM.normal((2, *operator.shape_in), "u")
    v = torch.view_as_complex(STREAM.normal((2, *operator.shape_out, 2), "v"))
    image, back = operator(u), operator.adjoint(v)
    off = (image * v.conj()).sum().real - (u * back).sum()
    assert abs(float(off)) <= 1e-12 * float(image.norm() * v.norm())
    spectral = operator.spectral()
    assert (spectral is None) == (maps is not None)
    if spectral is not None:
        assert torch.allclose(spectral.apply(u), operator.adjoint(image), atol=1e-13)


def test_a_frequency_and_its_opposite_carry_the_same_number():
    """Reading k alone sees half of the energy of k and -k; the plain mask would be wrong."""
    single = torch.zeros(8, 8)
    single[1, 2] = 1
    weights = Fourier(single, (1, 8, 8)).spectral().weights
    assert weights[0, 1, 2] == weights[0, 7, 6] == 0.5
    assert float(weights.sum()) == 1
    zero = torch.zeros(8, 8)
    zero[0, 0] = 1
    assert float(Fourier(zero).spectral().weights[0, 0]) == 1


def test_blurred_samples_keep_the_basis_and_draw_like_conjugate_gradients():
    blur = Blur(gaussian_kernel(0.8), (24, 24), "circular")
    operator = Compose(Fourier(cartesian_mask((24, 24), 3)), blur)
    x = STREAM.normal((1, 24, 24), "x")
    assert torch.allclose(
        operator.spectral().apply(x), operator.backward(operator.forward(x)), atol=1e-13
    )
    rows = operator.forward(torch.eye(576, dtype=F64).reshape(576, 24, 24)).mT
    rows = torch.cat([rows.real, rows.imag])
    y = operator(x[0])
    n1, n2 = torch.zeros_like(y)[None], torch.zeros_like(x)
    got = gaussian_draw(operator, y, x, 0.1, 0.6, n1, n2).z.flatten()
    right = rows.mT @ torch.cat([y.real, y.imag]) / 0.01 + x.flatten() / 0.36
    total = rows.mT @ rows / 0.01 + torch.eye(576, dtype=F64) / 0.36
    expected = torch.linalg.solve(total, right)
    assert float((got - expected).norm() / expected.norm()) < 1e-10


@pytest.mark.parametrize(("acceleration", "centre"), [(1, 0.08), (4, 0.08), (8, 0.04), (4, 0)])
def test_cartesian_masks_read_whole_columns(acceleration, centre):
    mask = cartesian_mask((6, 96), acceleration, centre=centre, seed=3)
    assert bool((mask == mask[:1]).all())
    assert int(mask[0].sum()) == round(96 / acceleration)
    low = round(centre * 96)
    column = torch.fft.fftfreq(96) * 96
    assert bool(mask[0][(column >= -(low // 2)) & (column < low - low // 2)].all())
    assert torch.equal(mask, cartesian_mask((6, 96), acceleration, centre=centre, seed=3))
    if acceleration > 1:
        other = cartesian_mask((6, 96), acceleration, centre=centre, seed=4)
        assert not torch.equal(mask, other)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fourier(torch.zeros(3, 3)), ["mask is empty"]),
        (lambda: Fourier(torch.ones(2, 3, 3)), ["[2, 3, 3]", "[H, W] or [L]"]),
        (lambda: Fourier(torch.ones(3, 3), (4, 3)), ["mask has sides [3, 3]", "[4, 3]"]),
        (lambda: Fourier(torch.ones(3, 3), maps=torch.ones(3, 3)), ["maps", "[coils, 3, 3]"]),
        (lambda: Fourier(torch.ones(3, 3), maps=torch.zeros(2, 3, 3)), ["maps", "zeros"]),
        (lambda: Fourier(torch.ones(3, 3), maps=torch.full((1, 3, 3), torch.nan)), ["NaN"]),
        (lambda: cartesian_mask((4, 4), 0.5), ["acceleration is 0.5"]),
        (lambda: cartesian_mask((4, 4), 4, centre=0.5), ["centre is 0.5", "0.25"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
