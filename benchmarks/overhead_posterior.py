"""Time a posterior sampler takes outside the denoiser, beside deepinv's DPS and DiffPIR.

    python -m benchmarks overhead_posterior

One grey image of 64 x 64, half of its pixels masked, one draw, one thread, a denoiser that halves
its input. Every denoiser call is timed by the denoiser itself and taken off; the rest of the call
(checks, tables, noise, likelihood, for guidance the backward pass) is divided by the number of
calls. Median of 5 runs of about 200 calls (the fastest in brackets), packages in turn, CPU time.
deepinv's DPS works in float64 unless told otherwise; both are shown.

deepinv is not in requirements.txt: its torchvision may not fit torch's build. It is imported all
the same, with torchvision's compiled operators declared and left empty; none of them is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream

SIDE, CALLS, LOOPS, SIGMA = 64, 200, 5, 0.05
Run = Callable[["Watch"], None]


class Watch:
    """Halves images, and counts calls and the time spent in them."""

    def __init__(self) -> None:
        self.calls, self.spent = 0, 0.0

    def halve(self, x: Tensor) -> Tensor:
        """Return half of x."""
        start = time.process_time()
        half = x * 0.5
        self.spent += time.process_time() - start
        self.calls += 1
        return half


class Prior(DiffusionPrior):
    """The trivial denoiser as a prior."""

    shape, sigma_data, dtype = (1, SIDE, SIDE), 0.5, torch.float32

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return half of z."""
        return self.watch.halve(z)


def measured() -> tuple[Tensor, Tensor]:
    """Return a mask and a masked noisy image, [1, 64, 64]."""
    stream = Stream(0)
    mask = (stream.uniform((1, SIDE, SIDE), "mask") < 0.5).float()
    image = 0.5 * stream.normal(mask.shape, "image").float().clamp(-1, 1)
    return mask, mask * (image + SIGMA * stream.normal(mask.shape, "noise").float())


def ours(method: Any) -> Run:
    mask, image = measured()
    operator = wp.operators.Mask(mask.bool())
    problem = wp.Problem(operator(image[None])[0], operator, wp.noise.Gaussian(SIGMA))

    def run(watch: Watch) -> None:
        wp.recover(problem, Prior(watch), method, draws=1)

    return run


def load_deepinv() -> Any:
    """Import deepinv, or return None where it is not installed."""
    if importlib.util.find_spec("deepinv") is None:
        return None
    try:
        return importlib.import_module("deepinv")
    except RuntimeError:  # torchvision was built for another torch
        for name in [n for n in sys.modules if n.split(".")[0] in ("deepinv", "torchvision")]:
            del sys.modules[name]
        empty = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            empty.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_empty"] = empty  # lives as long as the process
        return importlib.import_module("deepinv")


def theirs(deepinv: Any, name: str, **fields: Any) -> Run:
    mask, image = measured()
    physics = deepinv.physics.Inpainting(
        (1, SIDE, SIDE), mask=mask, noise_model=deepinv.physics.GaussianNoise(SIGMA)
    )
    y = 0.5 * (image[None] + 1) * mask

    class Half(deepinv.models.Denoiser):  # type: ignore[misc, name-defined]
        def __init__(self, watch: Watch) -> None:
            super().__init__()
            self.watch = watch

        def forward(self, x: Tensor, sigma: Any = None, **kwargs: Any) -> Tensor:
            return self.watch.halve(x)

    def run(watch: Watch) -> None:
        if name == "DPS":
            sampler = deepinv.sampling.DPS(Half(watch), num_steps=CALLS, **fields)
        else:
            fidelity = deepinv.optim.data_fidelity.L2()
            sampler = deepinv.sampling.DiffPIR(Half(watch), fidelity, max_iter=CALLS, sigma=SIGMA)
        sampler(y, physics)

    return run


def milliseconds(runs: dict[str, Run]) -> dict[str, list[float]]:
    """Return the times outside the denoiser for each call, run by run, in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for loop in range(LOOPS + 1):
        for name, run in runs.items():
            watch, start = Watch(), time.process_time()
            run(watch)
            spent = time.process_time() - start - watch.spent
            if loop:
                times[name].append(1000 * spent / watch.calls)
    return times


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    runs = {
        "wellposed DPnP": ours(wp.DPnP(CALLS // 10)),
        "wellposed DPnP, heat flow": ours(wp.DPnP(CALLS // 20, denoiser="ddpm", tail=5)),
        "wellposed DPS": ours(wp.DPS(CALLS)),
    }
    deepinv = load_deepinv()
    if deepinv is None:
        print("deepinv is not installed")
    else:
        runs |= {
            "deepinv DPS": theirs(deepinv, "DPS"),
            "deepinv DPS, float32": theirs(deepinv, "DPS", dtype=torch.float32),
            "deepinv DiffPIR": theirs(deepinv, "DiffPIR"),
        }
    times = milliseconds(runs)
    print("CPU milliseconds a denoiser evaluation, outside the denoiser")
    for name, values in times.items():
        print(f"{name:28}{statistics.median(values):9.3f} ({min(values):.3f})")
    save("overhead_posterior", {"milliseconds": times, "side": SIDE})
