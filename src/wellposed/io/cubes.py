"""Arrays of three or more modes, with NaN where missing."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.arrays import header_of, read_npy, read_npz
from wellposed.io.images import MAGIC
from wellposed.io.source import NOTHING, NUMPY, ZIP, Limits, decoding, head_of
from wellposed.io.stacks import read_stack
from wellposed.io.variables import holds_variables, read_variable
from wellposed.io.video import is_video

ORDER = 3


@dataclass(frozen=True, eq=False)
class Cube:
    """An array of three or more modes.

    Parameters
    ----------
    values
        [n_1, ..., n_N] float32 or float64, NaN where missing; 8-bit frames run from 0 to 1.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cube.npy"
    >>> np.save(path, np.array([[[1.0, np.nan]]]))
    >>> cube = read_cube(path)
    >>> cube.shape, cube.observed
    ((1, 1, 2), 0.5)
    """

    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_1, ..., n_N)."""
        return self.values.shape

    @property
    def observed(self) -> float:
        """Share of the cells that are not missing."""
        return float(1 - np.isnan(self.values).mean())


def holds_cube(path: str | Path, limits: Limits | None = None) -> bool:
    """Tell by its beginning whether a file is an array of three or more modes.

    Raises
    ------
    FileError
        It cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.npy"
    >>> np.save(path, np.zeros((3, 4)))
    >>> holds_cube(path)
    False
    """
    path, limits = Path(path), limits or Limits()
    if path.is_dir():
        return True
    head = head_of(path, limits)
    if head.startswith(NUMPY):
        with decoding(path, "a numpy array"), path.open("rb") as file:
            return len(header_of(path, file).shape) >= ORDER
    if head.startswith(ZIP):
        return any(len(shape) >= ORDER for shape in _members(path))
    return holds_variables(head) or is_video(head) or head.startswith(MAGIC)


def read_cube(
    path: str | Path, *, variable: str | None = None, limits: Limits | None = None
) -> Cube:
    """Read an array of three or more modes.

    Parameters
    ----------
    path
        .npy, .npz, HDF5, NetCDF; or frames, as ``read_stack`` takes them: a folder of pictures,
        a video, a TIFF with many pages.
    variable
        Which array of an .npz, HDF5 or NetCDF file; None takes the only one that fits.
    limits
        Largest file and array.

    Raises
    ------
    FileError
        Missing, damaged, too large, fewer than three modes, infinite values, or nothing observed.
    MissingExtraError
        An HDF5 file without the extra ``hdf5``, or a video without ``video``.
    """
    path, limits = Path(path), limits or Limits()
    values = _checked(path, _values(path, variable, limits))
    return Cube(values)


def _values(path: Path, variable: str | None, limits: Limits) -> NDArray[Any]:
    head = b"" if path.is_dir() else head_of(path, limits)
    if head.startswith(NUMPY):
        return read_npy(path, limits)
    if head.startswith(ZIP):
        return _of_archive(path, read_npz(path, limits), variable)
    if holds_variables(head):
        return read_variable(path, head, limits, variable)
    frames = read_stack(path, limits=limits).frames
    return frames / np.float32(255) if frames.dtype == np.uint8 else frames


def _of_archive(path: Path, arrays: dict[str, NDArray[Any]], variable: str | None) -> NDArray[Any]:
    fits = [name for name, array in arrays.items() if array.ndim >= ORDER]
    name = variable or (fits[0] if len(fits) == 1 else None)
    if name is None or name not in arrays:
        told = ", ".join(f"{k} {list(a.shape)}" for k, a in list(arrays.items())[:8])
        raise FileError(
            f"{path} holds {told}; expected one array of three or more modes",
            "otherwise it is not clear which array is meant",
            "name it: --variable NAME",
        )
    return arrays[name]


def _checked(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim < ORDER or not values.size:
        raise FileError(
            f"{path} holds an array of shape {list(values.shape)}, expected three or more modes",
            remedy="a table with two modes is read as it is: see wellposed complete --help",
        )
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    if np.isinf(values).any():
        first = tuple(int(i) for i in np.argwhere(np.isinf(values))[0])
        raise FileError(
            f"{path}: the value at {first} is infinite, expected a finite number or NaN",
            "one such value spreads over the whole estimate",
            "write NaN where a cell was not measured",
        )
    if np.isnan(values).all():
        raise FileError(f"{path} has no observed cell", *NOTHING)
    return np.ascontiguousarray(values)


def _members(path: Path) -> list[tuple[int, ...]]:
    with decoding(path, "a numpy archive"), zipfile.ZipFile(path) as archive:
        found = []
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as file:
                    found.append(header_of(path, file).shape)
        return found
