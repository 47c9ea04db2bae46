"""A mixture of unit Gaussians whose means are learnt by the denoising objective.

Source     Shah, Chen, Klivans, "Learning mixtures of Gaussians using the DDPM objective",
           NeurIPS 2023
Model      x0 ~ sum_k w_k N(theta_k, I); with v = 1 + sigma^2 the student's denoiser is
           D(z, sigma) = z / v + (1 - 1 / v) sum_k r_k theta_k,
           r = softmax(log w_k - |z - theta_k|^2 / (2 v))
Update     gradient steps on the denoising loss. At large sigma the means +-theta of two equal
           components take the power iteration of mu mu^T (Oja's step); at small sigma a step is
           one of gradient EM.
Cost       2 K d multiplications a signal
Guarantee  (source) two equal components from a random start; K well separated ones from a warm
           start
Fails      as EM does: from a bad start, or when components overlap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wellposed.checks import finite, shaped


class MixtureStudent(nn.Module):
    """The denoiser of a mixture with unit covariances and learnable means.

    Parameters
    ----------
    means
        Where to start, [K, d]; with ``symmetric`` [1, d], the other mean is its negative.
    symmetric
        Two equal components at +-theta.

    Examples
    --------
    >>> student = MixtureStudent(torch.tensor([[2.0, 0.0]]), symmetric=True)
    >>> student(torch.tensor([[2.0, 0.0]]), torch.tensor([1.0])).detach().round(decimals=2)
    tensor([[1.9600, 0.0000]])
    """

    def __init__(self, means: Tensor, *, symmetric: bool = False) -> None:
        super().__init__()
        shaped(means, "means", (1, None) if symmetric else (None, None))
        finite(means, "means")
        self.theta = nn.Parameter(means.detach().clone())
        self.symmetric = symmetric

    @property
    def means(self) -> Tensor:
        """The means, [K, d]."""
        return torch.cat([self.theta, -self.theta]) if self.symmetric else self.theta

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate of x0, [B, d], for z [B, d] and sigma [B]."""
        v = (1 + sigma**2)[:, None]
        means = self.means
        closeness = (z @ means.T - means.square().sum(1) / 2) / v
        x0: Tensor = z / v + (1 - 1 / v) * (torch.softmax(closeness, 1) @ means)
        return x0
