"""The optimizers of a training, as one: AdamW, plain gradient steps, or Muon with AdamW.

Update     adamw    Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019
           sgd      w <- w - r g
           muon     hidden weights W as matrices [out, in * kernel]:
                    M <- 0.95 M + g,  W <- W - r 0.2 sqrt(max(out, in kernel)) U V^T,
                    U S V^T the SVD of the look-ahead of M (by five Newton-Schulz steps); all
                    other weights by AdamW
Source     Muon: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; its
           scale: Liu et al., "Muon is scalable for LLM training", 2025, so that one rate suits both
Cost       muon: five steps of 2 k^2 l + k^3 multiplications for each weight of sides k <= l
Fails      muon, where a matrix has few significant directions by design: embeddings, first and
           last layers. Those are AdamW's here.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

Name = Literal["adamw", "sgd", "muon"]
SMALLEST = 32  # channels on both sides of a hidden weight
APART = ("modulation", "level", "whole")  # what depends on the noise level; whole images


class Optimizers:
    """Optimizers that share out the weights of a denoiser.

    Parameters
    ----------
    name
        "adamw", "sgd" or "muon".
    weights
        The weights by name.
    weight_decay
        Of AdamW and Muon, >= 0.
    """

    def __init__(self, name: Name, weights: dict[str, nn.Parameter], weight_decay: float) -> None:
        self.weights = weights
        self.leaves = {n: _leaf(n, w) if name == "muon" else w for n, w in weights.items()}
        matrices = [leaf for n, leaf in self.leaves.items() if leaf is not weights[n]]
        rest = [leaf for n, leaf in self.leaves.items() if leaf is weights[n]]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(
                torch.optim.Muon(
                    matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
                )
            )
        if name == "sgd":
            self.parts.append(torch.optim.SGD(rest, foreach=True))
        elif rest:
            self.parts.append(
                torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=weight_decay, foreach=True)
            )

    def forget(self) -> None:
        """Drop the gradients of the last step."""
        for w in self.weights.values():
            w.grad = None

    def step(self, rate: float) -> None:
        """Change the weights along their gradients."""
        for name, leaf in self.leaves.items():
            w = self.weights[name]
            if leaf is not w and w.grad is not None:
                leaf.grad = _matrix(w.grad, w)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def moments(self) -> dict[str, dict[str, Any]]:
        """Return what the optimizers remember of each weight."""
        return {name: dict(self._of(name)[leaf]) for name, leaf in self.leaves.items()}

    def restore(self, moments: dict[str, dict[str, Tensor]]) -> None:
        """Go on from moments.

        They take the layout in memory of their weight, so that sums run in the same order.
        """
        for name, leaf in self.leaves.items():
            self._of(name)[leaf] = {key: _laid(m, leaf) for key, m in moments[name].items()}

    def _of(self, name: str) -> dict[Tensor, Any]:
        """Return the states of the optimizer that a weight belongs to: matrices have the first."""
        return self.parts[0 if self.leaves[name] is not self.weights[name] else -1].state


def _laid(moment: Tensor, leaf: Tensor) -> Tensor:
    if moment.shape != leaf.shape:
        return moment.clone()
    return torch.empty_like(leaf, requires_grad=False).copy_(moment)


def _leaf(name: str, weight: nn.Parameter) -> nn.Parameter:
    """Return a hidden weight as a matrix in the same memory, another one as it is."""
    hidden = weight.ndim >= 2 and min(weight.shape[:2]) >= SMALLEST
    if not hidden or any(word in name for word in APART):
        return weight
    matrix = _matrix(weight.detach(), weight)
    return nn.Parameter(matrix) if matrix.data_ptr() == weight.data_ptr() else weight


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Return values of a weight's shape as [out, in * kernel], in the order of its memory."""
    if weight.ndim == 4 and not weight.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(weight), -1)
