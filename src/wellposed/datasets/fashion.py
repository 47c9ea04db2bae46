"""Fashion-MNIST: pictures of clothes and their classes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.io.idx import read_idx

CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip


class Fashion(NamedTuple):
    """Bytes [n, 28, 28] and classes [n], to train on and to test."""

    train: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is to train on."""
        return self.train.shape


def read_fashion(paths: tuple[Path, ...]) -> Fashion:
    """Read pictures and classes, to train on and to test, in this order."""
    return Fashion(*map(read_idx, paths))
