"""Self-calibration: gains of the sensors and signals at once, by linear least squares.

Source     S. Ling, T. Strohmer, "Self-calibration and bilinear inverse problems via linear
           least squares", SIAM J. Imaging Sci. 11 (2018).
Model      y_l = diag(d) A_l x_l + noise, l = 1, ..., p: gains d [m] and signals unknown,
           A_l known; three settings in ``models``.
Idea       with s = 1/d the equations  diag(y_l) s - A_l x_l = 0  are linear in z = (s, x):
           S z = 0. Partial knowledge of the gains, 1/d = B v with B [m, k], leaves fewer
           unknowns.
Solutions  least squares   minimise ||S z||^2 with a row <w, z> = 1 against z = 0
           spectral        z = the right singular vector of the smallest singular value of S
Cost       one dense factorization of p m x (k + N) numbers, or LSMR without forming S.
Guarantee  exact without noise from nearly as few equations as there are unknowns (up to
           logarithms); the error grows linearly with the noise.
Fails      fewer equations than unknowns (refused); sensors with gain near zero; least squares
           where w is nearly orthogonal to the truth, as all ones is to random phases: noise
           is amplified by 1 / |cos angle(w, z)|. The spectral form has no w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.bilinear.models import CalibrationModel
from wellposed.bilinear.solution import Calibration, calibration, check_unique
from wellposed.bilinear.system import System, bottom, normalised_solution
from wellposed.checks import as_tensor, finite, require, shaped


@dataclass(frozen=True, eq=False)
class SelfCalibration:
    """Recover gains and signals from y_l = diag(d) A_l x_l.

    Parameters
    ----------
    model
        ``RepeatedMeasurements``, ``DiverseInputs`` or ``Snapshots``.
    basis
        B, [m, k], of linearly independent columns, when 1/d = B v is known to lie in their
        span; None leaves 1/d free.

    Raises
    ------
    InputError
        A basis of the wrong shape or with dependent columns.

    Examples
    --------
    >>> import torch
    >>> from wellposed.bilinear import SelfCalibration, Snapshots
    >>> noise = torch.Generator().manual_seed(0)
    >>> matrix, signals = (torch.randn(n, 3, generator=noise).double() for n in (12, 4))
    >>> gains = torch.linspace(0.5, 1.5, 12, dtype=torch.float64)
    >>> model = Snapshots(matrix)
    >>> fit = SelfCalibration(model).spectral(model.measure(gains, signals))
    >>> bool((fit.gains / fit.gains[0] - gains / gains[0]).abs().max() < 1e-10)
    True
    """

    model: CalibrationModel
    basis: Tensor | None = None

    reference: ClassVar[str] = "Ling & Strohmer, SIAM J. Imaging Sci. 11 (2018)"
    needs: ClassVar[str] = "readings of sensors, a calibration model"

    def __post_init__(self) -> None:
        require(
            isinstance(self.model, CalibrationModel),
            f"model is a {type(self.model).__name__}, expected a calibration model",
            remedy="take RepeatedMeasurements, DiverseInputs or Snapshots",
        )
        if self.basis is None:
            return
        table = as_tensor(self.basis, "basis")
        shaped(table, "basis", (self.model.sensors, None))
        finite(table, "basis")
        rank = int(torch.linalg.matrix_rank(table)) if table.numel() else 0
        require(
            rank == table.shape[1] > 0,
            f"basis has {table.shape[1]} columns of rank {rank}, expected independent ones",
            "dependent columns describe the same gains in several ways",
            "orthonormalise them, for instance by torch.linalg.qr",
        )
        object.__setattr__(self, "basis", table)

    def spectral(self, y: Tensor) -> Calibration:
        """Take the singular vector of the smallest singular value of S.

        Parameters
        ----------
        y
            Readings, [p, m], real or complex.

        Raises
        ------
        InputError
            Wrong shape, NaN, a sensor that always reads zero, fewer equations than unknowns,
            or more than one solution.
        """
        shots = self._checked(y)
        system = self._system(shots)
        near = bottom(system)
        check_unique(near, shots.dtype)
        return calibration(system, near.z, near, shots)

    def least_squares(self, y: Tensor, guess: Tensor | None = None) -> Calibration:
        """Solve S z = 0 with the normalising row <1 / guess, 1 / d> = 1.

        Parameters
        ----------
        y
            Readings, [p, m], real or complex.
        guess
            Rough gains, [m], none zero; None means: all one.

        Raises
        ------
        InputError
            As ``spectral``; or the guess is so far off that another vector fits its row better.
        """
        shots = self._checked(y)
        system = self._system(shots)
        near = bottom(system)
        check_unique(near, shots.dtype)
        z, converged = normalised_solution(system, system.row(self._normal(system, guess)))
        level = float(system.times(z).norm()) / near.largest
        require(
            level < near.second,
            f"the normalised solution leaves {level:.1e} of the equations, expected less than "
            f"the second smallest singular value, {near.second:.1e}",
            "the guess is nearly orthogonal to the gains",
            "pass guess=..., or use the spectral form, which needs none",
        )
        return calibration(system, z, near._replace(converged=near.converged and converged), shots)

    def _checked(self, y: Tensor) -> Tensor:
        shots = as_tensor(y, "y")
        self.model.check(shots)
        finite(shots, "y")
        dead = (shots.abs().amax(0) == 0).nonzero().flatten().tolist()
        require(
            not dead,
            f"{len(dead)} sensor(s) read zero in every shot, the first is number {dead[:1]}",
            "any signal explains a gain of zero",
            "leave these sensors out",
        )
        return shots

    def _system(self, shots: Tensor) -> System:
        """Bring all numbers to float64, or complex128 if any is complex, and count equations."""
        parts = [self.model.numbers, shots] + ([] if self.basis is None else [self.basis])
        kind = torch.complex128 if any(part.is_complex() for part in parts) else torch.float64
        basis = None if self.basis is None else self.basis.to("cpu", kind)
        system = System(shots.to("cpu", kind), self.model.converted(kind), basis)
        rows, columns = system.shape
        require(
            rows >= columns - 1,
            f"{rows} equations ({shots.shape[0]} shots of {shots.shape[1]} sensors) for "
            f"{columns} unknowns up to a factor, expected at least {columns - 1}",
            "there is more than one solution",
            "take more shots, or pass a basis of 1/d with fewer columns",
        )
        return system

    def _normal(self, system: System, guess: Tensor | None) -> Tensor:
        if guess is None:
            return torch.ones_like(system.y[0])
        gains = as_tensor(guess, "guess")
        shaped(gains, "guess", (self.model.sensors,))
        finite(gains, "guess")
        require(bool((gains != 0).all()), "guess has a zero, expected gains other than zero")
        return 1 / gains.to(system.y)
