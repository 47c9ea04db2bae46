"""Gamma, the blur of light and JPEG: against formulas and the codec; gradients; bad input."""

import math

import pytest
import torch

import wellposed.operators.jpeg as jpeg_module
from wellposed.errors import CapabilityError, InputError
from wellposed.operators import JPEG, Blur, Compose, Gamma, Identity, gaussian_kernel
from wellposed.operators import nonlinear_blur as blur_of_light
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(23)


def picture(*shape):
    """A smooth image with an edge, on [-1, 1]."""
    noise = STREAM.normal(shape, "picture")
    smooth = Blur(gaussian_kernel(2.0), shape, "reflect")(noise)
    smooth = 0.6 * smooth / smooth.abs().max()
    smooth[..., shape[-1] // 3 :] += 0.3
    return smooth.clamp(-1, 1)


OPERATORS = {
    "gamma": Gamma(2.2, (3, 4, 5)),
    "brightening": Gamma(0.45, (3, 4, 5), 0.0, 2.0),
    "blur": blur_of_light(gaussian_kernel(0.7, 3), (3, 4, 5)),
    "jpeg": JPEG(30, (3, 11, 18)),
    "grey jpeg": JPEG(80, (9, 8)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_pullback_agrees_with_central_differences(name):
    operator = OPERATORS[name]
    x = STREAM.uniform((2, *operator.shape_in), "x") * 2.2 - 1.1
    v, u = (STREAM.normal((2, *operator.shape_out), key) for key in "vu")
    h = 1e-7 if "jpeg" in name else 1e-6
    numeric = ((operator(x + h * u) - operator(x - h * u)) * v).flatten(1).sum(1) / (2 * h)
    exact = (operator.pullback(x, v) * u).flatten(1).sum(1)
    assert torch.allclose(exact, numeric, rtol=1e-6, atol=1e-6 * float(numeric.abs().max()))
    assert not operator.linear
    assert operator.differentiable


@pytest.mark.parametrize("name", OPERATORS)
def test_items_and_types_are_kept(name):
    operator = OPERATORS[name]
    x = STREAM.normal((3, *operator.shape_in), "x").float() / 3
    y = operator(x)
    assert y.dtype == torch.float32
    assert y.shape == (3, *operator.shape_out)
    assert torch.allclose(operator(x[1]), y[1], atol=1e-6)


def test_gamma_is_a_power_with_an_inverse_and_goes_on_below_black():
    x = torch.linspace(-1, 1, 101, dtype=F64)
    power = Gamma(2.2, (101,))(x)
    inside = x > -0.99
    assert torch.allclose(power[inside], (2 * ((x + 1) / 2) ** 2.2 - 1)[inside])
    back = Gamma(1 / 2.2, (101,))(power)
    light = power > -0.99  # where the inverse is past its straight line too
    assert torch.allclose(back[light], x[light], atol=1e-12)
    assert Gamma(2.2, (1,))(torch.tensor([-1.0])).item() == -1
    wide = torch.linspace(-3, 3, 1001, dtype=F64)
    for exponent in (0.3, 1.0, 3.0):
        assert bool((Gamma(exponent, (1001,))(wide).diff() > 0).all())
    assert torch.allclose(Gamma(1.0, (1001,))(wide), wide)


def test_light_is_blurred_and_not_the_image():
    x, kernel = picture(16, 16), gaussian_kernel(1.0)
    light = blur_of_light(kernel, (16, 16))
    by_hand = 2 * Blur(kernel, (16, 16), "reflect")(((x + 1) / 2) ** 2.2) ** (1 / 2.2) - 1
    assert torch.allclose(light(x), by_hand, atol=1e-12)
    plain = Blur(kernel, (16, 16), "reflect")(x)
    assert not torch.allclose(light(x), plain, atol=1e-2)
    assert torch.allclose(blur_of_light(kernel, (16, 16), exponent=1)(x), plain, atol=1e-12)


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
@pytest.mark.parametrize("shape", [(3, 40, 29), (1, 32, 32), (17, 24)])
def test_with_hard_rounding_the_surrogate_is_the_codec(quality, shape, monkeypatch):
    x = picture(*shape)
    x = (((x + 1) * 127.5).round() / 127.5 - 1)[None]
    true = JPEG(quality, shape, codec=True)(x)
    surrogate = JPEG(quality, shape)
    soft = surrogate(x)
    monkeypatch.setattr(jpeg_module, "smooth_round", torch.round)
    hard = ((surrogate(x) + 1) * 127.5).round().clamp(0, 255)
    levels = (true + 1) * 127.5
    off = (hard - levels).abs()
    # Pillow works in whole numbers: colours are rounded on the way in and out, and a coefficient
    # near a half may fall on the other side
    assert float(off.mean()) < (1.2 if len(shape) == 3 and shape[0] == 3 else 0.5)
    monkeypatch.setattr(jpeg_module, "LUMINANCE", jpeg_module.CHROMINANCE)
    wrong = ((JPEG(quality, shape)(x) + 1) * 127.5).round().clamp(0, 255)
    assert float((wrong - levels).abs().mean()) > 1.4 * float(off.mean())
    assert float((soft - true).norm()) < 0.8 * float((x - true).norm())


def test_the_codec_has_no_gradient_and_says_so():
    codec = JPEG(50, (3, 8, 8), codec=True)
    x = torch.zeros(1, 3, 8, 8)
    assert not codec.differentiable
    assert not Compose(codec, Identity((3, 8, 8))).differentiable
    with pytest.raises(CapabilityError, match="JPEG is not differentiable"):
        codec.pullback(x, x)
    far = codec(torch.full((1, 3, 8, 8), 7.0))
    assert float(far.max()) == pytest.approx(1, abs=0.02)


def test_cosine_transform_is_orthonormal_and_rounding_is_smooth():
    table = jpeg_module.cosine_matrix()
    assert torch.allclose(table @ table.mT, torch.eye(8, dtype=F64), atol=1e-14)
    u = torch.linspace(-3, 3, 1201, dtype=F64)
    soft = jpeg_module.smooth_round(u)
    assert bool((soft.diff() > 0).all())
    assert float((soft - u).abs().max()) < 1 / (2 * math.pi) + 1e-9
    whole = u == u.round()
    assert torch.allclose(soft[whole], u[whole])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gamma(0.0, (3,)), ["exponent is 0.0"]),
        (lambda: Gamma(1.0, (3,), 1.0, 1.0), ["low < high"]),
        (lambda: Gamma(1.0, (3,), float("nan")), ["low is nan"]),
        (lambda: JPEG(0, (8, 8)), ["quality is 0"]),
        (lambda: JPEG(101, (8, 8)), ["quality is 101"]),
        (lambda: JPEG(50, (2, 8, 8)), ["[2, 8, 8]", "(3, H, W)"]),
        (lambda: JPEG(50, (8,)), ["[8]"]),
        (lambda: JPEG(50, (3, 8, 8))(torch.zeros(8, 8)), ["[8, 8]", "[*, 3, 8, 8]"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
