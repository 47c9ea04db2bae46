"""What a training learns from: read, checked, split, and brought into form.

Signals of one shape are rows; pictures are cut into crops. Bytes are read as [-1, 1], other
numbers as they are. Images of bytes get a black border up to the network's stride.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from wellposed.checks import finite, require
from wellposed.datasets import RECIPES, Fashion, Pictures, load
from wellposed.errors import FileError, InputError
from wellposed.io.arrays import read_npy, read_npz
from wellposed.io.idx import GZIP, is_idx, read_idx
from wellposed.io.images import folder_frames
from wellposed.io.source import NUMPY, ZIP, Limits, head_of
from wellposed.io.stack import Pick
from wellposed.jobs.requests import TrainJob
from wellposed.priors.diffusion import Shape
from wellposed.rng import Stream
from wellposed.training.data import Crops, Rows, Source, as_range, held_out, pyramid

STRIDE = 8  # of the U-Net for images of one size
CHECKED = 512  # held-out rows that judge a training, at most
MEASURED = 8  # batches that the standard deviation is measured on
Named = list[tuple[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Material:
    """Signals to train on and to judge by.

    Attributes
    ----------
    source
        Gives the training batches.
    checks
        Held-out batches.
    shape
        Of one signal, as a prior is made for it.
    counts
        How many signals or pictures there are to train on, and held out.
    sigma_data
        Standard deviation of a coordinate.
    digest
        Hash of all data.
    """

    source: Source
    checks: tuple[Tensor, ...]
    shape: Shape
    counts: tuple[int, int]
    sigma_data: float
    digest: str


def gather(job: TrainJob) -> Material:
    """Read and check the data of a training.

    Raises
    ------
    FileError
        A file is missing, damaged, or holds no signals.
    InputError
        The data do not fit together, or are too few.
    """
    parts = [_read(name) for name in job.data]
    pictures = [part for part in parts if isinstance(part, list)]
    arrays = [part for part in parts if not isinstance(part, list)]
    if not arrays:
        return _crops(job, [item for part in pictures for item in part])
    if pictures or len({array.shape[1:] for array in arrays}) > 1:
        raise InputError(
            "the data are of several kinds: pictures, or signals of different shapes",
            "one network takes signals of one kind",
            "train on one kind at a time",
        )
    return _rows(job, np.concatenate(arrays))


def _read(name: str) -> Named | NDArray[Any]:
    if any(recipe.name == name for recipe in RECIPES):
        return _set(name)
    path, limits = Path(name), Limits()
    if path.is_dir():
        return list(folder_frames(path, Pick(None, 1, 1, False), limits))
    head = head_of(path, limits)
    if head.startswith(NUMPY):
        return read_npy(path, limits)
    if head.startswith(ZIP):
        return _only(path, read_npz(path, limits))
    if is_idx(head) or head.startswith(GZIP):
        return read_idx(path, limits)
    raise FileError(
        f"{path} is neither .npy, .npz nor IDX",
        "a training reads arrays of signals, or a folder of pictures",
        "convert it, or give the folder that it is in",
    )


def _set(name: str) -> Named | NDArray[Any]:
    found: Any = load(name)  # type: ignore[call-overload]
    if isinstance(found, Fashion):
        return found.train
    if isinstance(found, Pictures):
        return [(item.name, item.pixels) for item in found.items]
    raise InputError(
        f"the data set {name!r} holds no images to train on",
        remedy="a folder of images, or an array [N, C, H, W]",
    )


def _only(path: Path, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if len(arrays) != 1:
        raise FileError(f"{path} holds {len(arrays)} arrays, expected one: {', '.join(arrays)}")
    return next(iter(arrays.values()))


def _rows(job: TrainJob, values: NDArray[Any]) -> Material:
    values = np.asarray(values, None if values.dtype == np.uint8 else np.float32)
    if values.ndim == 4 and values.shape[3] in (1, 3) and values.shape[1] not in (1, 3):
        values = np.moveaxis(values, 3, 1)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim not in (2, 4) or len(values) < job.holdout:
        raise InputError(
            f"the data have shape {list(values.shape)}, expected at least {job.holdout} rows "
            "[n, d], or images [n, H, W], [n, H, W, C] or [n, C, H, W]",
        )
    x = torch.from_numpy(np.ascontiguousarray(values))
    finite(x, "the data")
    x = _bordered(x) if x.dtype == torch.uint8 and x.ndim == 4 else x
    held = torch.zeros(len(x), dtype=torch.bool)
    held[job.holdout // 2 :: job.holdout] = True
    source = Rows(x[~held], job.batch, bool(job.flips))
    kept = x[held]
    checks = torch.split(as_range(kept[:: max(1, len(kept) // CHECKED)][:CHECKED]), 256)
    counts = int((~held).sum()), int(held.sum())
    return _material(job, source, checks, tuple(x.shape[1:]), counts, [x])


def _bordered(x: Tensor) -> Tensor:
    (top, low), (left, right) = (_margin(n) for n in x.shape[2:])
    return pad(x, (left, right, top, low))


def _margin(n: int) -> tuple[int, int]:
    missing = -n % STRIDE
    return missing // 2, missing - missing // 2


def _crops(job: TrainJob, pictures: Named) -> Material:
    odd = [name for name, p in pictures if p.dtype != np.uint8]
    if odd:
        raise InputError(f"{odd[0]} is no picture of bytes", remedy="save it with 8 bits")
    if len(pictures) < job.holdout:
        raise InputError(f"there are {len(pictures)} pictures, expected at least {job.holdout}")
    grey = all(p.ndim == 2 for _, p in pictures)
    held = held_out([name for name, _ in pictures], job.holdout)
    smallest, pixels = min(job.crops), job.batch * job.crops[0] ** 2
    levels: tuple[list[Tensor], list[Tensor]] = ([], [])
    for (_, picture), aside in zip(pictures, held, strict=True):
        found = pyramid(picture if grey else _coloured(picture), job.largest, smallest)
        levels[aside].extend(found)
    flips = job.flips is not False
    source = Crops(tuple(levels[0]), job.crops, pixels, flips)
    checking = Crops(tuple(levels[1]), job.crops, 2 * pixels, flips=False)
    checks = tuple(checking.batch(Stream(0, item=1), k) for k in range(2))
    channels, side = 1 if grey else 3, smallest
    counts = len(held) - sum(held), sum(held)
    return _material(job, source, checks, (channels, side, side), counts, levels[0] + levels[1])


def _coloured(picture: NDArray[Any]) -> NDArray[Any]:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1)


def _material(
    job: TrainJob,
    source: Source,
    checks: tuple[Tensor, ...],
    shape: Shape,
    counts: tuple[int, int],
    everything: Sequence[Tensor],
) -> Material:
    digest = hashlib.sha256()
    for tensor in everything:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().data)
    sigma_data = job.sigma_data
    if sigma_data is None:
        stream = Stream(0, item=2)
        some = torch.cat([source.batch(stream, k).flatten() for k in range(MEASURED)])
        sigma_data = float(f"{float(some.double().std()):.2g}")
        require(
            sigma_data > 0,
            "all numbers of the signals are the same",
            "there is no law to learn, and no spread to scale by",
            "check the data, or give --sigma-data",
        )
    return Material(source, checks, shape, counts, sigma_data, digest.hexdigest())
