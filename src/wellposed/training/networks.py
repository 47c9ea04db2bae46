"""The networks that can be trained by name."""

from __future__ import annotations

from wellposed.checks import require
from wellposed.priors.diffusion import Shape
from wellposed.priors.network import DiTConfig, MLPConfig, NetworkConfig, UNetConfig

NAMES = ("unet", "unet-wide", "dit", "mlp")


def network_named(name: str | None, shape: Shape) -> NetworkConfig:
    """Return the config of a network for signals of a shape.

    Parameters
    ----------
    name
        "unet" (widths 64, 96, 128: 2.4 million parameters), "unet-wide" (80, 112, 128, 128: 3.5
        million), "dit" (six blocks of width 192 on squares of 4 x 4 pixels, or of 2 x 2 where 4
        does not divide the sides: 3.5 million), "mlp" (four blocks of width 128), or None: "unet"
        for images, "mlp" for vectors.
    shape
        [C, H, W] or [d].

    Raises
    ------
    InputError
        There is none of this name, or it does not take signals of this shape.

    Examples
    --------
    >>> network_named(None, (5,))
    MLPConfig(size=5, width=128, depth=4, embedding=32)
    """
    name = name or ("mlp" if len(shape) == 1 else "unet")
    require(
        name in NAMES,
        f"there is no network {name!r}",
        remedy=f"take one of {', '.join(NAMES)}",
    )
    wanted = 1 if name == "mlp" else 3
    require(
        len(shape) == wanted,
        f"signals have shape {list(shape)}, which {name} does not take",
        "a perceptron takes vectors, the other networks images",
    )
    config = _config(name, shape)
    config.check_shape(shape)
    return config


def _config(name: str, shape: Shape) -> NetworkConfig:
    if name == "mlp":
        return MLPConfig(shape[0])
    if name == "dit":
        patch = 4 if shape[1] % 4 == 0 == shape[2] % 4 else 2
        return DiTConfig(shape[0], shape[1], shape[2], patch, width=192, heads=6)
    if name == "unet":
        return UNetConfig(shape[0], (64, 96, 128), (2, 2, 2), (2, 2, 2))
    return UNetConfig(shape[0])
