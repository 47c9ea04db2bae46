"""The short words of the command line for forward models and noise. Loads nothing heavy.

    denoise                      the picture itself
    inpaint:mask.png             the pixels where the mask is white
    inpaint:0.7                  all but a random share of 0.7
    superresolve:4               shrunk four times (bicubic, antialiased)
    blur:gaussian:2              standard deviation 2 pixels
    blur:motion:9:30             9 pixels at 30 degrees
    blur:kernel.npy              a kernel of one's own
    phase:4                      magnitudes of the coded Fourier transform, 4 times oversampled
    phase:4:code.npy             likewise, with a code of one's own, [H, W]
    onebit:0.4                   one bit a pixel: 1 with probability sigmoid((x - 0.5) / 0.4)

Lengths of noise and dither are on the scale from 0 (black) to 1 (white).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from wellposed.errors import InputError

OPERATORS = (
    "denoise, inpaint:mask.png, inpaint:0.7, superresolve:4, blur:gaussian:2, blur:motion:9:30, "
    "blur:kernel.npy, phase:4, phase:4:code.npy, onebit:0.4"
)


@dataclass(frozen=True)
class OperatorSpec:
    """A forward model in words.

    Attributes
    ----------
    kind
        denoise, inpaint, superresolve, gaussian, motion, kernel, phase or onebit.
    numbers
        Its numbers, in order.
    path
        The file that it names, else None.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    path: str | None = None

    @property
    def linear(self) -> bool:
        """Whether the mean of the measurement is linear in the picture."""
        return self.kind not in ("phase", "onebit")


@dataclass(frozen=True)
class NoiseSpec:
    """A noise in words: "gaussian" or "laplace", and its scale from 0 to 1; or "none"."""

    kind: str
    scale: float = 0.0


def parse_operator(text: str) -> OperatorSpec:
    """Read the words of a forward model.

    Raises
    ------
    InputError
        Unknown, or with numbers out of range.

    Examples
    --------
    >>> parse_operator("superresolve:4")
    OperatorSpec(kind='superresolve', numbers=(4.0,), path=None)
    >>> parse_operator("inpaint:holes.png").path
    'holes.png'
    """
    name, _, rest = text.partition(":")
    match name, rest:
        case "denoise", "":
            return OperatorSpec("denoise")
        case "inpaint", _ if rest:
            share = _number(rest)
            if share is None:
                return OperatorSpec("inpaint", (), rest)
            return OperatorSpec("inpaint", _within(text, (share,), ((0, 1),)))
        case "superresolve", _:
            factor = _within(text, _numbers(text, rest, 1), ((1, 64),))
            if not factor[0].is_integer():
                _refuse(text, "the factor is a whole number")
            return OperatorSpec("superresolve", factor)
        case "blur", _ if rest:
            return _blur(text, rest)
        case "phase", _:
            oversample, _, code = (rest or "4").partition(":")
            factor = _within(text, _numbers(text, oversample, 1), ((0.99, 64),))
            return OperatorSpec("phase", factor, code or None)
        case "onebit", _:
            return OperatorSpec("onebit", _within(text, _numbers(text, rest, 1), ((0, 100),)))
    _refuse(text, "no such forward model")


def parse_noise(text: str) -> NoiseSpec:
    """Read the words of a noise.

    Raises
    ------
    InputError
        Unknown, or with a scale out of range.

    Examples
    --------
    >>> parse_noise("gaussian:0.05")
    NoiseSpec(kind='gaussian', scale=0.05)
    """
    name, _, rest = text.partition(":")
    scale = _number(rest)
    if name == "none" and not rest:
        return NoiseSpec("none")
    if name in ("gaussian", "laplace") and scale is not None and 0 < scale <= 10:
        return NoiseSpec(name, scale)
    raise InputError(
        f"noise is {text!r}, expected gaussian:0.05 or laplace:0.05, with a scale > 0",
        "the scale is in units of white minus black",
        "noiseless data: a small one, such as gaussian:0.002",
    )


def _blur(text: str, rest: str) -> OperatorSpec:
    shape, _, numbers = rest.partition(":")
    if shape == "gaussian" and numbers:
        return OperatorSpec("gaussian", _within(text, _numbers(text, numbers, 1), ((0, 100),)))
    if shape == "motion" and numbers:
        given = _numbers(text, numbers, 2)
        return OperatorSpec("motion", _within(text, given, ((0, 1000), (-361, 361))))
    if Path(rest).suffix:
        return OperatorSpec("kernel", (), rest)
    _refuse(text, "a blur is gaussian:WIDTH, motion:LENGTH:ANGLE, or a file with the kernel")


def _numbers(text: str, rest: str, count: int) -> tuple[float, ...]:
    found = [_number(part) for part in rest.split(":")]
    numbers = tuple(x for x in found if x is not None)
    if len(numbers) != len(found) or len(found) != count:
        _refuse(text, f"it takes {count} number(s)")
    return numbers


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _within(
    text: str, numbers: tuple[float, ...], bounds: tuple[tuple[float, float], ...]
) -> tuple[float, ...]:
    for x, (low, high) in zip(numbers, bounds, strict=True):
        if not low < x < high and not (low >= 1 and x == low):
            _refuse(text, f"{x:g} is not between {low:g} and {high:g}")
    return numbers


def _refuse(text: str, why: str) -> NoReturn:
    raise InputError(f"operator is {text!r}, which cannot be read: {why}", remedy=OPERATORS)
