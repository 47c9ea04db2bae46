"""Spectrally sparse signals through their Hankel lift.

Source     Y. Chen, Y. Chi, "Robust spectral compressed sensing via structured matrix
           completion", IEEE Trans. IT 60 (2014); gradient of T. Tong, C. Ma, Y. Chi, JMLR 22
           (2021), Hankel matrix completion.
Model      M = L R^T = H(x),  H(x)[i, j] = x[i + j],  x real of length n = n1 + n2 - 1, read at
           the positions Omega, a share p. A damped cosine in x adds 2 to the rank of H(x).
Objective  1/(2p) sum_{k in Omega} w_k (x_k - y_k)^2 + 1/2 ||L R^T - H(x)||^2,
           x_k the mean of L R^T over its anti-diagonal k, w_k the length of that.
Gradient   Z = L R^T + H(z),  z = (1/p) P_Omega(x - y) - x.   Its operator has gain 1 exactly.
Cost       x, and Z times r columns, by FFT: O(n r log n). Nothing n1 x n2 is formed.
Fails      complex signals: factors are real here. (A complex lift needs M = L R^H, Grams F^H F
           and Z^H in every method.) Poles closer than about 1/n make the lift ill-conditioned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.fft import irfft, rfft

from wellposed.checks import as_indices, require, shaped, whole
from wellposed.errors import InputError
from wellposed.linalg import Callback, ImplicitMatrix, gram
from wellposed.operators.base import MatrixOperator, Misfit
from wellposed.rng import Stream

PROBES = 32  # random combinations of columns that estimate a norm which rounding hides
RELIABLE = 1e4  # a difference of squares is trusted above this many roundings


@dataclass(frozen=True, eq=False)
class Hankel(MatrixOperator):
    """Read some samples of a signal whose Hankel lift has low rank.

    The unknown is the lift, [n1, n2]; a fit has to meet the samples *and* to be a Hankel
    matrix. ``misfit``, ``gain`` and ``canonical`` speak of both; ``forward`` and ``adjoint`` of
    the samples alone (the mean of each observed anti-diagonal).

    Parameters
    ----------
    observed
        Positions of the samples, [m], each in 0 ... length - 1, none twice.
    length
        Length n of the signal, >= 1.
    n1
        Rows of the lift, in 1 ... length; by default (length + 1) // 2, the squarest.

    Raises
    ------
    InputError
        A position outside the signal or given twice, no sample, complex numbers.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> samples = wp.operators.Hankel([0, 3, 4], length=5)
    >>> samples.lift(torch.arange(5.0)).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    >>> samples(samples.lift(torch.arange(5.0))).tolist()
    [0.0, 3.0, 4.0]
    """

    observed: Tensor
    length: int
    n1: int | None = None

    def __post_init__(self) -> None:
        whole(self.length, "length")
        rows = (self.length + 1) // 2 if self.n1 is None else self.n1
        whole(rows, "n1")
        require(rows <= self.length, f"n1 is {rows}, expected at most the length {self.length}")
        object.__setattr__(self, "n1", int(rows))
        places = as_indices(self.observed, "observed", self.length).long()
        object.__setattr__(self, "observed", places)
        require(places.numel() > 0, "observed is empty, expected at least one position")
        times = torch.bincount(places)
        require(
            int(times.max()) == 1,
            f"position {int(times.argmax())} is observed {int(times.max())} times, expected once",
            "two values for one sample would count it twice",
            "average the repeats first",
        )

    @property
    def shape_in(self) -> tuple[int, int]:  # type: ignore[override]
        """(n1, n2)."""
        rows = int(self.n1 or 0)
        return rows, self.length + 1 - rows

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return (self.observed.numel(),)

    @property
    def gain(self) -> float:
        """1: the samples weigh w_k / p, and the rest of the lift is one equation a cell."""
        return 1.0

    @cached_property
    def lengths(self) -> Tensor:
        """Length w_k of each anti-diagonal, [n] int64."""
        up = torch.arange(1, self.length + 1, device=self.observed.device)
        return torch.minimum(up, up.flip(0)).clamp_max(min(self.shape_in))

    @property
    def share(self) -> float:
        """Share p of observed samples."""
        return self.observed.numel() / self.length

    @cached_property
    def period(self) -> int:
        """Length of the transforms: no shorter than the signal, so that nothing wraps."""
        return int(next_fast_len(self.length, real=True))

    def lift(self, x: Tensor) -> Tensor:
        """Return H(x), a view: [..., n] to [..., n1, n2]."""
        shaped(x, "the signal", (*x.shape[:-1], self.length))
        return x.unfold(-1, self.shape_in[1], 1)

    def signal(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the signal whose lift is nearest to L R^T, [n]: its anti-diagonal means."""
        spectra = rfft(left, self.period, dim=0) * rfft(right, self.period, dim=0)
        sums: Tensor = irfft(spectra.sum(1), self.period)[: self.length]
        return sums.div(self.lengths)

    def forward(self, x: Tensor) -> Tensor:
        """Average each observed anti-diagonal of each matrix in the batch."""
        n1, n2 = self.shape_in
        sums = x.new_zeros(x.shape[0], self.length)
        for row in range(n1):
            sums[:, row : row + n2] += x[:, row]
        return (sums / self.lengths)[:, self.observed]

    def backward(self, y: Tensor) -> Tensor:
        """Spread each value evenly over its anti-diagonal."""
        return self.lift(self._filled(y / self.lengths[self.observed])).contiguous()

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the observed samples of the signal nearest to L R^T."""
        return self.signal(left, right)[self.observed]

    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return the Hankel matrix that holds y_k / w_k on anti-diagonal k."""
        return self.implicit(self._filled(y / self.lengths[self.observed]))

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Return gradient and norm of the weighted samples and the Hankel structure together."""
        return HankelFit(self).misfit(left, right, self._weighted(y))

    def start_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return H(y / p), zero where nothing was observed."""
        return self.implicit(self._filled(y / self.share))

    def canonical(self, y: Tensor) -> tuple[MatrixOperator, Tensor]:
        """Weight the samples as the objective does."""
        moved = Hankel(self.observed.to(y.device), self.length, self.n1)
        return HankelFit(moved), self._weighted(y)

    def implicit(self, x: Tensor) -> Callback:
        """Return H(x) known through its products, the transform of x computed once."""
        n1, n2 = self.shape_in
        spectrum = rfft(x, self.period)[:, None]

        def rows(count: int, thin: Tensor) -> Tensor:  # sum_j x[i + j] thin[j]
            product = spectrum * rfft(thin, self.period, dim=0).conj()
            out: Tensor = irfft(product, self.period, dim=0)
            return out[:count]

        def times(thin: Tensor) -> Tensor:
            return rows(n1, thin)

        def transpose_times(thin: Tensor) -> Tensor:
            return rows(n2, thin)

        return Callback(torch.Size((n1, n2)), x.dtype, x.device, times, transpose_times)

    def _filled(self, values: Tensor) -> Tensor:
        out = values.new_zeros(*values.shape[:-1], self.length)
        out[..., self.observed] = values
        return out

    def _weighted(self, y: Tensor) -> Tensor:
        if y.is_complex():
            raise InputError(
                f"the samples are {y.dtype}, expected real numbers",
                "factors are real, so the lift is a real Hankel matrix",
                "recover real and imaginary parts one after the other",
            )
        return y * HankelFit(self).weights.to(y)


@dataclass(frozen=True, eq=False)
class HankelFit(MatrixOperator):
    """The equations of the objective: samples weighted by sqrt(w / p), and Hankel structure.

    ``forward`` returns the weighted samples; ``misfit`` adds the structure, (I - G G*) M.
    """

    hankel: Hankel

    @property
    def shape_in(self) -> tuple[int, int]:  # type: ignore[override]
        """(n1, n2)."""
        return self.hankel.shape_in

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return self.hankel.shape_out

    @property
    def gain(self) -> float:
        """1, samples and structure together."""
        return 1.0

    @cached_property
    def weights(self) -> Tensor:
        """sqrt(w_k / p) of each sample, [m] float64."""
        lengths = self.hankel.lengths[self.hankel.observed].double()
        return (lengths / self.hankel.share).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted samples of each matrix in the batch."""
        return self.hankel.forward(x) * self.weights.to(x)

    def backward(self, y: Tensor) -> Tensor:
        """Apply the adjoint."""
        return self.hankel.backward(y * self.weights.to(y))

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the weighted samples of L R^T."""
        return self.hankel.on_factors(left, right) * self.weights.to(left)

    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return the adjoint as an implicit Hankel matrix; of y itself it is H(y / p)."""
        return self.hankel.adjoint_matrix(y * self.weights.to(y))

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Return Z = L R^T + H(z), z = (1/p) P(x - y) - x, and the norm of all equations."""
        hankel, weights = self.hankel, self.weights.to(y)
        x = hankel.signal(left, right)
        off = x[hankel.observed] * weights - y
        z = -x
        z[hankel.observed] += off / (weights * hankel.share)
        structure = self._structure(left, right, x)
        return Misfit(
            _plus(left, right, hankel.implicit(z)), (off.square().sum() + structure).sqrt()
        )

    def _structure(self, left: Tensor, right: Tensor, x: Tensor) -> Tensor:
        """Return ||L R^T - H(x)||^2.

        ||L R^T||^2 - ||H(x)||^2 is exact until rounding hides it, when L R^T is a Hankel matrix
        to half the working precision. There ||(L R^T - H(x)) b||^2 is averaged over fixed sign
        vectors b, which loses no digits; its relative standard error is at most
        sqrt(2 / PROBES) (a residual of rank one), usually far less.
        """
        total = (gram(left) * gram(right)).sum()
        difference = total - (self.hankel.lengths * x.square()).sum()
        if bool(difference > RELIABLE * torch.finfo(x.dtype).eps * total):
            return difference
        seen = _plus(left, right, self.hankel.implicit(-x)) @ self._signs.to(x)
        return seen.square().sum().div(PROBES)

    @cached_property
    def _signs(self) -> Tensor:
        return Stream(0).normal((self.shape_in[1], PROBES), "Hankel probes").sign()


def _plus(left: Tensor, right: Tensor, other: Callback) -> Callback:
    """Return L R^T + other, known through its products."""

    def times(thin: Tensor) -> Tensor:
        return torch.addmm(other @ thin, left, right.mT @ thin)

    def transpose_times(thin: Tensor) -> Tensor:
        return torch.addmm(other.T @ thin, right, left.mT @ thin)

    return Callback(other.shape, other.dtype, other.device, times, transpose_times)
