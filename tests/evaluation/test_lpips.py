"""LPIPS: the forward pass against scipy's correlations, and the real weights where they are."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import correlate
from skimage import data

from wellposed.errors import FileError, InputError
from wellposed.evaluation import lpips
from wellposed.evaluation.lpips import LPIPS, available
from wellposed.rng import Stream

SIZES = {
    "alex": [(3, 8, 11), (8, 6, 5), (6, 5, 3), (5, 4, 3), (4, 4, 3)],
    "vgg": [(3, 4, 3), (4, 4, 3), (4, 5, 3), (5, 5, 3), *[(5, 5, 3)] * 9],
}
PLANS = {  # stride and padding of each convolution, pools before it, and which hand features out
    "alex": [(4, 2, 0, 1), (1, 2, 3, 1), (1, 1, 3, 1), (1, 1, 0, 1), (1, 1, 0, 1)],
    "vgg": [(1, 1, pool, tap) for pool, tap in zip(
        (0, 0, 2, 0, 2, 0, 0, 2, 0, 0, 2, 0, 0), (0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1),
        strict=True)],
}  # fmt: skip


def toy(net):
    """Random weights of a small net of the same form."""
    stream, weights, tap = Stream(3), {}, 0
    for k, (into, out, size) in enumerate(SIZES[net]):
        kernel = stream.normal((out, into, size, size), f"kernel {k}") / (size * into**0.5)
        weights[f"features/{k}/kernel"] = kernel.float().numpy()
        weights[f"features/{k}/bias"] = stream.normal((out,), f"bias {k}").float().numpy()
        if PLANS[net][k][3]:
            weights[f"heads/{tap}"] = stream.uniform((out,), f"head {k}").float().numpy()
            tap += 1
    return weights


def by_hand(net, weights, x):
    """The features, one output channel at a time, in float64."""
    x, taps = (x - np.reshape([-0.030, -0.088, -0.188], (3, 1, 1))), []
    x = x / np.reshape([0.458, 0.448, 0.450], (3, 1, 1))
    for k, (stride, padding, pool, tap) in enumerate(PLANS[net]):
        if pool:
            windows = np.lib.stride_tricks.sliding_window_view(x, (pool, pool), (1, 2))
            x = windows[:, ::2, ::2].max((3, 4))
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
        kernel, bias = weights[f"features/{k}/kernel"], weights[f"features/{k}/bias"]
        x = np.stack([correlate(x, w.astype(float), "valid")[0] for w in kernel])
        x = np.maximum(x[:, ::stride, ::stride] + bias[:, None, None], 0)
        if tap:
            taps.append(x)
    return taps


def distance_by_hand(net, weights, x, y):
    total = 0.0
    for k, (a, b) in enumerate(
        zip(by_hand(net, weights, x), by_hand(net, weights, y), strict=True)
    ):
        a, b = (f / np.sqrt((f**2).sum(0) + 1e-10) for f in (a, b))
        total += (weights[f"heads/{k}"][:, None, None] * (a - b) ** 2).sum(0).mean()
    return total


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_metric_is_its_formula(net, monkeypatch):
    weights = toy(net)
    monkeypatch.setattr(lpips, "lpips_weights", lambda _: weights)
    x, y = (2 * Stream(1).uniform((3, 65, 67), name) - 1 for name in ("x", "y"))
    want = distance_by_hand(net, weights, x.numpy(), y.numpy())
    metric = LPIPS(net)
    assert float(metric(x, y)) == pytest.approx(want, rel=1e-4)
    assert float(metric(x, x)) == 0.0
    both = metric(torch.stack([x, y]), torch.stack([y, y]))
    assert both.tolist() == pytest.approx([want, 0.0], rel=1e-4)
    wrong = dict(weights) | {"heads/0": weights["heads/0"][::-1].copy()}
    assert abs(distance_by_hand(net, wrong, x.numpy(), y.numpy()) / want - 1) > 1e-3


def test_small_images_need_to_be_enlarged_and_grey_ones_are_repeated(monkeypatch):
    monkeypatch.setattr(lpips, "lpips_weights", lambda _: toy("alex"))
    x, y = (2 * Stream(1).uniform((1, 32, 32), name) - 1 for name in ("x", "y"))
    with pytest.raises(InputError, match="at least 63"):
        LPIPS("alex")(x, y)
    large = [z.repeat(3, 1, 1).repeat_interleave(2, 1).repeat_interleave(2, 2) for z in (x, y)]
    assert float(LPIPS("alex", 2)(x, y)) == pytest.approx(float(LPIPS("alex")(*large)), rel=1e-6)


def test_absent_weights_break_nothing_but_the_metric(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path))
    assert not available()
    with pytest.raises(FileError, match="not in the cache"):
        LPIPS("vgg")


@pytest.mark.skipif(not available(), reason="the weights are not in the cache: fetch_lpips()")
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_real_metric_gives_the_figures_of_another_implementation(net):
    x = data.astronaut()[:256, 100:356].astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
    blurred = gaussian_filter(x, (0, 2, 2))
    noise = np.random.default_rng(0).normal(size=x.shape) * np.sqrt(((blurred - x) ** 2).mean())
    metric = LPIPS(net)
    assert float(metric(blurred, x)) == pytest.approx(
        {"alex": 0.3608, "vgg": 0.3628}[net], abs=4e-4
    )
    assert float(metric(x + noise, x)) == pytest.approx(
        {"alex": 0.235, "vgg": 0.338}[net], abs=0.01
    )
