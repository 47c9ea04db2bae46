"""Training of any parametric denoiser by denoising score matching.

Update     g = gradient of the mean loss, cut to norm ``clip``; weights <- optimizer(g, r(step));
           average <- m average + (1 - m) weights,  m = min(ema, (1 + step) / (10 + step))
Rate       rises over ``warmup`` steps, stays, and falls linearly to 0 over the last share
           ``decay`` of the steps: a longer run shares the constant part of a shorter one.
State      weights, average, moments, step. A batch and its noise are functions of (seed, process,
           step), so a run that was stopped goes on bit for bit on the same build and threads.
Processes  each takes a batch of its own; gradients are averaged by DistributedDataParallel.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from wellposed.checks import require, whole, within
from wellposed.rng import Stream
from wellposed.training.data import Source
from wellposed.training.objective import Levels, LogNormalLevels, loss_of_each
from wellposed.training.optimizers import Name, Optimizers


@dataclass(frozen=True)
class Training:
    """How to train.

    Parameters
    ----------
    steps
        Of the whole run.
    rate
        Of the optimizer, > 0.
    warmup
        Steps over which the rate rises.
    decay
        Share of the steps over which the rate falls to 0, in [0, 1].
    optimizer
        "adamw"; "sgd": plain gradient steps; "muon": orthogonal steps for hidden weights.
    weight_decay
        Of AdamW and Muon, >= 0.
    clip
        Largest norm of a gradient, > 0.
    ema
        Memory of the average of the weights, in [0, 1).
    levels
        The law of noise levels, with ``draw(count, stream, step)``.
    half
        Compute in bfloat16 where that is safe; weights and sums stay float32.
    seed
        Of batches, levels, noise and the first weights.
    """

    steps: int = 10_000
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.35
    optimizer: Name = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    levels: Levels = field(default_factory=LogNormalLevels)
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        whole(self.warmup, "warmup", 0)
        within(self.rate, "rate", 0, open_low=True)
        within(self.decay, "decay", 0, 1)
        within(self.weight_decay, "weight_decay", 0)
        require(self.clip > 0, f"clip is {self.clip!r}, expected a number > 0")
        require(
            self.optimizer in get_args(Name),
            f"optimizer is {self.optimizer!r}, expected one of {', '.join(get_args(Name))}",
        )
        within(self.ema, "ema", 0, 1, open_high=True)

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        rising = (step + 1) / (self.warmup + 1)
        falling = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.rate * min(1.0, rising, falling)


class Trainer:
    """A denoiser in training.

    Parameters
    ----------
    denoiser
        Takes z [B, *shape] and sigma [B], returns [B, *shape].
    source
        Gives the clean signals.
    training
        How to train.
    sigma_data
        Standard deviation of a coordinate of the signal, for the weights of the loss.

    Examples
    --------
    >>> from wellposed.priors.network import MLPConfig, Preconditioned
    >>> from wellposed.training.data import Rows
    >>> points = torch.tensor([[-1.0], [1.0]])
    >>> network = Preconditioned(MLPConfig(1, 8, 1).build(), sigma_data=1.0)
    >>> trainer = Trainer(network, Rows(points, 16), Training(steps=2), sigma_data=1.0)
    >>> losses = [trainer.advance() for _ in range(2)]
    >>> trainer.step
    2
    """

    def __init__(
        self, denoiser: nn.Module, source: Source, training: Training, sigma_data: float
    ) -> None:
        self.denoiser, self.source, self.training = denoiser, source, training
        self.sigma_data = sigma_data
        several = distributed.is_available() and distributed.is_initialized()
        self.stream = Stream(training.seed, block=distributed.get_rank() if several else 0)
        self._forward = DistributedDataParallel(denoiser) if several else denoiser
        self.step = 0
        self.weights = dict(denoiser.named_parameters())
        self.average = {name: w.detach().clone() for name, w in self.weights.items()}
        self.optimizer = Optimizers(training.optimizer, self.weights, training.weight_decay)

    def advance(self) -> float:
        """Take one step; return its loss."""
        loss = self._loss()
        self.optimizer.forget()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights.values(), self.training.clip, foreach=True)
        self.optimizer.step(self.training.rate_at(self.step))
        self.step += 1
        self._mix()
        return float(loss.detach())

    def _loss(self) -> Tensor:
        x0 = self.source.batch(self.stream, self.step)
        sigma = self.training.levels.draw(len(x0), self.stream, self.step)
        noise = self.stream.normal(x0.shape, "noise", self.step, dtype=x0.dtype)
        with self.precision():
            return loss_of_each(self._forward, x0, sigma, noise, self.sigma_data).mean()

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context in which the denoiser is evaluated."""
        if self.training.half:
            return torch.autocast("cpu", torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def _mix(self) -> None:
        keep = min(self.training.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(
            list(self.average.values()), [w.detach() for w in self.weights.values()], 1 - keep
        )

    def state(self) -> dict[str, Any]:
        """Return everything that crosses a step."""
        return {
            "step": self.step,
            "weights": {name: w.detach() for name, w in self.weights.items()},
            "average": self.average,
            "moments": self.optimizer.moments(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        InputError
            It belongs to another network.
        """
        for part in ("weights", "average"):
            held = state[part]
            require(
                held.keys() == self.weights.keys()
                and all(held[n].shape == w.shape for n, w in self.weights.items()),
                "the checkpoint belongs to another network",
                "names or shapes of its weights differ",
            )
        self.step = int(state["step"])
        for name, w in self.weights.items():
            w.copy_(state["weights"][name])
            self.average[name].copy_(state["average"][name])
        self.optimizer.restore(state["moments"])
