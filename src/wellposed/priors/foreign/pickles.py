"""State dicts that torch saved: opened without running anything that is in them.

Method     the archive is looked at first: nothing in it may be compressed, so that it cannot grow;
           then ``torch.load(weights_only=True)`` builds tensors and refuses all else; then every
           tensor is real, and all together are no larger than the file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import FileError
from wellposed.files import file_error
from wellposed.priors.foreign.files import Weights

INSIDE = ("ema", "ema_model", "state_dict", "model", "net")  # where a checkpoint keeps its weights
DEEPEST = 3


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, half precision as float32.

    Parameters
    ----------
    path
        What ``torch.save`` wrote (torch >= 1.6), or a safetensors file. Of several sets of weights
        the averaged one is taken.

    Raises
    ------
    FileError
        The file is missing or damaged, or holds other things than tensors.
    """
    if path.suffix == ".safetensors":
        return Weights.open(path).read()
    try:
        size = path.stat().st_size
        _check_archive(path, size)
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except FileError:
        raise
    except OSError as error:
        raise file_error(path, "read", error) from error
    except Exception as error:  # torch raises many kinds, of which none is ours
        raise FileError(
            f"{path} cannot be opened as weights: {_said(error)}",
            "only tensors are taken from a checkpoint, nothing in it is run",
            "save the state dict alone: torch.save(model.state_dict(), path)",
        ) from None
    return _tensors(path, tree, size)


def _said(error: Exception) -> str:
    """Return what torch says of a file, without its advice to run what is in it."""
    lines = (line.strip() for line in str(error).splitlines())
    told = (s for s in lines if s and "weights_only" not in s and "Weights only" not in s)
    return next(told, type(error).__name__)


def _check_archive(path: Path, size: int) -> None:
    if not zipfile.is_zipfile(path):
        with path.open("rb"):
            pass  # a missing file is another error
        raise FileError(
            f"{path} is no checkpoint of torch 1.6 or newer",
            "older files are pickles through and through, and are not opened",
            "save it once more with a newer torch, as the state dict alone",
        )
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or (
        sum(e.file_size for e in entries) > size
    ):
        raise FileError(
            f"{path} is a compressed archive",
            "torch does not write such files",
            "give the file as torch.save wrote it",
        )


def _tensors(path: Path, tree: Any, size: int) -> dict[str, Tensor]:
    for _ in range(DEEPEST):
        inner = next((key for key in INSIDE if _is_dict(tree) and _is_dict(tree.get(key))), None)
        if inner is None:
            break
        tree = tree[inner]
    if not _is_dict(tree) or not tree:
        raise FileError(
            f"{path} holds no dictionary of weights",
            "only tensors by their names can be turned into a prior",
            "save the state dict alone: torch.save(model.state_dict(), path)",
        )
    strange = [name for name, value in tree.items() if not _is_weight(name, value)]
    if strange:
        raise FileError(
            f"{path} holds {strange[0]!r}, which is no tensor of real numbers",
            "weights are wanted, and nothing else",
            "save the state dict alone: torch.save(model.state_dict(), path)",
        )
    if sum(value.numel() * value.element_size() for value in tree.values()) > 2 * size:
        raise FileError(f"{path} holds tensors that are larger than the file", "it is damaged")
    return {name: value.detach().float() for name, value in tree.items()}


def _is_dict(tree: Any) -> bool:
    return isinstance(tree, dict)


def _is_weight(name: Any, value: Any) -> bool:
    plain = isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
    return plain and value.is_floating_point()
