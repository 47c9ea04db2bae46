"""Time a step of a sampler takes outside the denoiser, beside diffusers and k-diffusion.

    python -m benchmarks overhead_samplers

One signal of 64 numbers, one thread, median of 15 runs of 50 steps (the fastest in brackets).
Every denoiser call is timed by the denoiser itself and taken off. Ours is the whole of
``wp.sample``: checks, tables, noise, and a block of 64 chains, since draws come in fixed blocks;
peers get one signal, and only their loops are timed, not the setting up of their schedules.
CPU time is printed beside wall time: on a busy machine only the former means anything.

diffusers is in requirements.txt. k-diffusion pins an old numpy, so it is left to the reader:
pip install --no-deps k-diffusion==0.1.1.post1 torchsde torchdiffeq trampoline tqdm
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import sys
import time
import types
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from wellposed.priors.diffusion import DiffusionPrior

STEPS, LOOPS, NUMBERS = 50, 15, 64
Clock = Callable[[], float]
Run = Callable[["Stopwatch"], None]


class Stopwatch(DiffusionPrior):
    """A cheap denoiser that adds up the time spent in it."""

    shape, sigma_data = (NUMBERS,), 1.0
    dtype = torch.float32

    def __init__(self, clock: Clock) -> None:
        self.clock, self.spent = clock, 0.0

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return half of z, and count the time."""
        start = self.clock()
        x0 = z * 0.5
        self.spent += self.clock() - start
        return x0


def microseconds(run: Run, clock: Clock) -> tuple[float, float]:
    """Return the median and the smallest time of a step outside the denoiser."""
    times = []
    for _ in range(LOOPS + 1):
        watch = Stopwatch(clock)
        start = clock()
        run(watch)
        times.append(1e6 * (clock() - start - watch.spent) / STEPS)
    return statistics.median(times[1:]), min(times[1:])


def ours(method: Any) -> Run:
    def run(watch: Stopwatch) -> None:
        wp.sample(watch, method, n=1)

    return run


def diffusers(name: str) -> Run | None:
    if importlib.util.find_spec("diffusers") is None:
        return None
    scheduler = getattr(importlib.import_module("diffusers"), name)()
    x = torch.randn(1, NUMBERS)

    def run(watch: Stopwatch) -> None:
        start = watch.clock()
        scheduler.set_timesteps(STEPS)
        watch.spent += watch.clock() - start  # setting up is not counted
        z = x
        for t in scheduler.timesteps:
            z = scheduler.step(watch.denoise(z, 1.0), t, z).prev_sample

    return run


@cache
def k_sampling() -> Any:
    """Load k-diffusion's samplers without the image packages that its other modules import."""
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        return None
    package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
    package.__path__ = list(spec.submodule_search_locations or [])
    vars(utils)["append_dims"] = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    vars(package)["utils"] = utils
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": utils}
    return importlib.import_module("k_diffusion.sampling")


def k_diffusion(name: str) -> Run | None:
    sampling = k_sampling()
    if sampling is None:
        return None
    sigmas = sampling.get_sigmas_exponential(STEPS, 0.02, 80.0)
    x = 80 * torch.randn(1, NUMBERS)
    sampler = getattr(sampling, name)

    def run(watch: Stopwatch) -> None:
        sampler(lambda z, sigma: watch.denoise(z, sigma), x, sigmas, disable=True)

    return run


def rows() -> dict[str, Run | None]:
    methods = (
        wp.DDIM(STEPS), wp.DPMSolverPP2M(STEPS), wp.Heun(STEPS), wp.AcceleratedODEReuse(STEPS),
        wp.AcceleratedODEExact(STEPS), wp.DDPM(STEPS),
    )  # fmt: skip
    return {
        **{f"wellposed {type(m).__name__}": ours(m) for m in methods},
        "diffusers DDIM": diffusers("DDIMScheduler"),
        "diffusers DPM-Solver++(2M)": diffusers("DPMSolverMultistepScheduler"),
        "k-diffusion Euler (= DDIM)": k_diffusion("sample_euler"),
        "k-diffusion DPM-Solver++(2M)": k_diffusion("sample_dpmpp_2m"),
    }


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    table: dict[str, Any] = {}
    print(f"microseconds a step outside the denoiser, load {load:.1f} at the start")
    print(f"{'':34}{'CPU time':>18}{'wall time':>18}")
    for name, run in rows().items():
        if run is None:
            print(f"{name:34}{'not installed':>18}")
            continue
        cpu, wall = microseconds(run, time.process_time), microseconds(run, time.perf_counter)
        table[name] = {"cpu": cpu, "wall": wall}
        print(f"{name:34}{cpu[0]:9.1f} ({cpu[1]:6.1f}){wall[0]:9.1f} ({wall[1]:6.1f})")
    ends = {"load_at_start": load, "load_at_end": os.getloadavg()[0]}
    save("overhead_samplers", {"microseconds": table, "steps": STEPS, "loops": LOOPS} | ends)
