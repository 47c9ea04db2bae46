"""Images a second of the networks, in training and in use, and peak memory.

    python -m benchmarks network_speed [--threads 1]

``photo`` at 256 x 256, ``fashion`` at 32 x 32, in float32 and in bfloat16; a training step on
12 crops of 64 x 64, respectively 64 images of 32 x 32. Seconds are medians of five calls by the
clock, after a warm-up. Memory is the largest of this process so far.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import peak_gigabytes, save, seconds
from wellposed.priors.network import NetworkPrior, Preconditioned
from wellposed.rng import Stream
from wellposed.training.data import Rows
from wellposed.training.loop import Trainer, Training

USES = (("photo", (3, 256, 256), 1), ("photo", (3, 256, 256), 8), ("fashion", (1, 32, 32), 4),
        ("fashion", (1, 32, 32), 64))  # fmt: skip
LESSONS = (("photo", (3, 64, 64), 12), ("fashion", (1, 32, 32), 64))


def numbers(n: int, shape: tuple[int, ...]) -> Tensor:
    """Return noise, [n, *shape]."""
    return Stream(0).normal((n, *shape), "numbers", dtype=torch.float32)


def used(name: str, shape: tuple[int, ...], batch: int, half: bool) -> float:
    """Return the seconds of one evaluation of a batch."""
    prior = wp.load_prior(name, shape=shape, half=half)
    z = numbers(batch, shape)
    with torch.no_grad():
        return seconds(lambda: prior.denoise(z, 0.5))


def taught(name: str, shape: tuple[int, ...], batch: int, half: bool) -> float:
    """Return the seconds of one training step."""
    prior = wp.load_prior(name)
    if not isinstance(prior, NetworkPrior):
        raise TypeError(name)
    network = prior.config.build()
    network.to(memory_format=torch.channels_last)
    source = Rows(numbers(4 * batch, shape), batch)
    trainer = Trainer(Preconditioned(network, 0.5), source, Training(half=half), 0.5)
    return seconds(trainer.advance)


def main(argv: Sequence[str]) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="network_speed", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args(argv).threads
    torch.set_num_threads(threads)
    rows = []
    print(f"{threads} threads")
    for what, cases in (("use", USES), ("training", LESSONS)):
        for name, shape, batch in cases:
            for half in (False, True):
                spent = (used if what == "use" else taught)(name, shape, batch, half)
                rows.append([what, name, list(shape), batch, half, spent, peak_gigabytes()])
                size = "x".join(map(str, shape))
                print(
                    f"{what:9} {name:8} {size:10} batch {batch:3} "
                    f"{'bfloat16' if half else 'float32 '} {1000 * spent:8.1f} ms "
                    f"{batch / spent:8.1f} images/s  {peak_gigabytes():5.2f} GB",
                    flush=True,
                )
    save(f"network_speed_{threads}", {"rows": rows})
