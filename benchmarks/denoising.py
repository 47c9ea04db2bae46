"""PSNR of ``photo`` beside colour BM3D, on photographs that it has not seen.

    python -m benchmarks denoising [--prior PATH] [--no-peer] [--levels 25 50] [--symmetrized]

Seven photographs that come with scikit-image and scikit-learn, none of which is in the training
data; the central 256 x 256 pixels of each. White noise of standard deviation sigma / 255 on [0, 1],
not clipped; both denoisers are told sigma. PSNR of the estimate clipped to [0, 1]. At large levels,
where patches know nothing, the table also shows the error of the colour averaged over the crop
("drift"), beside its noise.

BM3D is the package ``bm3d`` (for non-commercial use), a peer of this benchmark and of nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from benchmarks.photographs import NAMES, photograph
from wellposed.evaluation.images import centre_crop
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream

SIDE = 256
LEVELS = (5.0, 15.0, 25.0, 50.0, 100.0)
COARSE = (128.0, 256.0, 512.0, 1280.0, 2550.0)  # sigma 1, 2, 4, 10, 20 in the prior's range


def noisy(truth: Tensor, level: float, number: int) -> Tensor:
    """Return the photograph with noise that depends on its number and the level."""
    noise = Stream(2026, item=number).normal(truth.shape, f"{level:g}", dtype=truth.dtype)
    return truth + level / 255 * noise


def psnr(x: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio, dB, of x clipped to [0, 1]."""
    return -10 * float((x.clamp(0, 1) - truth).square().mean().log10())


def by_prior(prior: DiffusionPrior, y: Tensor, level: float) -> Tensor:
    """Denoise by the prior, whose range is [-1, 1]."""
    return (prior.denoise(2 * y[None] - 1, 2 * level / 255)[0] + 1) / 2


def by_bm3d(y: Tensor, level: float) -> Tensor:
    """Denoise by colour BM3D."""
    from bm3d import bm3d_rgb

    found = bm3d_rgb(y.movedim(0, -1).double().numpy(), level / 255)
    return torch.from_numpy(np.asarray(found)).movedim(-1, 0).float()


def drift(x: Tensor, truth: Tensor) -> float:
    """Return the error of the mean colour, root mean square over the channels."""
    return float((x - truth).mean((1, 2)).square().mean().sqrt())


def main(argv: Sequence[str]) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="denoising", description=__doc__)
    parser.add_argument("--prior", default="photo")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--half", action="store_true")
    parser.add_argument(
        "--symmetrized", action="store_true", help="average over rotations and flips"
    )
    parser.add_argument("--levels", type=float, nargs="*", default=list(LEVELS))
    asked = parser.parse_args(argv)
    prior = wp.load_prior(asked.prior, shape=(3, SIDE, SIDE), half=asked.half)
    if asked.symmetrized:
        prior = wp.Symmetrized(prior)
    rows = []
    print(f"{'photograph':12} {'sigma':>6} {'noisy':>7} {'prior':>7} {'BM3D':>7}")
    for number, name in enumerate(NAMES):
        truth = centre_crop(photograph(name), (SIDE, SIDE))
        for level in asked.levels:
            y = noisy(truth, level, number)
            peer = float("nan") if asked.no_peer else psnr(by_bm3d(y, level), truth)
            row = [name, level, psnr(y, truth), psnr(by_prior(prior, y, level), truth), peer]
            rows.append(row)
            print(f"{name:12} {level:6g} {row[2]:7.2f} {row[3]:7.2f} {row[4]:7.2f}", flush=True)
    for level in asked.levels:
        means = [np.mean([row[k] for row in rows if row[1] == level]) for k in (2, 3, 4)]
        print(f"{'mean':12} {level:6g} " + " ".join(f"{m:7.2f}" for m in means))
    save("denoising", {"rows": rows, "coarse": coarse(prior)})


def coarse(prior: DiffusionPrior) -> list[list[float]]:
    """Print and return PSNR and drift at levels where only large scales are left."""
    print(f"{'sigma in [-1, 1]':>17} {'PSNR':>7} {'drift':>8} {'noise of the mean':>18}")
    rows = []
    for level in COARSE:
        found = []
        for number, name in enumerate(NAMES):
            truth = centre_crop(photograph(name), (SIDE, SIDE))
            x = by_prior(prior, noisy(truth, level, number), level)
            found.append((psnr(x, truth), drift(x, truth)))
        quality, moved = np.mean(found, axis=0)
        rows.append([level, quality, moved, level / 255 / SIDE])
        print(f"{2 * level / 255:17.1f} {quality:7.2f} {moved:8.4f} {level / 255 / SIDE:18.4f}")
    return rows
