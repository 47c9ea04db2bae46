"""The jobs about pictures and posterior draws, as plain values. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from wellposed.jobs.bounds import whole
from wellposed.jobs.specs import parse_noise, parse_operator

_SHIPPED = Path(__file__).parents[1] / "data" / "priors"


@dataclass(frozen=True)
class RecoverJob:
    """Recover a picture from a measurement, with uncertainty.

    Parameters
    ----------
    file
        Path of the measurement: a picture or .npy; with ``simulate``, of the clean picture.
    operator, noise
        In the words of ``jobs.specs``.
    prior
        Name, file or folder of a trained prior.
    method
        Name of a posterior sampler, see ``jobs.budget.METHODS``.
    draws
        Number of draws, >= 1.
    simulate
        Measure the picture first.
    size
        With ``simulate``: crop the picture in the middle to at most so many pixels a side.
    budget
        Denoiser evaluations a draw, >= 8; None takes the method's own.
    calibrate
        Trials of a calibration with the same forward model and prior, 0 or >= 20.
    form
        Of the pictures written: png, jpeg, tiff or npy.
    seed
        Seed of all random choices, >= 0.

    Raises
    ------
    InputError
        A value out of range, or words that cannot be read.

    Examples
    --------
    >>> RecoverJob("cat.png", "superresolve:4", simulate=True).kind
    'recover'
    """

    file: str
    operator: str
    noise: str = "gaussian:0.05"
    prior: str = "photo"
    method: str = "dpnp"
    draws: int = 16
    simulate: bool = False
    size: int | None = None
    budget: int | None = None
    calibrate: int = 0
    form: Literal["png", "jpeg", "tiff", "npy"] = "png"
    seed: int = 0

    kind: ClassVar[str] = "recover"
    subject: ClassVar[str | None] = "file"

    def __post_init__(self) -> None:
        parse_operator(self.operator)
        parse_noise(self.noise)
        _sampling(self.draws, self.budget, self.seed)
        whole("size", self.size, 1)
        if self.calibrate:
            whole("calibrate", self.calibrate, 20)

    @property
    def operator_file(self) -> str | None:
        """Path of the file that the operator names, else None."""
        return parse_operator(self.operator).path

    @property
    def inputs(self) -> tuple[str, ...]:
        """The picture, the operator's file, and the prior's unless it is a name."""
        return ("file", "operator_file", *prior_input(self.prior))


@dataclass(frozen=True)
class CalibrateJob:
    """Test whether a sampler's uncertainty holds for a forward model, a noise and a prior.

    Parameters
    ----------
    operator, noise, prior, method, budget, seed
        As for ``RecoverJob``.
    size
        Side of the signals in pixels, >= 8; None takes the prior's own.
    repeats
        Number of trials, >= 20.
    draws
        Draws a trial, >= 4.
    truths
        Path of a stack of pictures to take as signals instead of the prior's draws.

    Raises
    ------
    InputError
        A value out of range, or words that cannot be read.

    Examples
    --------
    >>> CalibrateJob("superresolve:4").repeats
    40
    """

    operator: str
    noise: str = "gaussian:0.05"
    prior: str = "photo"
    method: str = "dpnp"
    size: int | None = None
    repeats: int = 40
    draws: int = 9
    budget: int | None = None
    truths: str | None = None
    seed: int = 0

    kind: ClassVar[str] = "calibrate"
    subject: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        parse_operator(self.operator)
        parse_noise(self.noise)
        _sampling(self.draws, self.budget, self.seed)
        whole("draws", self.draws, 4)
        whole("repeats", self.repeats, 20)
        whole("size", self.size, 8)

    @property
    def operator_file(self) -> str | None:
        """Path of the file that the operator names, else None."""
        return parse_operator(self.operator).path

    @property
    def inputs(self) -> tuple[str, ...]:
        """The pictures, the operator's file, and the prior's unless it is a name."""
        return ("truths", "operator_file", *prior_input(self.prior))


def prior_input(prior: str) -> tuple[str, ...]:
    """Return ("prior",) where it is a file or folder, and not the name of one of ours.

    Examples
    --------
    >>> prior_input("photo"), prior_input(".")
    ((), ('prior',))
    """
    named = (_SHIPPED / f"{prior}.safetensors").is_file()
    return ("prior",) if not named and Path(prior).exists() else ()


def _sampling(draws: int, budget: int | None, seed: int) -> None:
    whole("draws", draws, 1)
    whole("budget", budget, 8)
    whole("seed", seed, 0)
