"""A network from elsewhere as a prior: architecture, weights, and the frame it was trained in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from wellposed.checks import finite, require, within
from wellposed.priors.convert import from_eps, from_score, from_v, from_x0
from wellposed.priors.denoiser import Denoiser
from wellposed.priors.diffusion import DiffusionPrior, Shape
from wellposed.priors.foreign.config import ForeignConfig
from wellposed.priors.foreign.unet import ForeignUNet
from wellposed.priors.network.prior import check_weights
from wellposed.schedules import EDM, Chain

Kind = Literal["eps", "v", "x0", "score"]


@dataclass(frozen=True, eq=False)
class ForeignPrior(DiffusionPrior):
    """A pretrained U-Net of another code base.

    Parameters
    ----------
    config
        Architecture.
    weights
        Every parameter of the architecture by its name, of the right shape, finite.
    shape
        Of one image [C, H, W]; H and W divisible by the architecture's stride.
    kind
        What the network predicts: "eps", "v" or "x0" on a chain; "score" in the variance-exploding
        frame, called with sigma.
    chain
        The chain it was trained on; its times are the network's plus one. None for "score".
    sigma_data
        Standard deviation of a pixel, > 0; images from -1 to 1 have about 0.5.
    sigma_min, sigma_max
        Noise levels of "score"; a chain brings its own.

    Raises
    ------
    InputError
        Weights are missing, have a wrong shape or are not finite; the other fields do not fit.
    """

    config: ForeignConfig
    weights: dict[str, Tensor]
    shape: Shape
    kind: Kind
    chain: Chain | None = None
    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        require(
            self.kind in get_args(Kind),
            f"kind is {self.kind!r}, expected one of {', '.join(get_args(Kind))}",
        )
        on_chain = self.kind in ("eps", "v", "x0")
        require(
            on_chain == (self.chain is not None),
            f"a network of kind {self.kind!r} was given {'a' if self.chain else 'no'} chain",
            "eps, v and x0 are predicted on a chain, a score is not",
        )
        within(self.sigma_data, "sigma_data", 0, open_low=True)
        if self.chain is not None:
            low, high = self.chain.process.sigma_range
            object.__setattr__(self, "sigma_min", low)
            object.__setattr__(self, "sigma_max", high)
        within(self.sigma_min, "sigma_min", 0)
        within(self.sigma_max, "sigma_max", self.sigma_min, open_low=True)
        self.config.check_shape(self.shape)
        check_weights(self.config, {name: tuple(w.shape) for name, w in self.weights.items()})
        for name, weight in self.weights.items():
            require(weight.is_floating_point(), f"the weight {name} holds {weight.dtype} values")
            finite(weight, f"the weight {name}", "the file is damaged: get it again")

    @property
    def dtype(self) -> torch.dtype:
        """Of draws: float32, or float64 if the weights are."""
        found = next(iter(self.weights.values())).dtype
        return torch.promote_types(found, torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.weights.values())).device

    def at(self, shape: Shape) -> ForeignPrior:
        """Return the prior for signals of another shape.

        Raises
        ------
        InputError
            The network does not take this shape.
        """
        return replace(self, shape=tuple(shape))

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z], [B, *shape], for z [B, *shape] and sigma a number or [B]."""
        return self._denoiser.denoise(z, sigma)

    @cached_property
    def network(self) -> ForeignUNet:
        """The network, which takes images [B, C, H, W] in its own scale and its own times [B]."""
        with torch.device("meta"):
            network = self.config.build()
        weights = {name: value.to(self.dtype) for name, value in self.weights.items()}
        network.load_state_dict(weights, assign=True)
        return network.eval().requires_grad_(False)

    def _predict(self, x: Tensor, t: Tensor) -> Tensor:
        found: Tensor = self.network(x.to(self.dtype), t.to(self.dtype))
        return found[:, : self.config.channels].to(x.dtype)

    def _predict_at(self, x: Tensor, t: Tensor) -> Tensor:
        return self._predict(x, t - 1)  # chains count from one, these networks from zero

    @cached_property
    def _denoiser(self) -> Denoiser:
        shape, spread = self.shape, self.sigma_data
        if self.chain is not None:
            wrap = {"eps": from_eps, "v": from_v, "x0": from_x0}[self.kind]
            return wrap(self._predict_at, self.chain, shape, spread)
        score = from_score(self._predict, EDM(), shape, spread)
        return replace(score, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
