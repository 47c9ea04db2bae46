"""The training loop: AdamW on denoising score matching, with an average of the weights.

Update     g = gradient of the mean loss, cut to norm 1;  AdamW at rate r(step);
           average <- m average + (1 - m) weights,  m = min(ema, (1 + step) / (10 + step))
Rate       rises over ``warmup`` steps, stays, and falls linearly to 0 over the last share
           ``decay`` of the steps: a longer run shares the constant part of a shorter one.
State      weights, average, two moments, step. A batch and its noise are functions of (seed,
           step), so a run that was stopped goes on bit for bit on the same build and threads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from wellposed.checks import require, whole, within
from wellposed.rng import Stream
from wellposed.training.data import Source
from wellposed.training.objective import LogNormalLevels, loss_of_each


@dataclass(frozen=True)
class Training:
    """How to train.

    Parameters
    ----------
    steps
        Of the whole run.
    rate
        Of AdamW, > 0.
    warmup
        Steps over which the rate rises.
    decay
        Share of the steps over which the rate falls to 0, in [0, 1].
    weight_decay
        Of AdamW, >= 0.
    ema
        Memory of the average of the weights, in [0, 1).
    levels
        The law of noise levels.
    half
        Compute in bfloat16 where that is safe; weights and sums stay float32.
    seed
        Of batches, levels, noise and the first weights.
    """

    steps: int = 10_000
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.35
    weight_decay: float = 0.01
    ema: float = 0.999
    levels: LogNormalLevels = field(default_factory=LogNormalLevels)
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        whole(self.warmup, "warmup", 0)
        within(self.rate, "rate", 0, open_low=True)
        within(self.decay, "decay", 0, 1)
        within(self.weight_decay, "weight_decay", 0)
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
    """

    def __init__(
        self, denoiser: nn.Module, source: Source, training: Training, sigma_data: float
    ) -> None:
        self.denoiser, self.source, self.training = denoiser, source, training
        self.sigma_data = sigma_data
        self.stream = Stream(training.seed)
        self.step = 0
        self.weights = dict(denoiser.named_parameters())
        self.average = {name: w.detach().clone() for name, w in self.weights.items()}
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=training.rate,
            betas=(0.9, 0.99),
            weight_decay=training.weight_decay,
            foreach=True,
        )

    def advance(self) -> float:
        """Take one step; return its loss."""
        loss = self._loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights.values(), 1.0, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.rate_at(self.step)
        self.optimizer.step()
        self.step += 1
        self._mix()
        return float(loss.detach())

    def _loss(self) -> Tensor:
        x0 = self.source.batch(self.stream, self.step)
        sigma = self.training.levels.draw(len(x0), self.stream, self.step)
        noise = self.stream.normal(x0.shape, "noise", self.step, dtype=x0.dtype)
        with self._precision():
            return loss_of_each(self.denoiser, x0, sigma, noise, self.sigma_data).mean()

    def _precision(self) -> AbstractContextManager[Any]:
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
        moments = {n: self.optimizer.state[w] for n, w in self.weights.items() if self.step}
        return {
            "step": self.step,
            "weights": {name: w.detach() for name, w in self.weights.items()},
            "average": self.average,
            "first": {name: both["exp_avg"] for name, both in moments.items()},
            "second": {name: both["exp_avg_sq"] for name, both in moments.items()},
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
            if name in state["first"]:
                self.optimizer.state[w] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": state["first"][name].clone(memory_format=torch.preserve_format),
                    "exp_avg_sq": state["second"][name].clone(memory_format=torch.preserve_format),
                }
