"""The talks' tables in kind: posterior samplers on held-out pictures, each tuned on other ones.

Tasks      super-resolution (4 times for colour, 2 times for 32 x 32 grey), phase retrieval with a
           code of -1, 0, +1, and one bit a pixel; noise as in the talks: 0.2 on the scale from
           -1 to 1 (phase and super-resolution), dither 0.4 (bits).
Methods    DPnP with either denoising sampler, DPS, LGD-MC: five settings each, chosen by mean
           LPIPS on the tuning pictures; then one draw of each test picture.
Fairness   every method has the same denoiser evaluations a draw (a step of DPS and LGD-MC also
           needs a derivative of the denoiser, which takes longer: see the seconds), the same
           measurements, the same number of settings, no warm start. Signs that phase retrieval
           cannot see are resolved before scoring, for all alike.
LPIPS      of grey 32 x 32 pictures: three equal channels, enlarged twice.

    python -m benchmarks restorations --prior fashion --images 16 --tune 8 --budget 160
    python -m benchmarks restorations --quick
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from wellposed.datasets import load
from wellposed.errors import FileError
from wellposed.evaluation.images import align, psnr, ssim
from wellposed.evaluation.lpips import LPIPS, available
from wellposed.jobs.measuring import code
from wellposed.priors.load import load_prior
from wellposed.rng import Stream

Make = Callable[[int], Any]  # a method with so many denoiser evaluations
SHAPES = {"photo": (3, 64, 64), "fashion": (1, 32, 32)}
COVERED = 0.9  # level of the intervals whose coverage is reported


@dataclass(frozen=True)
class Work:
    """A forward model and its noise."""

    name: str
    operator: Any
    noise: Any
    signs: bool = False  # whether x and -x look alike


def tasks(shape: tuple[int, int, int]) -> list[Work]:
    """Return the three tasks for pictures of a shape."""
    factor = 4 if shape[0] == 3 else 2
    phase = wp.operators.PhaseRetrieval(code(shape, seed=0), 4.0, shape)
    return [
        Work(f"super-resolution {factor}x", wp.operators.Downsample(factor, shape),
             wp.noise.Gaussian(0.2)),
        Work("phase retrieval", phase, wp.noise.Gaussian(0.2), signs=True),
        Work("one bit", wp.operators.Identity(shape), wp.noise.OneBit(0.4)),
    ]  # fmt: skip


def sweeps(denoiser: str, inner: int, end: float | None) -> Make:
    """DPnP with so many denoiser evaluations a sweep and this last coupling."""

    def make(budget: int) -> Any:
        steps = max(4, budget // inner)
        return wp.DPnP(
            steps=steps, denoiser=denoiser, denoiser_steps=inner, eta_min=end,  # type: ignore[arg-type]
            tail=min(4, steps // 4),
        )  # fmt: skip

    return make


def settings() -> dict[str, list[Make]]:
    """Return five settings for each method."""
    ours = [(1, None), (2, None), (4, None), (2, 0.05), (2, 0.16)]
    return {
        "DPnP-DDIM": [sweeps("ddim", n, end) for n, end in ours],
        "DPnP-DDPM": [sweeps("ddpm", n, end) for n, end in ours],
        "DPS": [guided("DPS", zeta=s) for s in (0.1, 0.3, 1.0, 3.0, 10.0)],
        "LGD-MC": [guided("LGDMC", scale=s) for s in (0.03, 0.1, 0.3, 1.0, 3.0)],
    }


def guided(name: str, **strength: float) -> Make:
    """A guided sampler of so much strength."""

    def make(budget: int) -> Any:
        return getattr(wp, name)(steps=budget, **strength)

    return make


def pictures(prior: str, tune: int, test: int) -> tuple[Tensor, Tensor]:
    """Return pictures that the prior has not seen, [tune, C, H, W] and [test, C, H, W]."""
    if prior == "fashion":
        grey = torch.from_numpy(load("fashion-mnist").test[: tune + test].astype(np.float32))
        both = torch.nn.functional.pad(grey[:, None] / 127.5 - 1, (2, 2, 2, 2), value=-1.0)
        return both[:tune], both[tune:]
    from skimage import data

    groups = ((data.coffee(), data.rocket()), (data.astronaut(), data.chelsea()))
    tiles = [torch.cat([tiled(photo) for photo in group]) for group in groups]
    return tiles[0][spread(len(tiles[0]), tune)], tiles[1][spread(len(tiles[1]), test)]


def tiled(photo: Any) -> Tensor:
    """Cut a photograph, reduced twice, into squares of 64 pixels that are not flat."""
    x = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1
    x = torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True)[0]
    x = x[:, : x.shape[1] // 64 * 64, : x.shape[2] // 64 * 64].clamp(-1, 1)
    cut = x.unfold(1, 64, 64).unfold(2, 64, 64).permute(1, 2, 0, 3, 4).reshape(-1, 3, 64, 64)
    return cut[cut.flatten(1).std(1) > 0.15]


def spread(available_: int, wanted: int) -> list[int]:
    """Return evenly spaced places."""
    return np.linspace(0, available_ - 1, min(wanted, available_)).round().astype(int).tolist()


@dataclass(frozen=True)
class Bench:
    """What is common to all methods on one task."""

    work: Work
    prior: Any
    metric: LPIPS | None
    budget: int
    draws: int = 1

    def run(self, make: Make, images: Tensor, first: int) -> dict[str, list[float]]:
        """Recover each picture; return scores, one list a score."""
        scores: dict[str, list[float]] = {}
        for k, x in enumerate(images):
            mean = self.work.operator.forward(x[None])[0]
            y = self.work.noise.simulate(mean, Stream(0, item=first + k))
            problem = wp.Problem(y, self.work.operator, self.work.noise)
            start = time.perf_counter()
            found = wp.recover(problem, self.prior, make(self.budget), draws=self.draws, seed=k)
            took = (time.perf_counter() - start) / self.draws
            for name, value in self.scores(found.draws, x).items():
                scores.setdefault(name, []).append(value)
            scores.setdefault("seconds", []).append(took)
        return scores

    def scores(self, draws: Tensor, x: Tensor) -> dict[str, float]:
        """Score the first draw; with several, the share of the truth that they hold."""
        if len(draws) == 0 or not bool(torch.isfinite(draws).all()):
            draws = torch.zeros_like(x)[None]  # diverged: as good as grey
        draws = align(draws, x.expand_as(draws), by_channel=True) if self.work.signs else draws
        one = draws[0].clamp(-1, 1)
        found = {"psnr": float(psnr(one, x)), "ssim": float(ssim(one, x))}
        if self.metric is not None:
            found["lpips"] = float(self.metric(one, x))
        if len(draws) > 1:
            edges = draws.quantile(torch.tensor([0.5 - COVERED / 2, 0.5 + COVERED / 2]), dim=0)
            found["covered"] = float(((x >= edges[0]) & (x <= edges[1])).double().mean())
        return found


def tuned(bench: Bench, makes: list[Make], images: Tensor) -> int:
    """Return the setting with the least LPIPS (or the largest PSNR where there is none)."""
    found = [bench.run(make, images, first=1000) for make in makes]
    key = "lpips" if bench.metric is not None else "psnr"
    means = [np.mean(f[key]) * (1 if key == "lpips" else -1) for f in found]
    return int(np.argmin(means))


def compare(bench: Bench, tune: Tensor, test: Tensor, wanted: list[str]) -> dict[str, Any]:
    """Tune and test every method on one task."""
    rows = {}
    for name, makes in settings().items():
        if name not in wanted:
            continue
        best = tuned(bench, makes, tune)
        rows[name] = {"setting": best, **bench.run(makes[best], test, first=0)}
        print(f"  {bench.work.name}: {name} done", flush=True)
    return rows


def shown(task: str, rows: dict[str, Any]) -> Table:
    """Return a table of means and standard errors."""
    table = Table(title=task, title_justify="left")
    keys = ["lpips", "psnr", "ssim", "covered", "seconds"]
    keys = [key for key in keys if any(key in row for row in rows.values())]
    for head in ("method", "setting", *keys):
        table.add_column(head, justify="left" if head == "method" else "right")
    for name, row in rows.items():
        told = []
        for key in keys:
            values = np.array(row[key])
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
            told.append(f"{values.mean():.3f} ± {error:.3f}")
        table.add_row(name, str(row["setting"]), *told)
    return table


def main(argv: list[str]) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(prog="restorations", description=__doc__)
    parser.add_argument("--prior", choices=list(SHAPES), default="fashion")
    parser.add_argument("--images", type=int, default=16, help="test pictures")
    parser.add_argument("--tune", type=int, default=8, help="tuning pictures")
    parser.add_argument("--budget", type=int, default=160, help="denoiser evaluations a draw")
    parser.add_argument("--draws", type=int, default=1, help="draws a picture; coverage from 2 on")
    parser.add_argument("--tasks", nargs="*", type=int, default=[0, 1, 2], help="0, 1, 2 of them")
    parser.add_argument("--methods", nargs="*", default=list(settings()))
    parser.add_argument("--net", choices=("alex", "vgg"), default="alex")
    parser.add_argument("--quick", action="store_true", help="2 to tune, 4 to test, 60 evaluations")
    asked = parser.parse_args(argv)
    if asked.quick:
        asked.images, asked.tune, asked.budget = 4, 2, 60
    torch.set_num_threads(1)
    shape = SHAPES[asked.prior]
    prior: Any = load_prior(asked.prior, shape=shape)
    try:
        metric = LPIPS(asked.net, 2 if shape[1] < 64 else 1)
    except FileError as error:
        print(f"LPIPS is not available, methods are tuned by PSNR: {error.remedy}")
        metric = None
    tune, test = pictures(asked.prior, asked.tune, asked.images)
    found = {}
    for work in (tasks(shape)[number] for number in asked.tasks):
        bench = Bench(work, prior, metric, asked.budget, asked.draws)
        found[work.name] = compare(bench, tune, test, asked.methods)
        Console(width=120).print(shown(work.name, found[work.name]))
    about = vars(asked) | {"lpips": available(), "test": len(test), "tuning": len(tune)}
    print(save(f"restorations-{asked.prior}", {"about": about, "tasks": found}))
