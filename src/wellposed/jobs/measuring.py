"""From a picture and the words of the command line to a problem in the prior's units.

Units      pictures are 0 (black) to 1 (white), priors work on x = 2 p - 1. A linear model A of p
           with noise s n becomes  2 y - A 1 = A x + 2 s n : exact for every linear A.
           Magnitudes |F(c p)| with noise s n become  2 y = |F(c (x + 1))| + 2 s n.
           Bits are those of x itself; a dither of s on the scale of p is 2 s.
Grey       files under a colour prior: three equal channels, each with noise sqrt(3) s. The mean of
           the channels then has the noise s, and colours are pulled towards grey.
Sides      that the network's levels do not divide: the signal gets a margin that is not measured.
Simulated  signals are cropped in the middle instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed import operators
from wellposed.errors import CapabilityError, InputError
from wellposed.io import Picture, read_picture
from wellposed.jobs.specs import NoiseSpec, OperatorSpec
from wellposed.noise import Gaussian, Laplace, Noise, OneBit
from wellposed.operators.base import LinearOperator, Operator
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.problem import Problem
from wellposed.rng import Stream

CODE = (1 / 8, 7 / 8)  # below the first: -1; above the second: +1; between them the pixel is hidden
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A problem about a picture.

    Attributes
    ----------
    problem
        In the prior's units.
    prior
        For signals of the problem's shape.
    frame
        (H, W) of the picture: the upper left part of the signal.
    grey
        Whether the picture is grey.
    truth
        [C, H, W] in the prior's units, where it was simulated, else None.
    shown
        The measurement as a picture [H, W] or [H, W, 3], 0 to 1, as far as it is one.
    files
        Arrays by the name of a file: what ``measured`` would need again, where it is no picture.
    """

    problem: Problem
    prior: DiffusionPrior
    frame: tuple[int, int]
    grey: bool
    truth: Tensor | None
    shown: NDArray[np.float32]
    files: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def picture(self, x: Tensor) -> NDArray[np.float32]:
        """Return signals [..., C, H, W] as pictures [..., H, W] or [..., H, W, 3], 0 to 1."""
        high, wide = self.frame
        inside = (x[..., :high, :wide].float() + 1) / 2
        if self.grey or x.shape[-3] == 1:
            return np.asarray(inside.mean(-3).numpy())
        return np.asarray(inside.movedim(-3, -1).numpy())


def measured(picture: Picture, operator: OperatorSpec, noise: NoiseSpec, prior: Any) -> Measurement:
    """Take a file's picture as the measurement itself."""
    values, grey = _channels(picture, prior)
    if operator.kind == "inpaint" and operator.path is None:
        raise InputError(
            f"a random share of {operator.numbers[0]:g} is only for --simulate",
            "which pixels of a measured picture are missing must be said",
            "--operator inpaint:mask.png, white where the picture is seen",
        )
    if operator.kind == "onebit" and grey and len(values) == 3:
        raise CapabilityError(
            "one bit a pixel of a grey picture cannot be told to a colour prior",
            "three equal bits would count the same coin three times",
            "--prior fashion, or a grey prior of your own",
        )
    if operator.kind == "phase":
        return _magnitudes(values, operator, noise, prior, grey)
    factor = int(operator.numbers[0]) if operator.kind == "superresolve" else 1
    frame = (values.shape[1] * factor, values.shape[2] * factor)
    shape = _padded((len(values), *frame), factor, prior)
    y = torch.from_numpy(values)
    if operator.kind == "inpaint":
        seen = _mask(operator.path, frame)
        model: Operator = _seen(seen, shape)
        y = y[seen.expand(y.shape)]
    else:
        model = _with_margin(_operator(operator, shape, 0), frame, factor)
    y = y.reshape(model.shape_out)
    y = (2 * y - _of_ones(model)) if operator.linear else 2 * (y > 0.5).float() - 1
    spread = math.sqrt(3) if grey and len(values) == 3 else 1.0
    problem = Problem(y.float(), model, _noise(operator, noise, spread), as_numpy=False)
    return Measurement(problem, _at(prior, shape), frame, grey, None, picture.values)


def _magnitudes(
    values: NDArray[np.float32], operator: OperatorSpec, noise: NoiseSpec, prior: Any, grey: bool
) -> Measurement:
    """Take magnitudes |F(c p)| from a file, [C, H', W'], and their code from another."""
    if operator.path is None:
        raise InputError(
            "magnitudes were given without their code",
            "which pixels were seen, and with which sign, is not in the file",
            f"--operator phase:{operator.numbers[0]:g}:code.npy; --simulate leaves both files",
        )
    frame = tuple(read_picture(operator.path).values.shape[:2])
    shape = (len(values), *frame)
    if _padded(shape, 1, prior) != shape:
        raise InputError(
            f"the code has {frame[1]} x {frame[0]} pixels, expected multiples of {_stride(prior)}",
            "the prior needs such sides, and a margin would change the magnitudes",
            "take another prior, or measure with a code of such sides",
        )
    model = _operator(operator, shape, 0)
    if tuple(model.shape_out) != values.shape:
        high, wide = model.shape_out[-2:]
        raise InputError(
            f"there are {values.shape[2]} x {values.shape[1]} magnitudes, expected {wide} x {high}",
            f"that is {operator.numbers[0]:g} times as many as the code has pixels",
            "give the factor that was measured with: --operator phase:FACTOR:code.npy",
        )
    law = _noise(operator, noise, math.sqrt(3) if grey and len(values) == 3 else 1.0)
    problem = Problem(2 * torch.from_numpy(values), model, law, as_numpy=False)
    shown = _shown(operator, problem, shape)
    return Measurement(problem, _at(prior, shape), frame, grey, None, shown)


def simulated(
    picture: Picture, operator: OperatorSpec, noise: NoiseSpec, prior: Any, seed: int,
    size: int | None = None,
) -> Measurement:  # fmt: skip
    """Take a file's picture as the truth, and measure it."""
    values, grey = _channels(picture, prior)
    factor = int(operator.numbers[0]) if operator.kind == "superresolve" else 1
    truth = 2 * torch.from_numpy(_cropped(values, math.lcm(_stride(prior), factor), size)) - 1
    shape: Shape = tuple(truth.shape)  # type: ignore[assignment]
    model = _operator(operator, shape, seed)
    told_thrice = grey and len(values) == 3 and operator.kind != "onebit"
    spread = math.sqrt(3) if told_thrice else 1.0
    law = _noise(operator, noise, spread)
    mean = model.forward(truth[None])[0]
    y = law.simulate(mean, Stream(seed))
    if spread > 1:  # one grey measurement, told three times
        y = mean + ((y - mean).reshape(3, -1)[0] / spread).repeat(3).reshape(mean.shape)
    problem = Problem(y, model, law, as_numpy=False)
    frame = (shape[1], shape[2])
    shown, files = _shown(operator, problem, shape), {}
    if isinstance(model, operators.PhaseRetrieval):
        seen = (y / 2).float()
        files["measured.npy"] = (seen[0] if grey else seen.movedim(0, -1)).numpy()
        files["code.npy"] = model.mask.numpy()
    return Measurement(problem, _at(prior, shape), frame, grey, truth, shown, files)


def _channels(picture: Picture, prior: Any) -> tuple[NDArray[np.float32], bool]:
    """Bring a picture to the prior's channels, [C, H, W]; tell whether it is grey."""
    count = prior.shape[0] if len(prior.shape) == 3 else 0
    if count not in (1, 3):
        raise CapabilityError(
            f"the prior is for signals {list(prior.shape)}, expected pictures [1 or 3, H, W]",
            "a picture is recovered",
            "--prior photo or fashion; other signals from Python: wp.recover(problem, prior)",
        )
    if picture.grey:
        return np.repeat(picture.values[None], count, 0), True
    if count == 1:
        raise InputError(
            "the picture has colours, the prior is grey",
            "each colour would need a recovery of its own",
            "turn the picture grey first, or take --prior photo",
        )
    return np.ascontiguousarray(picture.values.transpose(2, 0, 1)), False


def _stride(prior: Any) -> int:
    """Return what the sides of a signal must be multiples of."""
    return int(getattr(getattr(prior, "config", None), "stride", 1))


def _at(prior: Any, shape: Shape) -> DiffusionPrior:
    if tuple(prior.shape) == shape:
        return prior  # type: ignore[no-any-return]
    if not hasattr(prior, "at"):
        raise InputError(
            f"the prior is for signals {list(prior.shape)}, the picture needs {list(shape)}",
            "this prior works at one size only",
            "crop or shrink the picture to its size; with --simulate, --size does so",
        )
    return prior.at(shape)  # type: ignore[no-any-return]


def _padded(shape: Shape, factor: int, prior: Any) -> Shape:
    unit = math.lcm(_stride(prior), factor)
    high, wide = (-(-n // unit) * unit for n in shape[1:])
    return (shape[0], high, wide)


def _cropped(values: NDArray[np.float32], unit: int, size: int | None) -> NDArray[np.float32]:
    asked = [min(n, size or n) for n in values.shape[1:]]
    sides = [n // unit * unit for n in asked]
    if min(sides) == 0:
        raise InputError(
            f"{asked[1]} x {asked[0]} pixels are to be measured, expected at least {unit} x {unit}",
            "the prior and the forward model need sides that are multiples of it",
            "take a larger picture, or a larger --size",
        )
    top, left = ((n - s) // 2 for n, s in zip(values.shape[1:], sides, strict=True))
    return np.ascontiguousarray(values[:, top : top + sides[0], left : left + sides[1]])


def _operator(spec: OperatorSpec, shape: Shape, seed: int) -> Operator:
    match spec.kind:
        case "superresolve":
            return operators.Downsample(int(spec.numbers[0]), shape)
        case "gaussian":
            return operators.Blur(operators.gaussian_kernel(spec.numbers[0]), shape)
        case "motion":
            return operators.Blur(operators.motion_kernel(*spec.numbers), shape)
        case "kernel":
            return operators.Blur(_kernel(str(spec.path)), shape)
        case "phase":
            known = code(shape, seed) if spec.path is None else _code(spec.path, shape[1:])
            return operators.PhaseRetrieval(known, spec.numbers[0], shape, offset=1.0)
        case "inpaint" if spec.path is not None:
            return _seen(_mask(spec.path, shape[1:]), shape)
        case "inpaint":
            u = Stream(seed).uniform(shape[1:], "missing pixels")
            return _seen(u >= spec.numbers[0], shape)
    return operators.Identity(shape)


def _kernel(path: str) -> Tensor:
    """Read a kernel, and make its numbers add up to one."""
    kernel = torch.from_numpy(read_picture(path).values)
    total = float(kernel.sum())
    if not total > 1e-3 * float(kernel.abs().sum()):
        raise InputError(
            f"the numbers of {path} add up to {total:g}, expected more than 0",
            "a blur keeps the brightness, so its kernel is divided by their sum",
            "give the kernel as it spreads a bright point",
        )
    return kernel / total


def code(shape: Shape, seed: int) -> Tensor:
    """Return a random code of -1, 0 and +1 for phase retrieval, [H, W], one for all channels."""
    u = Stream(seed).uniform(shape[1:], "code")
    return ((u >= CODE[1]).float() - (u < CODE[0]).float()).float()


def _code(path: str, frame: tuple[int, ...]) -> Tensor:
    """Read a code, [H, W]."""
    found = torch.from_numpy(read_picture(path).values)
    if tuple(found.shape) != tuple(frame):
        raise InputError(
            f"the code has shape {list(found.shape)}, expected {list(frame)}",
            "there is one number for each pixel, the same for all colours",
            "give a code of the picture's size; with --simulate, --size crops the picture",
        )
    return found


def _mask(path: str | None, frame: tuple[int, ...]) -> Tensor:
    """Read which pixels are seen: white ones."""
    values = read_picture(Path(str(path))).values
    seen = torch.from_numpy(values if values.ndim == 2 else values.mean(2)) > 0.5
    if tuple(seen.shape) != tuple(frame):
        raise InputError(
            f"the mask has {seen.shape[1]} x {seen.shape[0]} pixels, the picture "
            f"{frame[1]} x {frame[0]}",
            "it tells of each pixel whether it is seen",
            "give a mask of the picture's size; with --simulate, of what is left of it",
        )
    if not bool(seen.any()):
        raise InputError(
            "the mask is black everywhere", "white marks the pixels that are seen",
            "invert it if it marks the holes",
        )  # fmt: skip
    return seen


def _seen(seen: Tensor, shape: Shape) -> LinearOperator:
    """See the pixels of the frame where the mask is true; the margin is not seen."""
    full = torch.zeros(shape[1:], dtype=torch.bool)
    full[: seen.shape[0], : seen.shape[1]] = seen
    return operators.Mask(full, shape)


def _with_margin(model: Operator, frame: tuple[int, int], factor: int) -> Operator:
    """Leave out what a margin added to the measurement."""
    have = tuple(model.shape_out)[-2:]
    want = (frame[0] // factor, frame[1] // factor)
    if have == want:
        return model
    seen = torch.zeros(have, dtype=torch.bool)
    seen[: want[0], : want[1]] = True
    inner = operators.Mask(seen, tuple(model.shape_out))
    return inner if isinstance(model, operators.Identity) else operators.Compose(inner, model)


def _of_ones(model: Operator) -> Tensor:
    return model.forward(torch.ones(1, *model.shape_in))[0]


def _noise(operator: OperatorSpec, noise: NoiseSpec, spread: float) -> Noise:
    if operator.kind == "onebit":
        if noise.kind != "none":
            raise InputError(
                f"noise {noise.kind} was given to one-bit data",
                "bits have no noise but their dither, which is part of the forward model",
                "--noise none",
            )
        return OneBit(2 * operator.numbers[0])
    if noise.kind == "none":
        raise InputError(
            "noise is none, expected a law of the errors",
            "draws are as far apart as the noise allows",
            "for exact data take a small one: --noise gaussian:0.002",
        )
    scale = 2 * noise.scale * spread
    return Laplace(scale) if noise.kind == "laplace" else Gaussian(scale)


def _shown(operator: OperatorSpec, problem: Problem, shape: Shape) -> NDArray[np.float32]:
    """Draw a simulated measurement: as a picture, a back-projection, or magnitudes."""
    y, model = problem.y.float(), problem.operator
    if operator.kind == "inpaint":
        seen = model.forward(torch.ones(1, *shape))
        back = model.backward((y[None] + 1) / 2)[0]  # type: ignore[attr-defined]
        y = torch.where(model.backward(seen)[0] > 0, back, torch.full_like(back, 0.5))  # type: ignore[attr-defined]
    elif operator.kind == "phase":
        y = (1 + y).log()
        y = y / y.max()
    else:
        y = (y + 1) / 2
    y = y.reshape(-1, *y.shape[-2:])
    return np.asarray((y.movedim(0, -1) if len(y) == 3 else y.mean(0)).numpy())
