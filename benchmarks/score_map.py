"""Where a learned score is wrong: its error beside the density, on a plane with known truth.

    python -m benchmarks score_map [--quick]

Data: 2,000 points of a thin ring of eight Gaussians. A perceptron is trained on them with the
package's own loop; the exact score is that of the mixture with noise added. The map shows the
error |s - s*| at three noise levels, the scatter its relation to the density: the lower the
density, the larger the error, and noise covers what was empty.
"""

from __future__ import annotations

import argparse
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.stats import spearmanr
from torch import Tensor

import wellposed as wp
from benchmarks.common import RESULTS, save
from wellposed.priors.network import MLPConfig, NetworkPrior
from wellposed.priors.network.precondition import Preconditioned
from wellposed.training.data import Rows
from wellposed.training.loop import Trainer, Training

LEVELS, HALF_WIDTH, SIDE = (0.05, 0.3, 1.0), 3.0, 81


class Map(NamedTuple):
    """A noise level on the grid."""

    sigma: float
    error: Tensor  # |s - s*|, [SIDE, SIDE]
    log_density: Tensor
    correlation: float  # Spearman's, of error and log density


def ring(modes: int = 8, radius: float = 1.6) -> wp.GaussianMixture:
    """Return Gaussians of standard deviation 0.12 on a circle."""
    angles = 2 * math.pi * torch.arange(modes) / modes
    means = radius * torch.stack([angles.cos(), angles.sin()], 1)
    return wp.GaussianMixture(torch.full((modes,), 1 / modes), means, 0.12**2)


def learned(law: wp.GaussianMixture, points: int, steps: int, seed: int) -> NetworkPrior:
    """Return a perceptron trained on draws of a law."""
    data = law.sample(points, seed=seed).float()
    config, spread = MLPConfig(2, 96, 3), law.sigma_data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Preconditioned(config.build(), spread)
    training = Training(steps, rate=3e-3, seed=seed)
    trainer = Trainer(network, Rows(data, 256), training, spread)
    for _ in range(steps):
        trainer.advance()
    weights = {name.removeprefix("network."): w for name, w in trainer.average.items()}
    return NetworkPrior(config, weights, (2,), spread)


def maps(law: wp.GaussianMixture, prior: NetworkPrior, side: int = SIDE) -> list[Map]:
    """Compare a learned score with the exact one on a grid."""
    line = torch.linspace(-HALF_WIDTH, HALF_WIDTH, side)
    z = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
    found = []
    for sigma in LEVELS:
        error = (prior.score(z, sigma) - law.score(z, sigma)).norm(dim=1)
        density = law.log_density(z, sigma)
        rank = float(spearmanr(error.numpy(), density.numpy()).statistic)
        shape = (side, side)
        found.append(Map(sigma, error.reshape(shape), density.reshape(shape), rank))
    return found


def show(found: list[Map], points: Tensor) -> None:
    """Draw error maps above, error against density below."""
    figure, grid = plt.subplots(2, len(found), figsize=(11, 7.2), layout="constrained")
    box = (-HALF_WIDTH, HALF_WIDTH, -HALF_WIDTH, HALF_WIDTH)
    for (above, below), one in zip(grid.T, found, strict=True):
        scaled = (one.sigma * one.error).numpy()
        image = above.imshow(
            np.log10(scaled), origin="lower", extent=box, cmap="magma", vmin=-2, vmax=1
        )
        inside = points.abs().max(1).values < HALF_WIDTH
        above.scatter(*points[inside].T, s=1.5, color="white", alpha=0.35, linewidths=0)
        above.set_title(f"sigma = {one.sigma:g}", fontsize=11)
        above.set_xticks([])
        above.set_yticks([])
        below.scatter(
            one.log_density.flatten() / math.log(10), scaled.flatten(), s=2, alpha=0.25,
            color="#1d3f72", linewidths=0, rasterized=True,
        )  # fmt: skip
        below.set(yscale="log", ylim=(3e-3, 30), xlabel="log10 density")
        below.set_title(f"rank correlation {one.correlation:.2f}", fontsize=10)
        below.spines[["top", "right"]].set_visible(False)
    grid[1, 0].set_ylabel("sigma times error of the score")
    bar = figure.colorbar(image, ax=list(grid[0]), shrink=0.85)
    bar.set_label("log10 of sigma times error")
    figure.savefig(RESULTS / "score_map.png", dpi=150)
    plt.close(figure)


def study(points: int, steps: int, seed: int = 0) -> dict[str, Any]:
    """Train, map, draw."""
    law = ring()
    prior = learned(law, points, steps, seed)
    found = maps(law, prior)
    RESULTS.mkdir(exist_ok=True)
    noisy = law.sample(points, seed=seed).float()
    show(found, noisy)
    rows = []
    for one in found:
        dense = one.log_density > one.log_density.flatten().quantile(0.9)
        rows.append({
            "sigma": one.sigma,
            "correlation": one.correlation,
            "error_where_dense": float((one.sigma * one.error)[dense].median()),
            "error_where_empty": float((one.sigma * one.error)[~dense].median()),
        })  # fmt: skip
        print("sigma {sigma:g}: rank correlation of error and density {correlation:.2f}, sigma "
              "times error {error_where_dense:.3f} in the densest tenth of the plane, "
              "{error_where_empty:.3f} elsewhere".format(**rows[-1]))  # fmt: skip
    return {"levels": rows, "points": points, "steps": steps}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks score_map")
    parser.add_argument("--quick", action="store_true", help="a tenth of the training")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    save("score_map", study(2000, 400 if quick else 4000))
