"""Three ways in which m sensors with unknown gains d are used p times.

RepeatedMeasurements   y_l = diag(d) A_l x      one signal, p known sensing matrices
DiverseInputs          y_l = diag(d) A_l x_l    a new signal for each matrix (blind deconvolution
                                                with diverse inputs, in the Fourier domain)
Snapshots              y_l = diag(d) A x_l      a new signal for each shot, one matrix
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require


class CalibrationModel(ABC):
    """What the sensors would read if all gains were one."""

    sensors: int  # m
    entries: int  # n, length of one signal
    numbers: Tensor  # sensing matrices

    @abstractmethod
    def signal_shape(self, shots: int) -> tuple[int, ...]:
        """Return the shape of what is sensed in p shots: [n], or [p, n]."""

    @abstractmethod
    def image(self, signals: Tensor) -> Tensor:
        """Return A_l x_l of each shot, [p, m]."""

    @abstractmethod
    def back(self, y: Tensor) -> Tensor:
        """Return the adjoint of ``image``: [p, m] to the shape of the signals."""

    @abstractmethod
    def dense(self, shots: int) -> Tensor:
        """Return the matrix of ``image`` on flattened signals, [p m, entries of the signals]."""

    @abstractmethod
    def power(self, shots: int) -> float:
        """Return the squared Frobenius norm of ``dense``."""

    @abstractmethod
    def converted(self, dtype: torch.dtype) -> CalibrationModel:
        """Return the model with its numbers in another dtype, on the CPU."""

    def check(self, y: Tensor) -> None:
        """Require that y holds p shots of m sensors."""
        require(
            y.ndim == 2 and y.shape[0] > 0 and y.shape[1] == self.sensors,
            f"y has shape {list(y.shape)}, expected [shots, {self.sensors}]",
            "each shot reads every sensor once",
        )

    def measure(self, gains: Tensor, signals: Tensor) -> Tensor:
        """Return d * (A_l x_l), [p, m]."""
        return gains * self.image(signals)


@dataclass(frozen=True, eq=False)
class _Stack(CalibrationModel):
    """Models with a sensing matrix for each shot, [p, m, n]."""

    matrices: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrices", _numbers(self.matrices, "matrices", 3))

    @property
    def numbers(self) -> Tensor:  # type: ignore[override]
        return self.matrices

    @property
    def sensors(self) -> int:  # type: ignore[override]
        return int(self.matrices.shape[1])

    @property
    def entries(self) -> int:  # type: ignore[override]
        return int(self.matrices.shape[2])

    def power(self, shots: int) -> float:
        """Sum over all matrices."""
        return float(self.matrices.abs().square().sum())

    def converted(self, dtype: torch.dtype) -> CalibrationModel:
        """Convert the matrices."""
        return replace(self, matrices=self.matrices.to("cpu", dtype))

    def check(self, y: Tensor) -> None:
        """Require one shot for each matrix."""
        super().check(y)
        require(
            y.shape[0] == self.matrices.shape[0],
            f"y has {y.shape[0]} shots, expected {self.matrices.shape[0]}, one for each matrix",
        )


class RepeatedMeasurements(_Stack):
    """One signal, seen through p matrices: y_l = diag(d) A_l x.

    Parameters
    ----------
    matrices
        A_l, [p, m, n], real or complex.

    Raises
    ------
    InputError
        Not three-dimensional, empty, or not finite.

    Examples
    --------
    >>> import torch
    >>> from wellposed.bilinear import RepeatedMeasurements
    >>> model = RepeatedMeasurements(torch.ones(2, 3, 1))
    >>> model.measure(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0])).tolist()
    [[5.0, 10.0, 15.0], [5.0, 10.0, 15.0]]
    """

    def signal_shape(self, shots: int) -> tuple[int, ...]:
        """[n]."""
        return (self.entries,)

    def image(self, signals: Tensor) -> Tensor:
        """Return A_l x, [p, m]."""
        return self.matrices @ signals

    def back(self, y: Tensor) -> Tensor:
        """Return the sum of A_l^H y_l, [n]."""
        return (self.matrices.mH @ y[:, :, None]).sum(0)[:, 0]

    def dense(self, shots: int) -> Tensor:
        """Stack the matrices, [p m, n]."""
        return self.matrices.flatten(0, 1)


class DiverseInputs(_Stack):
    """A signal for each of p matrices: y_l = diag(d) A_l x_l.

    Parameters
    ----------
    matrices
        A_l, [p, m, n], real or complex.

    Raises
    ------
    InputError
        Not three-dimensional, empty, or not finite.

    Examples
    --------
    >>> import torch
    >>> from wellposed.bilinear import DiverseInputs
    >>> model = DiverseInputs(torch.ones(2, 3, 1))
    >>> model.measure(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[5.0], [1.0]])).tolist()
    [[5.0, 10.0, 15.0], [1.0, 2.0, 3.0]]
    """

    def signal_shape(self, shots: int) -> tuple[int, ...]:
        """[p, n]."""
        return (shots, self.entries)

    def image(self, signals: Tensor) -> Tensor:
        """Return A_l x_l, [p, m]."""
        return (self.matrices @ signals[:, :, None])[:, :, 0]

    def back(self, y: Tensor) -> Tensor:
        """Return A_l^H y_l, [p, n]."""
        return (self.matrices.mH @ y[:, :, None])[:, :, 0]

    def dense(self, shots: int) -> Tensor:
        """Put the matrices on a block diagonal, [p m, p n]."""
        return _block_diagonal(self.matrices)


@dataclass(frozen=True, eq=False)
class Snapshots(CalibrationModel):
    """A signal for each shot, seen through one matrix: y_l = diag(d) A x_l.

    Parameters
    ----------
    matrix
        A, [m, n], real or complex; the number of shots is that of y.

    Raises
    ------
    InputError
        Not two-dimensional, empty, or not finite.

    Examples
    --------
    >>> import torch
    >>> from wellposed.bilinear import Snapshots
    >>> model = Snapshots(torch.ones(3, 1))
    >>> model.measure(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[5.0], [1.0]])).tolist()
    [[5.0, 10.0, 15.0], [1.0, 2.0, 3.0]]
    """

    matrix: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _numbers(self.matrix, "matrix", 2))

    @property
    def numbers(self) -> Tensor:  # type: ignore[override]
        """The sensing matrix."""
        return self.matrix

    @property
    def sensors(self) -> int:  # type: ignore[override]
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def entries(self) -> int:  # type: ignore[override]
        """Number of columns."""
        return int(self.matrix.shape[1])

    def signal_shape(self, shots: int) -> tuple[int, ...]:
        """[p, n]."""
        return (shots, self.entries)

    def image(self, signals: Tensor) -> Tensor:
        """Return A x_l, [p, m]."""
        return signals @ self.matrix.mT

    def back(self, y: Tensor) -> Tensor:
        """Return A^H y_l, [p, n]."""
        return y @ self.matrix.conj()

    def dense(self, shots: int) -> Tensor:
        """Repeat the matrix on a block diagonal, [p m, p n]."""
        return _block_diagonal(self.matrix.expand(shots, -1, -1))

    def power(self, shots: int) -> float:
        """The matrix counts once for each shot."""
        return shots * float(self.matrix.abs().square().sum())

    def converted(self, dtype: torch.dtype) -> CalibrationModel:
        """Convert the matrix."""
        return replace(self, matrix=self.matrix.to("cpu", dtype))


def _block_diagonal(blocks: Tensor) -> Tensor:
    """Return [p m, p n] from [p, m, n]."""
    shots, rows, columns = blocks.shape
    out = blocks.new_zeros(shots, rows, shots, columns)
    each = torch.arange(shots, device=blocks.device)
    out[each, :, each] = blocks
    return out.reshape(shots * rows, shots * columns)


def _numbers(value: Any, name: str, axes: int) -> Tensor:
    table = as_tensor(value, name)
    wanted = "[shots, sensors, entries]" if axes == 3 else "[sensors, entries]"
    require(
        table.ndim == axes and table.numel() > 0,
        f"{name} has shape {list(table.shape)}, expected {wanted}, none of them zero",
    )
    finite(table, name)
    return table
