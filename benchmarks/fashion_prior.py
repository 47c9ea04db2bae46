"""The shipped prior of clothes, judged: draws under a classifier, distances, memory, PSNR.

    python -m benchmarks fashion_prior [--prior fashion] [--before FILE] [--n 10000] [--half]

All draws are DPM-Solver++(2M)'s, 20 evaluations, default levels. The judge is the
classifier of ``fashion_classifier``; the Frechet distance is between its 64 features of draws and
of the 10,000 test images, which neither prior nor classifier has seen. Floor: as many training
images against the same test images. Control: a Gaussian fitted to the pixels of the training
images. ``--before`` names an earlier checkpoint. A picture shows the four samplers with five
evaluations from the same start noise, as they are. Draws are kept in results/ and not made again.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor

import wellposed as wp
from benchmarks.common import RESULTS, save
from benchmarks.fashion_classifier import Classifier, classifier, images, judged
from wellposed.datasets import Fashion, load
from wellposed.evaluation.distances import mmd
from wellposed.evaluation.generation import denoising_psnr, frechet, memory, precision_recall
from wellposed.jobs.grids import grid, write_grid
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import default_levels

STEPS, JUDGED, SIGMAS = 20, 1000, (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PART = 2500  # draws of a seed
PAIRS = 2000  # signals of the distances over all pairs
FEW = {
    "DDIM": wp.DDIM,
    "accelerated, literal": wp.AcceleratedODEReuse,
    "accelerated, exact integral": wp.AcceleratedODEExact,
    "DPM-Solver++(2M)": wp.DPMSolverPP2M,
}


def drawn(name: str, prior: DiffusionPrior, n: int) -> Tensor:
    """Return draws [n, 1, 32, 32], made in parts with seeds 0, 1, ...; finished parts are kept."""
    parts = range(-(-n // PART))
    return torch.cat([part(name, prior, min(PART, n), seed) for seed in parts])[:n]


def part(name: str, prior: DiffusionPrior, n: int, seed: int) -> Tensor:
    """Return the draws of one seed; a run that was stopped goes on."""
    folder = RESULTS / f"draws_{name}_{seed}"
    method = wp.DPMSolverPP2M(STEPS)
    try:
        return wp.sample(prior, method, n=n, seed=seed, out=folder).x
    except wp.WellposedError:  # of another prior, or other versions
        shutil.rmtree(folder)
        return wp.sample(prior, method, n=n, seed=seed, out=folder).x


def gaussian_pixels(x: Tensor, n: int) -> Tensor:
    """Return draws from the Gaussian with the pixels' mean and covariance."""
    flat = x.flatten(1).double()
    values, vectors = torch.linalg.eigh(flat.T.cov())
    noise = Stream(0).normal((n, flat.shape[1]), "pixels") * values.clamp_min(0).sqrt()
    return (flat.mean(0) + noise @ vectors.T).float().reshape(n, *x.shape[1:])


def classes(network: Classifier, x: Tensor) -> dict[str, Any]:
    """Return what the classifier thinks of draws."""
    top = judged(network, x)[1].max(1)
    shares = torch.bincount(top.indices, minlength=10).double() / len(x)
    return {"top_probability": float(top.values.mean()), "class_shares": shares.tolist()}


def compared(network: Classifier, x: Tensor, real: Tensor) -> dict[str, Any]:
    """Return distances between features of signals and of real ones."""
    features, told = judged(network, x)[0], judged(network, real)[0]
    distance = frechet(features, told)
    cover = precision_recall(features[:PAIRS], told[:PAIRS])
    return {
        "frechet": distance.value, "frechet_error": distance.error,
        "mmd": mmd(features[:PAIRS], told[:PAIRS]),
        "precision": cover.precision, "recall": cover.recall,
    }  # fmt: skip


def remembered(x: Tensor, data: Fashion) -> dict[str, Any]:
    """Return how near draws are to the training images, and the draws of the data's own law."""
    training, fresh = images(data.train), images(data.test)[:PAIRS]
    kept = wp.Empirical(training)
    return {
        "draws": memory(x[:JUDGED], training, fresh)[:3],
        "empirical prior": memory(kept.sample(JUDGED, seed=1), training, fresh)[:3],
    }


def few_evaluations(prior: DiffusionPrior, count: int = 24, steps: int = 5) -> dict[str, Tensor]:
    """Return draws of each sampler from the same noise."""
    levels = default_levels(prior, steps)
    start = levels[0] * Stream(3).normal((count, *prior.shape), "start", dtype=torch.float32)
    return {
        name: wp.sample(prior, make(steps), n=count, sigmas=levels, start=start).x
        for name, make in FEW.items()
    }


def show_few(found: dict[str, Tensor], name: str, columns: int = 4) -> None:
    """Draw the samplers side by side."""
    size = (3.1 * len(found), 5.1)
    figure, places = plt.subplots(1, len(found), figsize=size, layout="constrained")
    for axes, (title, x) in zip(places, found.items(), strict=True):
        axes.imshow(grid(x.numpy(), columns), interpolation="nearest")
        axes.set_title(title, fontsize=11)
        axes.axis("off")
    figure.suptitle("five evaluations of the denoiser, the same start noise", fontsize=11)
    figure.savefig(RESULTS / f"{name}.png", dpi=150)
    plt.close(figure)


def told(name: str, row: dict[str, Any]) -> None:
    """Print a line of the table."""
    print(
        f"{name:28}{row['frechet']:10.3f} +- {row['frechet_error']:.3f}{row['mmd']:10.4f}"
        f"{row['precision']:10.3f}{row['recall']:10.3f}"
    )


def study(prior: DiffusionPrior, before: DiffusionPrior | None, n: int) -> dict[str, Any]:
    """Measure everything, print it, and draw the pictures."""
    data = load("fashion-mnist")
    network, test = classifier(data), images(data.test)
    x = drawn("prior", prior, n)
    found = classes(network, x[:JUDGED])
    shares = np.array(found["class_shares"])
    print(f"{min(len(x), JUDGED)} draws: mean top probability {found['top_probability']:.3f} "
          f"(test images {classes(network, test)['top_probability']:.3f}), "
          f"classes {100 * shares.min():.1f} to {100 * shares.max():.1f} %")  # fmt: skip
    real = test[:n]
    order = torch.randperm(len(data.train), generator=Stream(0).generator("floor"))[:n]
    rows = {
        "draws": x,
        "floor: training images": images(data.train)[order],
        "control: Gaussian pixels": gaussian_pixels(images(data.train), n),
    }
    if before is not None:
        rows["earlier checkpoint"] = drawn("before", before, n)
    print(f"{'features of':28}{'Frechet':>10}{'':9}{'MMD':>10}{'precision':>10}{'recall':>10}")
    table = {}
    for name, values in rows.items():
        table[name] = compared(network, values, real)
        told(name, table[name])
    ratio = {name: table["draws"]["frechet"] / row["frechet"] for name, row in table.items()}
    print("Frechet of the draws over that of the others: "
          + ", ".join(f"{name} {value:.3f}" for name, value in ratio.items()))  # fmt: skip
    kept = remembered(x, data)
    for name, (share, error, near) in kept.items():
        print(
            f"memory, {name}: {share:.3f} +- {error:.3f} near (fresh: 0.010), distance {near:.2f}"
        )
    psnr = denoising_psnr(prior, test[:256], SIGMAS)
    print("PSNR on 256 test images: "
          + ", ".join(f"{sigma:g}: {value:.2f} dB" for sigma, value in psnr.items()))  # fmt: skip
    write_grid(RESULTS / "fashion_draws.png", x[:128].numpy(), 16)
    show_few(few_evaluations(prior), "fashion_few")
    return found | {"table": table, "ratio": ratio, "memory": kept, "psnr": psnr, "n": n}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fashion_prior")
    parser.add_argument("--prior", default="fashion", help="name or file")
    parser.add_argument("--before", type=Path, help="an earlier checkpoint")
    parser.add_argument("--n", type=int, default=10_000, help="draws")
    parser.add_argument("--half", action="store_true", help="compute the network in bfloat16")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    prior = wp.load_prior(asked.prior, half=asked.half)
    before = None if asked.before is None else wp.load_prior(asked.before, half=asked.half)
    save("fashion_prior", study(prior, before, asked.n) | {"half": asked.half})
