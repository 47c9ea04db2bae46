"""A network as a denoiser: inputs, targets and skip scaled to unit variance.

Source     Karras, Aittala, Aila, Laine, "Elucidating the design space of diffusion-based
           generative models", NeurIPS 2022, table 1 and section 5
Model      D(z, sigma) = c_skip z + c_out F(c_in z, ln(sigma) / 4), s = sigma_data:
           c_skip = s^2 / (sigma^2 + s^2)      c_out = sigma s / sqrt(sigma^2 + s^2)
           c_in   = 1 / sqrt(sigma^2 + s^2)
Cost       one evaluation of F
Fails      outside the noise levels that F was trained on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Preconditioned(nn.Module):
    """The denoiser D of a network F.

    Parameters
    ----------
    network
        F: takes x [B, *shape] and ln(sigma) / 4 [B], returns [B, *shape].
    sigma_data
        Standard deviation of a coordinate of the signal, > 0.
    """

    def __init__(self, network: nn.Module, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate of x0, [B, *shape], for z [B, *shape] and sigma [B]."""
        s = sigma.reshape(-1, *[1] * (z.ndim - 1))
        data = self.sigma_data
        scale = torch.sqrt(s**2 + data**2)
        weights = next(self.network.parameters()).dtype
        x = (z / scale).to(weights)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        f = self.network(x, torch.log(sigma) / 4).to(z.dtype)
        x0: Tensor = z * (data / scale) ** 2 + f * (s * data / scale)
        return x0
