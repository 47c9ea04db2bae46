"""One place where predictions are turned into each other.

Model      x = a x0 + b eps,  sigma = b / a,  eps ~ N(0, I).
Kinds      x0         the denoised signal D = E[x0 | x]
           eps        the noise E[eps | x]
           score      grad log p(x) = -eps / b
           v          a eps - b D
           velocity   a' D + b' eps, the slope dx/dt of the probability flow;
                      eps - D on the straight path a = 1 - t, b = t
Method     every kind is first split into the pair (D, eps), each half by the formula that does
           not subtract nearly equal numbers, then merged into the wanted kind.
Fails      where a half is not determined: D from eps or score at a = 0, eps from x0 at b = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar, get_args

from torch import Tensor

from wellposed.checks import require

Function = TypeVar("Function", bound=Callable[..., object])
Kind = Literal["x0", "eps", "score", "v", "velocity"]


class Level(NamedTuple):
    """Coefficients of a process at one time: floats, or tensors that broadcast with x."""

    a: float | Tensor
    b: float | Tensor
    da: float | Tensor = float("nan")  # da / dt, needed by the velocity only
    db: float | Tensor = float("nan")


class Pair(NamedTuple):
    """What x is made of: x = a x0 + b eps."""

    x0: Tensor
    eps: Tensor


def split(kind: Kind, prediction: Tensor, x: Tensor, level: Level) -> Pair:
    """Return the pair (D, eps) that a prediction stands for.

    Parameters
    ----------
    kind
        What the prediction is: "x0", "eps", "score", "v" or "velocity".
    prediction, x
        Same shape; x in the process's own scale.
    level
        a(t) and b(t); for "velocity" their time derivatives as well.

    Raises
    ------
    InputError
        Unknown kind.

    Examples
    --------
    >>> import torch
    >>> x, level = torch.tensor([1.0]), Level(0.8, 0.6)
    >>> split("eps", torch.tensor([0.5]), x, level).x0
    tensor([0.8750])
    """
    return _choose(_SPLIT, kind)(prediction, x, level)


def merge(kind: Kind, pair: Pair, level: Level) -> Tensor:
    """Return the prediction of the wanted kind that a pair (D, eps) stands for.

    Examples
    --------
    >>> import torch
    >>> merge("v", Pair(torch.tensor([1.0]), torch.tensor([2.0])), Level(0.8, 0.6))
    tensor([1.])
    """
    return _choose(_MERGE, kind)(pair, level)


def convert(prediction: Tensor, x: Tensor, level: Level, source: Kind, target: Kind) -> Tensor:
    """Turn a prediction of one kind into another at the same (x, t).

    Examples
    --------
    >>> import torch
    >>> convert(torch.tensor([0.6]), torch.tensor([1.0]), Level(0.8, 0.6), "eps", "score")
    tensor([-1.])
    """
    return merge(target, split(source, prediction, x, level), level)


def _choose(table: dict[str, Function], kind: str) -> Function:
    require(
        kind in table,
        f"a prediction of kind {kind!r} is unknown, expected one of {', '.join(get_args(Kind))}",
    )
    return table[kind]


def _split_x0(x0: Tensor, x: Tensor, at: Level) -> Pair:
    return Pair(x0, (x - at.a * x0) / at.b)


def _split_eps(eps: Tensor, x: Tensor, at: Level) -> Pair:
    return Pair((x - at.b * eps) / at.a, eps)


def _split_score(score: Tensor, x: Tensor, at: Level) -> Pair:
    return _split_eps(-at.b * score, x, at)


def _split_v(v: Tensor, x: Tensor, at: Level) -> Pair:
    square = at.a * at.a + at.b * at.b
    return Pair((at.a * x - at.b * v) / square, (at.b * x + at.a * v) / square)


def _split_velocity(u: Tensor, x: Tensor, at: Level) -> Pair:
    turn = at.a * at.db - at.da * at.b  # a^2 sigma' > 0
    return Pair((at.db * x - at.b * u) / turn, (at.a * u - at.da * x) / turn)


_SPLIT: dict[str, Callable[[Tensor, Tensor, Level], Pair]] = {
    "x0": _split_x0,
    "eps": _split_eps,
    "score": _split_score,
    "v": _split_v,
    "velocity": _split_velocity,
}

_MERGE: dict[str, Callable[[Pair, Level], Tensor]] = {
    "x0": lambda pair, at: pair.x0,
    "eps": lambda pair, at: pair.eps,
    "score": lambda pair, at: -pair.eps / at.b,
    "v": lambda pair, at: at.a * pair.eps - at.b * pair.x0,
    "velocity": lambda pair, at: at.da * pair.x0 + at.db * pair.eps,
}
