"""The talks' tables in kind: posterior samplers on held-out pictures, each tuned on other ones.

Tasks      super-resolution 4 times, phase retrieval with a code of -1, 0, +1, and one bit a number;
           noise as in the talks: 0.2 on the scale from -1 to 1 (phase and super-resolution),
           dither 0.4 (bits).
Pictures   fashion: its test pictures, 32 x 32, tuned on the very first, tested from --first on.
           photo: tiles of 64 x 64 of seven photographs of scikit-image and scikit-learn. None is
           in the training data; those that methods are tuned on are others than those that they
           are tested on.
Methods    DPnP with either denoising sampler, DPS, LGD-MC: five settings each, chosen by mean
           LPIPS of all draws of the tuning pictures; then one draw of each test picture is scored.
           DPnP's settings include a temperature of the likelihood, a strength of the data as the
           others' zeta and scale are, whether a search comes first, and whether a mean is read out
           in the end, as both others do. All were found on pictures that are neither.
Fairness   an evaluation of DPnP is one pass through the network, a step of DPS or LGD-MC is two
           (there and back). DPnP makes 1.6 times as many passes as they (1.2 times where the
           operator is not linear, for Langevin moves cost time too) and takes up to about twice
           the time. The same measurements, the same number of settings, no warm start: DPnP's
           search begins with noise and is counted in its passes.
           Signs that phase retrieval cannot see, one of each channel, are resolved before
           scoring, for all alike. The network computes in bfloat16.
LPIPS      AlexNet; of grey 32 x 32 pictures: three equal channels, enlarged twice.
Coverage   share of the numbers of a picture between the least and the largest of L draws; exact
           draws hold (L - 1) / (L + 1).
Seconds    of the processor, for a draw, where all pictures are recovered at once.

    python -m benchmarks restorations --prior fashion
    python -m benchmarks restorations --quick

Finished rows are kept: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import wellposed as wp
from benchmarks.common import RESULTS, save
from benchmarks.photographs import NAMES, photograph, tiles
from benchmarks.together import Together, draw, measure
from wellposed.datasets import load
from wellposed.errors import FileError
from wellposed.evaluation.images import align, psnr, ssim
from wellposed.evaluation.lpips import LPIPS
from wellposed.jobs.measuring import code
from wellposed.priors.load import load_prior

SHAPES = {"photo": (3, 64, 64), "fashion": (1, 32, 32)}
OURS = "DPnP-DDIM"
MORE = {True: 1.6, False: 1.2}  # passes of DPnP for one of the others: linear operators, and not
Scores = dict[str, list[float]]


@dataclass(frozen=True)
class Work:
    """A forward model and its noise."""

    name: str
    operator: Any
    noise: Any
    signs: bool = False  # whether x and -x look alike, channel by channel


@dataclass(frozen=True)
class Setting:
    """A method, and the temperature of the likelihood that it is given."""

    method: Any
    temperature: float = 1.0

    def on(self, seen: Together) -> Together:
        """Return the measurements with the likelihood at this temperature."""
        if self.temperature == 1:
            return seen
        return replace(seen, noise=wp.noise.Tempered(seen.noise, self.temperature))


def tasks(shape: tuple[int, int, int]) -> list[Work]:
    """Return the three tasks for pictures of a shape."""
    phase = wp.operators.PhaseRetrieval(code(shape, seed=0), 4.0, shape)
    return [
        Work("super-resolution", wp.operators.Downsample(4, shape), wp.noise.Gaussian(0.2)),
        Work("phase retrieval", phase, wp.noise.Gaussian(0.2), signs=True),
        Work("one bit", wp.operators.Identity(shape), wp.noise.OneBit(0.4)),
    ]


def several(common: dict[str, Any], *each: dict[str, Any]) -> list[dict[str, Any]]:
    """Return settings that share some fields."""
    return [common | fields for fields in each]


MEAN = {"readout": "mean"}
PHASE = [
    {"denoiser_steps": steps, "eta_max": 0.3, "temperature": temperature, "search": 0.5}
    for steps, temperature in ((4, 0.25), (8, 0.25), (4, 0.15), (6, 0.15), (8, 0.15))
]
FIELDS = {  # of DPnP, by prior and task; ``search`` is its share of the passes
    "photo": {
        "super-resolution": several(
            {"denoiser_steps": 8},
            {"eta_max": 4.0, "eta_min": 0.3},
            {"eta_max": 4.0, "eta_min": 0.3, "temperature": 0.7},
            {"eta_max": 4.0, "eta_min": 0.3, "temperature": 0.5},
            {"eta_max": 4.0, "eta_min": 0.3, "temperature": 0.5} | MEAN,
            {"eta_max": 2.0, "temperature": 0.5} | MEAN,
        ),
        "phase retrieval": PHASE,
        "one bit": [
            {"denoiser_steps": 4, "eta_max": 1.0, "eta_min": 0.3},
            {"denoiser_steps": 6, "eta_max": 1.0, "eta_min": 0.4},
            {"denoiser_steps": 4, "eta_max": 1.0, "eta_min": 0.5} | MEAN,
            {"denoiser_steps": 8, "eta_max": 1.0, "eta_min": 0.5} | MEAN,
            {"denoiser_steps": 4, "eta_max": 2.0, "eta_min": 0.4} | MEAN,
        ],
    },
    "fashion": {
        "super-resolution": several(
            {"eta_min": 0.3, "search": 0.5},
            {"denoiser_steps": 8, "eta_max": 0.5, "temperature": 0.35},
            {"denoiser_steps": 12, "eta_max": 0.5, "temperature": 0.35},
            {"denoiser_steps": 16, "eta_max": 0.5, "temperature": 0.35},
            {"denoiser_steps": 12, "eta_max": 0.7, "temperature": 0.35},
            {"denoiser_steps": 12, "eta_max": 0.7, "temperature": 0.25},
        ),
        "phase retrieval": PHASE,
        "one bit": [
            {"denoiser_steps": 8, "eta_max": 0.7, "eta_min": 0.4},
            {"denoiser_steps": 8, "eta_max": 1.0, "eta_min": 0.4},
            {"denoiser_steps": 8, "eta_max": 2.0, "eta_min": 0.4},
            {"denoiser_steps": 12, "eta_max": 1.0, "eta_min": 0.3},
            {"denoiser_steps": 16, "eta_max": 1.0, "eta_min": 0.4},
        ],
    },
}


def settings(prior: str, work: Work, passes: int) -> dict[str, list[Setting]]:
    """Return five settings for each method; DPS and LGD-MC pass so often through the network."""
    steps, linear = passes // 2, work.operator.linear
    more = round(MORE[linear] * passes)
    longer = 100 / steps  # fewer steps along a norm have to be longer
    ours = FIELDS[prior][work.name]
    zetas = [z * (1 if linear else 4) for z in (0.6, 1.2, 2.4, 4.8, 9.6)]
    likely = [{"scale": s} for s in (0.6, 1.0, 1.7)]
    normed = [{"scale": s * longer, "weight": "norm", "temperature": 1e-3} for s in (1.5, 3.0)]
    return {
        OURS: [sweeps("ddim", more, **fields) for fields in ours],
        "DPnP-DDPM": [sweeps("ddpm", more, **fields) for fields in ours],
        "DPS": [Setting(wp.DPS(steps=steps, zeta=z * longer)) for z in zetas],
        "LGD-MC": [Setting(wp.LGDMC(steps=steps, **fields)) for fields in (*likely, *normed)],
    }


def sweeps(
    denoiser: Any, passes: int, *, denoiser_steps: int, search: float = 0.0,
    temperature: float = 1.0, **fields: Any,
) -> Setting:  # fmt: skip
    """DPnP with so many evaluations in all, and twenty Langevin moves where it needs any.

    The heat flow's sweeps are half as many and twice as long, as they are by default.
    """
    inner = denoiser_steps * (2 if denoiser == "ddpm" else 1)
    levels = round(search * passes)
    steps = max(2, (passes - levels) // inner)
    method = wp.DPnP(
        steps=steps, denoiser=denoiser, denoiser_steps=inner, tail=min(4, steps // 4),
        moves=20, search=levels, **fields,
    )  # fmt: skip
    return Setting(method, temperature)


def pictures(prior: str, tune: int, test: int, first: int) -> tuple[Tensor, Tensor]:
    """Return pictures that the prior has not seen, [tune, C, H, W] and [test, C, H, W]."""
    if prior == "fashion":
        every = load("fashion-mnist").test.astype(np.float32) / 127.5 - 1
        parts = (every[:tune], every[first : first + test])
        kept = [torch.from_numpy(part)[:, None] for part in parts]
        tuned, tested = (nn.functional.pad(k, (2, 2, 2, 2), value=-1.0) for k in kept)
        return tuned, tested
    cut = [tiles(photograph(name)) for name in NAMES]
    pools = (torch.cat([t[odd::2] for t in cut]) for odd in (1, 0))
    return tuple(pool[spread(len(pool), n)] for pool, n in zip(pools, (tune, test), strict=True))


def spread(available: int, wanted: int) -> list[int]:
    """Return evenly spaced places."""
    return np.linspace(0, available - 1, min(wanted, available)).round().astype(int).tolist()


@dataclass(frozen=True)
class Rows:
    """Scores that outlive an interruption, by task, part and method."""

    path: Path
    about: dict[str, Any]
    kept: dict[str, Scores]

    @classmethod
    def at(cls, path: Path, about: dict[str, Any]) -> Rows:
        """Open a file of scores; those of other pictures are dropped."""
        found = json.loads(path.read_text()) if path.exists() else {}
        return cls(path, about, found["rows"] if found.get("about") == about else {})

    def get(self, key: str, make: Callable[[], Scores]) -> Scores:
        """Return a row; a new one is made, kept and told."""
        if key not in self.kept:
            self.kept[key] = make()
            self.path.parent.mkdir(exist_ok=True)
            self.path.write_text(json.dumps({"about": self.about, "rows": self.kept}, indent=1))
            means = ", ".join(f"{name} {np.mean(v):.3f}" for name, v in self.kept[key].items())
            print(f"{key}: {means}", flush=True)
        return self.kept[key]


@dataclass(frozen=True)
class Bench:
    """What is common to all methods on one task."""

    work: Work
    prior: Any
    metric: LPIPS | None
    rows: Rows
    draws: int = 1
    trials: int = 1

    def run(self, setting: Setting, images: Tensor, part: str) -> Scores:
        """Recover pictures, all at once; return scores, a list over pictures each."""
        key = f"{self.work.name} | {part} | {setting!r}"
        return self.rows.get(key, lambda: self._run(setting, images, part))

    def _run(self, setting: Setting, images: Tensor, part: str) -> Scores:
        work, testing = self.work, part == "test"
        seen = setting.on(measure(work.operator, work.noise, images, 0 if testing else 1000))
        many = self.draws if testing else self.trials
        drawn = [draw(self.prior, work.operator, seen, setting.method, k) for k in range(many)]
        x = torch.stack([d.x for d in drawn], 1)
        found = self.scores(x, images)
        if not testing:  # every draw counts
            others = [self.scores(x[:, k:], images) for k in range(1, many)]
            found = {n: sum((o[n] for o in others), found[n]) for n in ("psnr", *self.looks)}
        seconds = float(np.mean([d.seconds for d in drawn]))
        return found | {"seconds": [seconds] * len(found["psnr"])}

    @property
    def looks(self) -> tuple[str, ...]:
        """The score that tells how a picture looks, where it is available."""
        return () if self.metric is None else ("lpips",)

    def scores(self, draws: Tensor, truths: Tensor) -> Scores:
        """Score the first draw of each picture [N, L, C, H, W]; with several, coverage."""
        sound = torch.isfinite(draws).flatten(2).all(2)
        draws = torch.where(sound[:, :, None, None, None], draws, 0.0)  # diverged: grey
        if self.work.signs:
            aims = truths[:, None].expand_as(draws)
            flat = align(draws.flatten(0, 1), aims.flatten(0, 1), by_channel=True)
            draws = flat.reshape(draws.shape)
        one = draws[:, 0].clamp(-1, 1)
        found = {"psnr": psnr(one, truths).tolist(), "ssim": ssim(one, truths).tolist()}
        if self.metric is not None:
            found["lpips"] = self.metric(one, truths).tolist()
        if draws.shape[1] > 1:
            least, largest = draws.aminmax(dim=1)
            inside = (truths >= least) & (truths <= largest)
            found["covered"] = inside.flatten(1).double().mean(1).tolist()
        return found

    def tuned(self, among: list[Setting], images: Tensor) -> Setting:
        """Return the setting with the least LPIPS (or the largest PSNR where there is none)."""
        found = [self.run(setting, images, "tune") for setting in among]
        if self.metric is None:
            return among[int(np.argmax([np.mean(f["psnr"]) for f in found]))]
        return among[int(np.argmin([np.mean(f["lpips"]) for f in found]))]


def mean_error(values: list[float]) -> tuple[float, float]:
    """Return mean and standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def shown(task: str, rows: dict[str, Scores], key: str) -> Table:
    """Return a table of means and standard errors, and of differences paired over pictures."""
    table = Table(title=task, title_justify="left")
    names = [k for k in ("lpips", "psnr", "ssim", "covered", "seconds") if k in rows[OURS]]
    for head in ("method", *names, f"{key} less {OURS}'s"):
        table.add_column(head, justify="left" if head == "method" else "right")
    for method, row in rows.items():
        cells = ["{:.3f} ± {:.3f}".format(*mean_error(row[name])) for name in names]
        gap = np.array(row[key]) - np.array(rows[OURS][key])
        paired = "" if method == OURS else "{:.3f} ± {:.3f}".format(*mean_error(gap.tolist()))
        table.add_row(method, *cells, paired)
    return table


def main(argv: list[str]) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(prog="restorations", description=__doc__)
    parser.add_argument("--prior", choices=list(SHAPES), default="fashion")
    parser.add_argument("--first", type=int, default=4000, help="first test picture of fashion")
    parser.add_argument("--images", type=int, default=16, help="test pictures")
    parser.add_argument("--tune", type=int, default=8, help="tuning pictures")
    parser.add_argument("--passes", type=int, default=120, help="of DPS and LGD-MC, a draw")
    parser.add_argument("--draws", type=int, default=2, help="draws a picture; the first is scored")
    parser.add_argument("--trials", type=int, default=2, help="draws a tuning picture")
    parser.add_argument("--tasks", nargs="*", type=int, default=[0, 1, 2], help="0, 1, 2 of them")
    parser.add_argument("--net", choices=("alex", "vgg"), default="alex")
    parser.add_argument("--quick", action="store_true", help="2 to tune, 4 to test, 40 passes")
    asked = parser.parse_args(argv)
    if asked.quick:
        asked.images, asked.tune, asked.passes = 4, 2, 40
    torch.set_num_threads(1)
    shape = SHAPES[asked.prior]
    prior = load_prior(asked.prior, shape=shape, half=True)
    metric = metric_of(asked.net, 2 if shape[1] < 64 else 1)
    tune, test = pictures(asked.prior, asked.tune, asked.images, asked.first)
    key = "psnr" if metric is None else "lpips"
    about = {k: v for k, v in vars(asked).items() if k != "tasks"} | {"scored by": key}
    rows = Rows.at(RESULTS / f"restorations-{asked.prior}-rows.json", about)
    found = {}
    for work in (tasks(shape)[number] for number in asked.tasks):
        bench = Bench(work, prior, metric, rows, asked.draws, asked.trials)
        best = {
            n: bench.tuned(among, tune)
            for n, among in settings(asked.prior, work, asked.passes).items()
        }
        found[work.name] = {n: bench.run(setting, test, "test") for n, setting in best.items()}
        for name, setting in best.items():
            print(f"{work.name}: {name} is {setting!r}")
        Console(width=120).print(shown(work.name, found[work.name], key))
    print(save(f"restorations-{asked.prior}", {"about": about, "tasks": found}))


def metric_of(net: Any, enlarge: int) -> LPIPS | None:
    """Return the metric, or None and a word where its weights are not in the cache."""
    try:
        return LPIPS(net, enlarge)
    except FileError as error:
        print(f"LPIPS is not available, methods are tuned by PSNR: {error.remedy}")
        return None
