"""Phase retrieval: magnitudes against numpy, energy, gradients, ambiguities, bad input."""

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.operators import PhaseRetrieval, coded_mask
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(15)


@pytest.mark.parametrize("looks", [1, 3])
def test_magnitudes_are_those_of_the_padded_coded_transform(looks):
    code = coded_mask((6, 8), looks=looks)
    operator, x = PhaseRetrieval(code, 4.0, (2, 6, 8)), STREAM.normal((5, 2, 6, 8), "x")
    y = operator(x)
    coded = x[:, :, None] * code if looks > 1 else x * code
    padded = np.zeros((*coded.shape[:-2], 12, 16))
    padded[..., :6, :8] = coded.numpy()
    expected = np.abs(np.fft.fftshift(np.fft.fft2(padded, norm="ortho"), axes=(-2, -1)))
    assert y.shape == (5, *operator.shape_out)
    assert np.allclose(y.numpy(), expected, atol=1e-13)
    assert torch.allclose(y.square().sum((-2, -1)), coded.square().sum((-2, -1)))


@pytest.mark.parametrize(("oversample", "sides"), [(1, (6, 8)), (2, (9, 12)), (2.25, (9, 12))])
def test_sides_grow_by_the_root_of_the_oversampling(oversample, sides):
    assert PhaseRetrieval(torch.ones(6, 8), oversample).shape_out == sides


def test_pullback_agrees_with_central_differences():
    code = torch.view_as_complex(STREAM.normal((2, 4, 5, 2), "code"))
    operator = PhaseRetrieval(code, 2.0)
    x, v = STREAM.normal((1, 4, 5), "x"), STREAM.normal((1, *operator.shape_out), "v")
    u, h = STREAM.normal((1, 4, 5), "u"), 1e-5
    numeric = ((operator(x + h * u) - operator(x - h * u)) * v).sum() / (2 * h)
    assert float((operator.pullback(x, v) * u).sum()) == pytest.approx(float(numeric), rel=1e-6)


@pytest.mark.parametrize("code", [(6, 8), (2, 5, 7), (3, 3)])
def test_half_a_spectrum_gives_the_same_pullback_as_the_whole(code):
    operator = PhaseRetrieval(STREAM.normal(code, "code"), 2.0, (2, *code[-2:]))
    x = STREAM.normal((3, *operator.shape_in), "x").requires_grad_()
    v = STREAM.normal((3, *operator.shape_out), "v")
    whole = torch.autograd.grad(operator.transform(x).abs(), x, v)[0]
    assert torch.allclose(operator.pullback(x.detach(), v), whole, atol=1e-13)
    assert not torch.allclose(v, v.flip(-2, -1))  # one half of v alone would not do


def test_gradient_at_zero_is_zero_and_finite():
    operator = PhaseRetrieval(coded_mask((8, 8)), 4.0)
    x = torch.zeros(1, 8, 8, dtype=F64)
    assert float(operator.pullback(x, torch.ones(1, 16, 16, dtype=F64)).abs().max()) == 0


def test_signs_never_matter_and_reflections_only_without_a_code():
    x = STREAM.normal((8, 8), "x")
    plain, coded = (PhaseRetrieval(m, 4.0) for m in (torch.ones(8, 8), coded_mask((8, 8))))
    for operator in (plain, coded):
        assert torch.equal(operator(x), operator(-x))
    assert torch.allclose(plain(x), plain(x.flip(0, 1)), atol=1e-13)
    assert not torch.allclose(coded(x), coded(x.flip(0, 1)), atol=1e-2)


def test_code_has_the_stated_probabilities():
    code = coded_mask((200, 200), seed=4)
    shares = [float((code == value).double().mean()) for value in (-1, 0, 1)]
    # four standard errors of the rarest share are 4 sqrt(7/64 / 40000) = 0.0066
    assert shares == pytest.approx([1 / 8, 6 / 8, 1 / 8], abs=0.0067)
    assert coded_mask((3, 3), looks=2).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PhaseRetrieval(torch.zeros(3, 3)), ["mask is empty"]),
        (lambda: PhaseRetrieval(torch.ones(3)), ["mask", "[H, W] or [looks, H, W]"]),
        (lambda: PhaseRetrieval(torch.full((2, 2), torch.inf)), ["mask", "infinite"]),
        (lambda: PhaseRetrieval(torch.ones(3, 3), 0.5), ["oversample is 0.5"]),
        (lambda: PhaseRetrieval(torch.ones(3, 3), 4, (3, 4)), ["mask has sides [3, 3]"]),
        (lambda: PhaseRetrieval(torch.ones(3, 3))(torch.ones(2, 3)), ["[2, 3]", "[3, 3]"]),
        (lambda: coded_mask((3, 3), looks=0), ["looks is 0"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
