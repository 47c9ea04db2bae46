"""A user's own log-likelihood, without a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.noise.base import Likelihood, no_gradient
from wellposed.rng import Stream


@dataclass(frozen=True)
class BlackBox(Likelihood):
    """Anything that can say how likely a measurement is.

    Parameters
    ----------
    log_likelihood
        Function of y, [B, *shape] or [*shape], and of the means A(x), [B, *shape]: returns
        log p(y | mean) of each item, [B]; -inf for what is impossible. It is called without
        gradients, and may leave torch.
    simulator
        Function of the mean, any shape, and a ``Stream``: draws a measurement. None if there is
        no need to simulate.

    Raises
    ------
    InputError
        What is given cannot be called.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.noise.BlackBox(lambda y, mean: -(y - mean).abs().flatten(1).amax(1))
    >>> noise.log_density(torch.zeros(2), torch.tensor([[1.0, 3.0]])).tolist()
    [-3.0]
    """

    log_likelihood: Callable[[Tensor, Tensor], Tensor]
    simulator: Callable[[Tensor, Stream], Tensor] | None = None
    differentiable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("log_likelihood", "simulator"):
            given = getattr(self, name)
            require(
                callable(given) or (name == "simulator" and given is None),
                f"{name} is a {type(given).__name__}, expected a function",
            )

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Call the simulator."""
        if self.simulator is None:
            raise CapabilityError(
                "noise.BlackBox has no simulator",
                "its law is known by its log-likelihood only",
                "pass simulator=",
            )
        return self.simulator(mean, stream)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Call the log-likelihood and check what it returns."""
        value = self.log_likelihood(y, mean)
        got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        require(
            got == [mean.shape[0]],
            f"log_likelihood returned {got}, expected one number for each of {mean.shape[0]} items",
            "items are accepted or refused one by one",
        )
        require(
            not bool(value.isnan().any()),
            "log_likelihood returned NaN",
            remedy="return -inf for what is impossible",
        )
        return value

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """Raise ``CapabilityError``: there is none."""
        raise no_gradient("BlackBox")
