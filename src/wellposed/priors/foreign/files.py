"""Files that strangers wrote: read with limits, checked before they are believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import FileError
from wellposed.files import file_error

LARGEST_JSON = 1 << 20  # bytes


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises
    ------
    FileError
        It is missing, larger than 1 MiB, or no JSON object.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_JSON + 1)
    except OSError as error:
        raise file_error(path, "read", error) from error
    if len(data) > LARGEST_JSON:
        raise FileError(f"{path} is larger than {LARGEST_JSON:,} bytes, too long for a config")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON: {error}", remedy="get the file again") from None
    if not isinstance(found, dict):
        raise FileError(f"{path} holds a {type(found).__name__}, expected an object")
    return found


def number(told: Mapping[str, Any], name: str, default: float) -> float:
    """Return a finite number of a JSON object.

    Raises
    ------
    InputError
        It is something else.

    Examples
    --------
    >>> number({"eps": 1e-6}, "eps", 1e-5), number({}, "eps", 1e-5)
    (1e-06, 1e-05)
    """
    value = told.get(name, default)
    sound = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(sound and math.isfinite(value), f"{name} is {value!r}, expected a number")
    return float(value)


@dataclass(frozen=True)
class Weights:
    """A safetensors file whose header has been read.

    Attributes
    ----------
    path
        The file.
    shapes
        Shape of each tensor. The file is as long as they need, so they are no empty promise.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def open(cls, path: Path) -> Weights:
        """Read the header.

        Raises
        ------
        FileError
            The file is missing, truncated, or no safetensors file.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                names = file.keys()
                return cls(path, {n: tuple(file.get_slice(n).get_shape()) for n in names})
        except (OSError, SafetensorError, ValueError) as error:
            raise _unreadable(path, error) from None

    def read(self) -> dict[str, Tensor]:
        """Read all tensors; half precision becomes float32."""
        try:
            with safe_open(str(self.path), framework="pt") as file:
                found = {name: file.get_tensor(name) for name in self.shapes}
        except (OSError, SafetensorError, ValueError) as error:
            raise _unreadable(self.path, error) from None
        return {name: _widened(value) for name, value in found.items()}


def _widened(value: Tensor) -> Tensor:
    half = value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


def _unreadable(path: Path, error: Exception) -> FileError:
    return FileError(
        f"{path} cannot be read: {error}",
        "it is missing, truncated or no safetensors file",
        "get it again",
    )
