"""Processes: clocks, their inverses, frames, rates."""

import math

import pytest
import torch

from wellposed.errors import InputError
from wellposed.schedules import (
    EDM,
    OU,
    VE,
    VP,
    Cosine,
    RectifiedFlow,
    TimeChanged,
    linear_chain,
)


def _cubic_root(tau):
    """Solve t + t^3 = tau."""
    h = torch.asinh(1.5 * math.sqrt(3) * tau) / 3
    return 2 / math.sqrt(3) * torch.sinh(h)


CLOCK = TimeChanged(lambda t: t + t**3, _cubic_root)
PROCESSES = [OU(), CLOCK, VP(), Cosine(), VE(), EDM(), RectifiedFlow(), linear_chain().process]


def _times(process):
    if process is PROCESSES[-1]:
        return torch.linspace(1, 1000, 301, dtype=torch.float64)
    last = 3.0 if process.last == math.inf else process.last
    return torch.linspace(1e-3, 0.999 * last, 301, dtype=torch.float64)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_inverse_clock_round_trip(process):
    t = _times(process)
    sigma = process.sigma(t)
    assert bool((sigma.diff() > 0).all())
    assert float((process.time(sigma) / t - 1).abs().max()) <= 1e-12
    assert float((process.sigma(process.time(sigma)) / sigma - 1).abs().max()) <= 1e-12


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_frame_is_consistent(process):
    t = _times(process)
    a, b, sigma = process.a(t), process.b(t), process.sigma(t)
    assert float((b / a / sigma - 1).abs().max()) <= 1e-12
    assert float((process.scale(sigma) / a - 1).abs().max()) <= 1e-12


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_rates_are_central_differences(process):
    t = _times(process)[10:-10:7] + 0.123 * (process is PROCESSES[-1])
    level, h = process.level(t), 1e-5
    da = (process.a(t + h) - process.a(t - h)) / (2 * h)
    db = (process.b(t + h) - process.b(t - h)) / (2 * h)
    assert torch.allclose(level.da, da, rtol=1e-6, atol=1e-9)
    assert torch.allclose(level.db, db, rtol=1e-6, atol=1e-9)
    assert torch.equal(level.a, process.a(t))


def test_closed_forms():
    t = 0.37
    assert OU().a(t) == pytest.approx(math.exp(-t), rel=1e-14)
    assert OU().b(t) == pytest.approx(math.sqrt(1 - math.exp(-2 * t)), rel=1e-14)
    assert VP().a(t) == pytest.approx(math.exp(-(t**2) * 19.9 / 4 - 0.05 * t), rel=1e-14)
    angle = (t + 0.008) / 1.008 * math.pi / 2
    assert Cosine().a(t) == pytest.approx(
        math.cos(angle) / math.cos(0.008 / 1.008 * math.pi / 2), rel=1e-13
    )
    assert VE().sigma(t) == pytest.approx(0.01 * 1e4**t, rel=1e-14)
    assert (RectifiedFlow().a(t), RectifiedFlow().b(t)) == (1 - t, t)
    assert (EDM().a(t), EDM().b(t)) == (1.0, t)


def test_time_changed_ou_has_the_same_law_at_the_same_clock():
    t = torch.linspace(0.1, 1, 10, dtype=torch.float64)
    tau = t + t**3
    assert torch.allclose(CLOCK.a(t), OU().a(tau), rtol=1e-14)
    assert torch.allclose(CLOCK.b(t), OU().b(tau), rtol=1e-14)
    assert not torch.allclose(CLOCK.a(t), OU().a(t), rtol=1e-3)


def test_vp_solves_its_own_equation():
    """da/dt = -beta(t) a / 2 with beta linear; the rate of OU is another one."""
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    level, beta = VP().level(t), 0.1 + 19.9 * t
    assert torch.allclose(level.da, -0.5 * beta * level.a, rtol=1e-12)
    assert not torch.allclose(OU().level(t).da, -0.5 * beta * OU().a(t), rtol=1e-2)


def test_chain_in_continuous_time_meets_its_nodes():
    chain = linear_chain(50)
    index = torch.arange(1, 51, dtype=torch.float64)
    want = torch.tensor(chain.sigma[1:-1], dtype=torch.float64)
    assert torch.allclose(chain.process.sigma(index), want, rtol=1e-13)
    assert torch.allclose(chain.process.time(want), index, rtol=1e-13)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: OU().sigma(-1.0),
        lambda: OU().sigma(float("nan")),
        lambda: VP().a(1.5),
        lambda: RectifiedFlow().b(torch.tensor([0.5, 1.1])),
        lambda: OU().time(-0.1),
        lambda: VP(beta_min=0.0),
        lambda: VP(beta_min=2.0, beta_max=1.0),
        lambda: VE(1.0, 0.5),
        lambda: Cosine(0.0),
        lambda: TimeChanged(lambda t: t, lambda tau: 2 * tau),
        lambda: TimeChanged(lambda t: -t, lambda tau: -tau),
        lambda: linear_chain().process.time(0.001),
        lambda: linear_chain().process.sigma(1001.0),
    ],
)
def test_bad_arguments(bad):
    with pytest.raises(InputError, match=r"expected|differs"):
        bad()
