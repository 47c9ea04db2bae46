"""Chain diagnostics against arviz, and against chains whose efficiency is known."""

import math

import numpy as np
import pytest
import torch
from arviz_stats.base import array_stats

from wellposed.diagnostics import ess, mcse, r_hat
from wellposed.errors import InputError
from wellposed.rng import Stream

ORACLES = {
    "r_hat": (r_hat, array_stats.rhat, {}),
    "mean": (ess, array_stats.ess, {"method": "mean"}),
    "bulk": (lambda x: ess(x, "bulk"), array_stats.ess, {"method": "bulk"}),
    "tail": (lambda x: ess(x, "tail"), array_stats.ess, {"method": "tail", "prob": (0.05, 0.95)}),
    "mcse": (mcse, array_stats.mcse, {"method": "mean"}),
}


def chains(chain_count, draws, kind, width=5):
    white = Stream(7).normal((chain_count, draws, width), f"{kind} {chain_count} {draws}")
    if kind == "walk":
        return white.cumsum(1)
    if kind == "anti-correlated":
        return (-1.0) ** torch.arange(draws)[:, None] + 0.5 * white
    if kind == "slow":
        kernel = 0.9 ** torch.arange(draws, dtype=torch.float64)
        pads = torch.stack([torch.cat([kernel[:k].flip(0), kernel[k:] * 0])
                            for k in range(1, draws + 1)])  # fmt: skip
        return torch.einsum("tk,mkw->mtw", pads, white)
    return white


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("kind", ["white", "walk", "slow", "anti-correlated"])
@pytest.mark.parametrize("size", [(2, 7), (3, 64), (4, 333)])
def test_agrees_with_arviz(name, kind, size):
    ours, theirs, options = ORACLES[name]
    x = chains(*size, kind)
    want = [float(theirs(x[..., j].numpy(), chain_axis=0, draw_axis=1, **options))
            for j in range(x.shape[2])]  # fmt: skip
    np.testing.assert_allclose(ours(x).numpy(), want, rtol=1e-10)


def test_the_comparison_notices_a_scale_that_is_not_split():
    x = chains(3, 64, "walk")
    n = x.shape[1]
    unsplit = ((n * x.mean(1).var(0) / x.var(1).mean(0) + n - 1) / n).sqrt()
    assert (r_hat(x) / unsplit - 1).abs().max() > 0.05


def test_two_chains_that_drift_together_are_not_called_mixed():
    drift = torch.linspace(-3, 3, 400, dtype=torch.float64)
    together = drift + Stream(0).normal((2, 400), "drift")
    assert float(r_hat(together)) > 1.5


def test_an_autoregression_is_worth_what_the_theory_says():
    a, draws = 0.8, 20_000
    white = Stream(3).normal((4, draws), "autoregression").numpy()
    x = np.empty_like(white)
    x[:, 0] = white[:, 0] / math.sqrt(1 - a**2)
    for t in range(1, draws):
        x[:, t] = a * x[:, t - 1] + white[:, t]
    share = float(ess(torch.from_numpy(x))) / x.size
    assert share == pytest.approx((1 - a) / (1 + a), rel=0.1)
    true = math.sqrt(1 / (1 - a**2) / (x.size * (1 - a) / (1 + a)))
    assert float(mcse(torch.from_numpy(x))) == pytest.approx(true, rel=0.1)


def test_chains_that_stand_still():
    still = torch.ones(3, 10, 2, dtype=torch.float64)
    still[:, :, 1] = torch.arange(3.0)[:, None]
    assert r_hat(still).tolist() == [1.0, math.inf]
    assert ess(still[..., :1]).tolist() == [30.0]
    assert mcse(still[..., :1]).tolist() == [0.0]


def test_bad_chains_are_refused():
    with pytest.raises(InputError, match=r"shape \[5, 3\]"):
        r_hat(torch.zeros(5, 3))
    with pytest.raises(InputError, match="NaN or infinite"):
        ess(torch.full((2, 8), math.nan))
    with pytest.raises(InputError, match="kind is 'median'"):
        ess(torch.zeros(2, 8), "median")
