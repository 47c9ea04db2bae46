"""Denoisers of others: wrapping functions and networks of every kind."""

import pytest
import torch
from laws import mixture, points

from wellposed.errors import InputError
from wellposed.priors import (
    Denoiser,
    DiffusionPrior,
    from_eps,
    from_flow,
    from_score,
    from_v,
    from_x0,
)
from wellposed.schedules import (
    EDM,
    OU,
    VE,
    VP,
    Cosine,
    Level,
    Pair,
    RectifiedFlow,
    linear_chain,
    merge,
)

PRIOR = mixture("dense", 3)[0]
WRAP = {"eps": from_eps, "x0": from_x0, "score": from_score, "v": from_v, "velocity": from_flow}
PROCESSES = [OU(), VP(), Cosine(), VE(), EDM(), RectifiedFlow()]


def _network(kind, process):
    """The exact network of one kind, built from the score in the process's own scale."""

    def network(x, t):
        level = Level(*(c[:, None] for c in process.level(t)))
        sigma = process.sigma(t)
        score = PRIOR.score(x / level.a, sigma) / level.a
        eps = -level.b * score
        pair = Pair((x - level.b * eps) / level.a, eps)
        return merge(kind, pair, level).to(x.dtype)

    return network


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("kind", WRAP)
def test_every_network_on_every_process_is_the_same_denoiser(kind, process):
    wrapped = WRAP[kind](_network(kind, process), process, (3,))
    z = points(3)
    for sigma in (0.05, 0.8, 20.0):
        want = PRIOR.denoise(z, sigma)
        assert torch.allclose(wrapped.denoise(z, sigma), want, rtol=1e-9, atol=1e-9)
    levels = torch.tensor([0.05, 0.8, 20.0, 1.0, 0.1, 3.0, 0.2], dtype=torch.float64)
    want = PRIOR.denoise(z, levels)
    assert torch.allclose(wrapped.denoise(z, levels), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["eps", "x0", "score", "v"])
def test_networks_on_a_chain(kind):
    chain = linear_chain(1000)
    wrapped = WRAP[kind](_network(kind, chain.process), chain, (3,))
    assert (wrapped.sigma_min, wrapped.sigma_max) == (chain.sigma[1], chain.sigma[1000])
    z = points(3)
    for sigma in (chain.sigma[1], chain.sigma[321], 1.234, chain.sigma[1000]):
        want = PRIOR.denoise(z, sigma)
        assert torch.allclose(wrapped.denoise(z, sigma), want, rtol=1e-9, atol=1e-7)
    edges = torch.tensor([wrapped.sigma_min, wrapped.sigma_max]).float()  # rounded outwards
    assert wrapped.denoise(z[:2].float(), edges).dtype == torch.float32
    with pytest.raises(InputError, match="does not cover"):
        wrapped.denoise(z, 1e-3)


def test_the_wrong_wrapper_is_seen():
    """Negative control: an eps-network taken for a v-network is another denoiser."""
    z, process = points(3), VP()
    wrong = from_v(_network("eps", process), process, (3,)).denoise(z, 0.8)
    assert not torch.allclose(wrong, PRIOR.denoise(z, 0.8), atol=1e-2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_default_score_and_jacobian():
    wrapped = Denoiser(lambda z, sigma: PRIOR.denoise(z, sigma), (3,), sigma_data=2.0)
    z, v = points(3), points(3, seed=9)
    assert isinstance(wrapped, DiffusionPrior)
    levels = torch.linspace(0.3, 2.0, 7, dtype=torch.float64)
    for sigma in (0.7, levels):
        assert torch.allclose(wrapped.score(z, sigma), PRIOR.score(z, sigma), rtol=1e-10)
        jvp = wrapped.denoise_jvp(z, sigma, v)
        assert torch.allclose(jvp, PRIOR.denoise_jvp(z, sigma, v), rtol=1e-10)


def test_gradients_flow_through_the_denoiser():
    z = points(3).requires_grad_()
    wrapped = from_eps(_network("eps", OU()), OU(), (3,))
    (have,) = torch.autograd.grad(wrapped.denoise(z, 0.7).sum(), z)
    want = PRIOR.denoise_jvp(z.detach(), 0.7, torch.ones_like(z))  # the Jacobian is symmetric
    assert torch.allclose(have, want, rtol=1e-9)


def test_the_function_receives_what_it_is_promised():
    seen = []

    def function(z, sigma):
        seen.append((z.shape, z.dtype, sigma.shape, sigma.dtype))
        return z

    prior = Denoiser(function, (2, 3))
    z = torch.zeros(5, 2, 3)
    for sigma in (0.5, torch.tensor(0.5, dtype=torch.float64), torch.full((5,), 0.5)):
        prior.denoise(z, sigma)
    assert set(seen) == {((5, 2, 3), torch.float32, (5,), torch.float32)}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: Denoiser("net", (2,)), "expected a function"),
        (lambda: Denoiser(lambda z, s: z, 2), "expected a tuple"),
        (lambda: Denoiser(lambda z, s: z, (0,)), r"shape\[0\]"),
        (lambda: Denoiser(lambda z, s: z, (2,), sigma_data=0.0), "sigma_data"),
        (lambda: Denoiser(lambda z, s: z, (2,), 1.0, 2.0, 1.0), "sigma_max"),
        (lambda: _identity().denoise(torch.zeros(2), 1.0), r"expected \[B, 2\]"),
        (lambda: _identity().denoise(torch.zeros(3, 4), 1.0), r"expected \[B, 2\]"),
        (lambda: _identity().denoise(torch.zeros(3, 2), -1.0), "sigma is -1"),
        (lambda: _identity().denoise(torch.zeros(3, 2), float("nan")), "sigma is nan"),
        (lambda: _identity().denoise(torch.zeros(3, 2), float("inf")), "sigma is inf"),
        (lambda: _identity().denoise(torch.zeros(3, 2), torch.ones(2)), r"sigma has shape \[2\]"),
        (lambda: _identity().denoise(torch.zeros(3, 2), torch.tensor([1, 1, -1.0])), "sigma is -1"),
        (lambda: _identity().denoise(torch.zeros(3, 2, dtype=torch.int64), 1.0), "real numbers"),
        (lambda: Denoiser(lambda z, s: z[0], (2,)).denoise(torch.zeros(3, 2), 1.0), "returned"),
        (lambda: from_flow(lambda x, t: x, linear_chain(), (2,)), "discrete chain"),
    ],
)
def test_bad_arguments(bad, words):
    with pytest.raises(InputError, match=words):
        bad()


def _identity():
    return Denoiser(lambda z, sigma: z, (2,))
