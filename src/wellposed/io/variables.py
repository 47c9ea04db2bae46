"""Variables of HDF5 and NetCDF files: one array, by name or because there is only one.

NetCDF-4 files are HDF5 files. Packed values are unpacked (``scale_factor``, ``add_offset``), and
fill values (``_FillValue``, ``missing_value``) become NaN. Nothing but plain numbers is read: no
links to other files, no stored functions, no compound types.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError, MissingExtraError
from wellposed.io.source import Limits, allow, decoding

HDF5 = b"\x89HDF\r\n\x1a\n"
CLASSIC = (b"CDF\x01", b"CDF\x02")


def holds_variables(head: bytes) -> bool:
    """Tell HDF5, NetCDF-4 and classic NetCDF by their first bytes."""
    return head.startswith((HDF5, *CLASSIC))


def read_variable(
    path: Path, head: bytes, limits: Limits, name: str | None = None, order: int = 3
) -> NDArray[Any]:
    """Read one variable.

    Parameters
    ----------
    path, head
        The file, and its first bytes.
    limits
        Largest array.
    name
        Of the variable, with its groups; None takes the only one of at least ``order`` modes.
    order
        Fewest modes.

    Returns
    -------
    NDArray
        Floating, NaN where missing.

    Raises
    ------
    FileError
        No such variable, several that fit, too large, not plain numbers, or a damaged file.
    MissingExtraError
        An HDF5 file without the extra ``hdf5``.
    """
    if head.startswith(HDF5):
        return _from_hdf5(path, limits, name, order)
    return _from_classic(path, limits, name, order)


def _from_hdf5(path: Path, limits: Limits, name: str | None, order: int) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "hdf5", "reading HDF5 and NetCDF-4 files") from error
    found: dict[str, Any] = {}

    def visit(key: str, item: Any) -> None:  # follows no links: they may leave the file
        if isinstance(item, h5py.Dataset):
            found[key] = item

    with decoding(path, "an HDF5 file"), h5py.File(path, "r") as file:
        file.visititems(visit)
        key = _chosen(path, {k: v.shape or () for k, v in found.items()}, name, order)
        item = found[key]
        if item.dtype.kind not in "biuf" or item.external is not None or item.is_virtual:
            raise FileError(
                f"{path}, {key}: not plain numbers that lie in this file",
                remedy="copy it into the file as numbers, without links",
            )
        allow(path, int(np.prod(item.shape)) * 8, limits, f"{key} takes")
        return unpacked(item[...], {k: item.attrs[k] for k in item.attrs if k in _PACKING})


def _from_classic(path: Path, limits: Limits, name: str | None, order: int) -> NDArray[Any]:
    from scipy.io import netcdf_file

    with decoding(path, "a NetCDF file"), netcdf_file(path, "r", mmap=False) as file:
        key = _chosen(path, {k: v.shape for k, v in file.variables.items()}, name, order)
        item = file.variables[key]
        allow(path, int(np.prod(item.shape)) * 8, limits, f"{key} takes")
        about = {k: getattr(item, k) for k in _PACKING if hasattr(item, k)}
        return unpacked(np.array(item[...]), about)


_PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset")


def unpacked(raw: NDArray[Any], about: Mapping[str, Any]) -> NDArray[Any]:
    """Turn stored numbers into values: NaN for fill values, scaled and shifted.

    Examples
    --------
    >>> raw = np.array([1, 2, -1], np.int16)
    >>> unpacked(raw, {"_FillValue": -1, "scale_factor": 0.5}).tolist()
    [0.5, 1.0, nan]
    """
    missing = np.zeros(raw.shape, bool)
    for name in ("_FillValue", "missing_value"):
        if name in about:
            missing |= np.isin(raw, np.ravel(about[name]))
    wide = raw.dtype.itemsize > 2
    values = raw.astype(np.float64 if wide and raw.dtype != np.float32 else np.float32)
    if "scale_factor" in about or "add_offset" in about:
        factor = float(np.ravel(about.get("scale_factor", 1.0))[0])
        values = values.astype(np.float64) * factor
        values += float(np.ravel(about.get("add_offset", 0.0))[0])
    values[missing] = np.nan
    return values


def _chosen(path: Path, shapes: Mapping[str, Any], name: str | None, order: int) -> str:
    told = ", ".join(f"{k} {list(s)}" for k, s in list(shapes.items())[:8]) or "none"
    if name is not None:
        key = name.strip("/")
        if key not in shapes:
            raise FileError(
                f"{path} has no variable {name!r}; it holds {told}", remedy="name one of these"
            )
        return key
    fits = [k for k, s in shapes.items() if len(s) >= order]
    if len(fits) != 1:
        raise FileError(
            f"{path} holds the variables {told}; {len(fits)} of them have {order} or more modes",
            "it is not clear which is meant" if fits else "",
            "name it: --variable NAME",
        )
    return fits[0]
