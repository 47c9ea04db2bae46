"""Train a denoiser on a user's data: read and check them, train, write the prior.

folder/
  prior.safetensors   the averaged weights, for wp.load_prior(folder)
  card.md             what the prior is, for people
  losses.csv          step, seconds, loss
  samples.png         draws, where the signals are images
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed

from wellposed.errors import InputError, StoreError
from wellposed.io import write_csv
from wellposed.jobs.commands import command
from wellposed.jobs.folder import STAGES, Bench, Done, Limits, carry_out
from wellposed.jobs.grids import write_grid
from wellposed.jobs.material import Material, gather
from wellposed.jobs.requests import TrainJob
from wellposed.jobs.summary import write_text
from wellposed.priors.checkpoint import save_prior
from wellposed.priors.load import FILE, load_prior
from wellposed.priors.network import (
    NetworkConfig,
    NetworkPrior,
    Preconditioned,
    fresh_weights,
)
from wellposed.progress import TrainingProgress
from wellposed.run import Status
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.sampling import sample
from wellposed.store import RunFolder, load_tree, save_tree
from wellposed.training.loop import Trainer, Training
from wellposed.training.networks import network_named
from wellposed.training.objective import LogNormalLevels
from wellposed.training.session import Entry, Session
from wellposed.training.validation import Validation

SHOWN = 16  # draws in the picture
DIVERGED = (
    "The training diverged: its weights ceased to be finite numbers. The prior is that of the last "
    "step before; a lower rate may go further."
)
UNTOLD = 10**9  # steps, where minutes decide


class Trained(NamedTuple):
    """What came out: how it ended, averaged weights, the log, and losses by level."""

    status: Status

    weights: dict[str, torch.Tensor]
    entries: tuple[Entry, ...]
    looks: tuple[tuple[int, dict[str, float]], ...]


def train(
    job: TrainJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 180.0,
) -> Done:
    """Train a denoiser; the folder is then a prior for ``wp.load_prior``.

    Started by ``torchrun``, each process takes batches of its own and the first one writes.

    Parameters
    ----------
    job
        What to do.
    out
        The folder; None makes the next numbered one under ``runs/``. The same job in the same
        folder goes on where it stopped, bit for bit in one process.
    progress
        Show a progress bar.
    checkpoint_seconds
        Time between checkpoints, >= 0.

    Returns
    -------
    Done
        Folder, status and figures.

    Raises
    ------
    FileError, InputError
        The data, or what was asked, is not sound; nothing is left behind.
    StoreError
        The folder belongs to another training, or its data have changed.
    """
    material = gather(job)
    if job.digest not in ("", material.digest):
        raise StoreError(
            f"the data {', '.join(job.data)} are not those that {out} began with",
            "their hashes differ, so the two halves of the run would not fit together",
            "restore the data, or train in a new folder",
        )
    job = replace(job, digest=material.digest)
    config = network_named(job.network, material.shape)
    limits = Limits(job.steps, 1.0, job.seed, progress, checkpoint_seconds)
    if distributed.is_initialized() and distributed.get_rank() > 0:
        return _helped(job, material, config, limits, out)
    return carry_out(job, out, limits, lambda bench: _work(bench, job, material, config))


def _helped(
    job: TrainJob, material: Material, config: NetworkConfig, limits: Limits, out: Any
) -> Done:
    """Do the part of a process that writes nothing."""
    distributed.barrier()  # the first process has claimed the folder
    folder = None if out is None else RunFolder(Path(out) / STAGES / "training")
    status = _session(job, material, config, folder).run()
    return Done(Path(out or "."), status.value, {})


def _work(bench: Bench, job: TrainJob, material: Material, config: NetworkConfig) -> dict[str, Any]:
    trained = _trained(bench, job, material, config)
    prior = NetworkPrior(config, trained.weights, material.shape, material.sigma_data)
    summary = _summary(job, material, config, trained)
    save_prior(bench.folder / FILE, prior, summary["card"])
    columns = {name: [getattr(e, name) for e in trained.entries] for name in Entry._fields}
    write_csv(bench.folder / "losses.csv", columns)
    if len(material.shape) == 3:
        draws = sample(prior, DPMSolverPP2M(20), n=SHOWN, seed=job.seed)
        write_grid(bench.folder / "samples.png", draws.x.numpy())
    write_text(bench.folder / "card.md", card_text(summary["card"]))
    return summary


def _trained(bench: Bench, job: TrainJob, material: Material, config: NetworkConfig) -> Trained:
    place = bench.folder / STAGES
    kept = place / "trained.safetensors"
    if not kept.exists():
        place.mkdir(exist_ok=True)
        folder = RunFolder(place / "training", bench.limits.checkpoint_seconds)
        folder.path.mkdir(exist_ok=True)
        if distributed.is_initialized():
            distributed.barrier()  # the folder is claimed; making a trainer is a joint act
        session = _session(job, material, config, folder)
        with TrainingProgress(shown=bench.limits.progress) as bar:
            session.watch = lambda entry, left: bar.entry(
                entry.step, session.trainer.training.steps, entry.loss, left
            )
            status = session.run()
        if status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        weights = {n.removeprefix("network."): w for n, w in session.trainer.average.items()}
        looks = tuple((s, {f"{k:g}": v for k, v in found.items()}) for s, found in session.looks)
        save_tree(kept, Trained(status, weights, tuple(session.entries), looks))
    trained: Trained = load_tree(kept)
    return trained


def _session(
    job: TrainJob, material: Material, config: NetworkConfig, folder: RunFolder | None
) -> Session:
    network = config.build()
    network.load_state_dict(_first_weights(job, config))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = Training(
        steps=job.steps if job.minutes is None else UNTOLD,
        rate=job.rate,
        decay=job.decay,
        optimizer=job.optimizer,
        levels=LogNormalLevels(job.level_mean, job.level_std),
        half=job.half,
        seed=job.seed,
    )
    denoiser = Preconditioned(network, material.sigma_data)
    trainer = Trainer(denoiser, material.source, training, material.sigma_data)
    return Session(trainer, Validation(material.checks, material.sigma_data), folder, job.minutes)


def _first_weights(job: TrainJob, config: NetworkConfig) -> Mapping[str, torch.Tensor]:
    if job.start is None:
        return fresh_weights(config, job.seed)
    prior = load_prior(job.start)
    if not isinstance(prior, NetworkPrior) or prior.config != config:
        raise InputError(
            f"{job.start} is another network than {config}",
            "its weights have no place there",
            "give a prior that was trained with the same --network, or leave out --start",
        )
    return {name: weight.float() for name, weight in prior.weights.items()}


def _summary(
    job: TrainJob, material: Material, config: NetworkConfig, trained: Trained
) -> dict[str, Any]:
    steps, losses = trained.looks[-1]
    count = sum(w.numel() for w in trained.weights.values())
    card = {
        "data": list(job.data),
        "signals": list(material.counts),
        "shape": list(material.shape),
        "sigma_data": material.sigma_data,
        "network": f"{type(config).__name__.removesuffix('Config')}, {count:,} parameters",
        "command": command(job),
        "steps": steps,
        "seconds": round(trained.entries[-1].seconds),
        "validation": losses,
    }
    return {
        "job": job.kind,
        "status": trained.status.value,
        "status_text": trained.status.text if trained.status.ok else DIVERGED,
        "card": card,
        "looks": [list(look) for look in trained.looks],
        "warnings": [],
    }


def card_text(card: dict[str, Any]) -> str:
    """Return a card as Markdown."""
    losses = "\n".join(f"| {level} | {loss:.4f} |" for level, loss in card["validation"].items())
    return f"""# A prior for signals of shape {card["shape"]}

Trained by `{card["command"]}`:
{card["steps"]:,} steps in {card["seconds"]:,} seconds on {card["signals"][0]:,} signals or
pictures; {card["signals"][1]:,} were held out.
Network: {card["network"]}; sigma_data {card["sigma_data"]}.

| sigma | loss on held-out signals (untrained: about 1) |
|---|---|
{losses}
"""
