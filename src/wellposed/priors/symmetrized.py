"""A denoiser averaged over the symmetries of the square.

Model      D_G(z, sigma) = 1/|G| sum_g g^-1 D(g z, sigma), G the 8 rotations and reflections of
           [..., n, n], or the 4 reflections of [..., H, W]
Guarantee  where the law of the signals is invariant under G, E |D_G - x0|^2 <= E |D - x0|^2 for any
           denoiser D (Jensen's inequality), and the score is equivariant: grad log p(g z) is
           g grad log p(z). An exact denoiser of such a law is unchanged.
Cost       8 or 4 evaluations of D
Fails      where up and down differ: the upper half of a photograph is brighter on average, which
           is forgotten. Details gain, layout loses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.priors.diffusion import DiffusionPrior, Shape

FLIPS = ((), (-1,), (-2,), (-1, -2))


@dataclass(frozen=True)
class Symmetrized(DiffusionPrior):
    """A prior of images whose denoiser is averaged over rotations and reflections.

    Parameters
    ----------
    prior
        Of images [..., H, W]. Square ones are turned by right angles too.

    Raises
    ------
    InputError
        Its signals have fewer than two axes.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> slope = wp.Denoiser(lambda z, sigma: z + torch.tensor([-0.1, 0.3]), (2, 2))
    >>> wp.Symmetrized(slope).denoise(torch.zeros(1, 2, 2), 1.0)
    tensor([[[0.1000, 0.1000],
             [0.1000, 0.1000]]])
    """

    prior: DiffusionPrior

    def __post_init__(self) -> None:
        require(
            len(self.prior.shape) >= 2,
            f"signals have shape {list(self.prior.shape)}, expected images [..., H, W]",
            "a vector has no rotations",
        )
        for name in ("shape", "sigma_data", "sigma_min", "sigma_max"):
            object.__setattr__(self, name, getattr(self.prior, name))

    @property
    def dtype(self) -> torch.dtype:
        """Of draws, unless another is asked for."""
        return getattr(self.prior, "dtype", torch.get_default_dtype())

    @property
    def device(self) -> torch.device:
        """Where the prior computes."""
        return getattr(self.prior, "device", torch.device("cpu"))

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z], [B, *shape], for z [B, *shape] and sigma a number or [B]."""
        self._check(z, sigma)
        total, count = torch.zeros_like(z), 0
        for turned, axes in _orbit(z, self.shape):
            x0 = self.prior.denoise(turned.contiguous(), sigma).flip(axes)
            total = total + (x0.transpose(-1, -2) if count >= len(FLIPS) else x0)
            count += 1
        return total / count


def _orbit(z: Tensor, shape: Shape) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Yield the images of z, reflections first, then those of its transpose."""
    for image in (z, z.transpose(-1, -2)) if shape[-1] == shape[-2] else (z,):
        for axes in FLIPS:
            yield image.flip(axes), axes
