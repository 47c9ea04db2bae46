"""The jobs, as plain values that a manifest can hold. Loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from types import UnionType
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from wellposed.errors import InputError, StoreError
from wellposed.jobs.bounds import between, positive, whole
from wellposed.jobs.pictures import CalibrateJob, RecoverJob, prior_input

Layout = Literal["auto", "triplets", "wide"]
Layering = Literal["matrix", "tensor", "unrolled", "unrolled-matrix"]


@dataclass(frozen=True)
class CompleteJob:
    """Complete a table.

    Parameters
    ----------
    table
        Path of the table: text, .npy, .npz or parquet.
    rank
        Rank of the model, >= 1; None chooses it by hold-out.
    ridge
        Penalty, >= 0; None chooses it by hold-out.
    biases
        Row and column offsets; None keeps them when they lower the hold-out error.
    method
        Name of a method; None takes the default.
    holdout
        Share of the observed cells that judges the model, in [0, 0.5]; 0 judges nothing.
    predict
        Path of a list of cells to predict; None predicts all missing ones.
    seed
        Seed of all random choices, >= 0.
    steps, tol
        Limits of each fit: steps >= 1, relative tolerance in (0, 1].
    layout, delimiter
        How to read the text, where the rules of ``wellposed.io.layout`` guess wrong.

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> CompleteJob("ratings.csv", rank=5).kind
    'complete'
    """

    table: str
    rank: int | None = None
    ridge: float | None = None
    biases: bool | None = None
    method: str | None = None
    holdout: float = 0.1
    predict: str | None = None
    seed: int = 0
    steps: int = 2000
    tol: float = 1e-6
    layout: Layout = "auto"
    delimiter: str | None = None

    kind: ClassVar[str] = "complete"
    subject: ClassVar[str | None] = "table"  # what the command names first
    inputs: ClassVar[tuple[str, ...]] = ("table", "predict")

    def __post_init__(self) -> None:
        _limits(self.rank, self.seed, self.steps, self.tol)
        between("ridge", self.ridge or 0.0, 0, math.inf)
        between("holdout", self.holdout, 0, 0.5)


@dataclass(frozen=True)
class CompleteCubeJob:
    """Complete an array of three or more modes.

    Parameters
    ----------
    cube
        Path of the array: .npy, .npz, HDF5, NetCDF, frames; NaN is missing.
    variable
        Which array of a file that holds several; None takes the only one that fits.
    ranks
        Rank of each mode, >= 1; None chooses them by hold-out.
    method
        Name of a method; None takes the default.
    holdout
        Share of the observed cells that judges the model, in [0, 0.5]; 0 judges nothing.
    seed
        Seed of all random choices, >= 0.
    steps, tol
        Limits of each fit: steps >= 1, relative tolerance in (0, 1].

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> CompleteCubeJob("scene.npy", ranks=[40, 40, 6]).ranks
    (40, 40, 6)
    """

    cube: str
    variable: str | None = None
    ranks: tuple[int, ...] | None = None
    method: str | None = None
    holdout: float = 0.1
    seed: int = 0
    steps: int = 2000
    tol: float = 1e-4

    kind: ClassVar[str] = "complete-cube"
    subject: ClassVar[str | None] = "cube"
    inputs: ClassVar[tuple[str, ...]] = ("cube",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", _ranks(self.ranks))
        _limits(None, self.seed, self.steps, self.tol)
        between("holdout", self.holdout, 0, 0.5)


@dataclass(frozen=True)
class SeparateJob:
    """Separate a stack of frames into a still background and what moves before it.

    Parameters
    ----------
    stack
        Path of a video, a folder of pictures, or an array.
    rank
        Rank of the background in time, >= 1; None chooses it by hold-out.
    method
        "matrix": a frame a column; "tensor": Tucker form, sides and colour kept apart;
        "unrolled": the tensor method in a fixed number of layers with four numbers in all;
        "unrolled-matrix": the matrix method likewise, each layer with numbers of its own.
    ranks
        Tensor methods: ranks of height, width (and colour); None keeps them full.
    tune
        Unrolled methods: "self" tunes thresholds and steps on this stack, "none" takes the usual
        ones, anything else is the path of a net.safetensors that an earlier run wrote.
    threshold
        How far a pixel must be from the background to count as foreground, > 0, in the units
        of the frames (pictures and videos: 0 black to 1 white); None: 5 times the robust
        standard deviation of what the background leaves, at least 1 % of the frames' range.
    max_frames, stride, scale, grey
        Stop after so many frames; keep every stride-th; average squares of scale x scale
        pixels; drop the colour.
    seed
        Seed of all random choices, >= 0.
    steps, tol
        Limits of each fit: steps >= 1, relative tolerance in (0, 1].

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> SeparateJob("street.avi", scale=4, grey=True).kind
    'separate'
    """

    stack: str
    rank: int | None = None
    method: Layering = "matrix"
    ranks: tuple[int, ...] | None = None
    tune: str = "self"
    threshold: float | None = None
    max_frames: int | None = None
    stride: int = 1
    scale: int = 1
    grey: bool = False
    seed: int = 0
    steps: int = 500
    tol: float = 1e-4

    kind: ClassVar[str] = "separate"
    subject: ClassVar[str | None] = "stack"

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", _ranks(self.ranks))
        _limits(self.rank, self.seed, self.steps, self.tol)
        for name in ("max_frames", "stride", "scale"):
            whole(name, getattr(self, name), 1)
        if self.ranks is not None and self.method in ("matrix", "unrolled-matrix"):
            raise InputError(
                f"ranks are {self.ranks}, but the method is {self.method!r}",
                "a matrix has one rank",
                "take --method tensor, or --rank",
            )
        positive("threshold", self.threshold)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The stack, and the file of a net where there is one."""
        return ("stack",) if self.tune in ("self", "none") else ("stack", "tune")


@dataclass(frozen=True)
class DemoJob:
    """Complete the embedded table, separate the embedded clip, recover the embedded picture.

    Parameters
    ----------
    seed
        Seed of all random choices, >= 0.
    budget
        Denoiser evaluations for each draw of the picture, >= 8.

    Examples
    --------
    >>> DemoJob().kind
    'demo'
    """

    seed: int = 0
    budget: int = 96

    kind: ClassVar[str] = "demo"
    subject: ClassVar[str | None] = None
    inputs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0)
        whole("budget", self.budget, 8)


@dataclass(frozen=True)
class TrainJob:
    """Train a denoiser.

    Parameters
    ----------
    data
        Paths or names of data sets, at least one: pictures (a folder), or arrays of signals of
        one shape (.npy, .npz, IDX).
    network
        Name of a network; None takes "unet" for images and "mlp" for vectors.
    steps, minutes
        Length of the run, > 0; minutes win, and are turned into steps once.
    batch
        Signals of a step, >= 1; of pictures, crops of the first size.
    crops
        Sides of the square crops of pictures, in pixels, divisible by the network's stride.
    largest
        Pictures are reduced until their longer side has so many pixels.
    flips
        Mirror half of the images; None mirrors crops of pictures, and nothing else.
    rate, decay
        Largest rate of the optimizer, > 0; share of the steps over which it falls to 0, in
        [0, 1].
    optimizer
        "adamw", "muon" or "sgd".
    level_mean, level_std
        Of the logarithm of the noise levels in training; level_std > 0.
    sigma_data
        Standard deviation of a coordinate of the signals, > 0; None measures it.
    holdout
        One in so many signals, or pictures, is held out, >= 2.
    half
        Compute in bfloat16; weights stay float32.
    start
        Name or path of a prior of the same network to begin from; None begins anew.
    seed
        Seed of all random choices, >= 0.
    digest
        Hash of the data that a run began with; empty before it is known.

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> TrainJob(("pictures",), minutes=20).kind
    'train'
    """

    data: tuple[str, ...]
    network: str | None = None
    steps: int = 10_000
    minutes: float | None = None
    batch: int = 64
    crops: tuple[int, ...] = (64,)
    largest: int = 2400
    flips: bool | None = None
    rate: float = 1e-3
    decay: float = 0.35
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    level_mean: float = -1.2
    level_std: float = 1.2
    sigma_data: float | None = None
    holdout: int = 12
    half: bool = False
    start: str | None = None
    seed: int = 0
    digest: str = ""

    kind: ClassVar[str] = "train"
    subject: ClassVar[str | None] = "data"
    inputs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        between("decay", self.decay, 0, 1)
        object.__setattr__(self, "data", tuple(self.data))
        object.__setattr__(self, "crops", tuple(self.crops))
        if not self.data or not self.crops:
            raise InputError("data and crops need at least one entry each")
        for name in ("steps", "batch", "largest"):
            whole(name, getattr(self, name), 1)
        for size in self.crops:
            whole("crops", size, 1)
        whole("holdout", self.holdout, 2)
        whole("seed", self.seed, 0)
        for name in ("minutes", "rate", "level_std", "sigma_data"):
            positive(name, getattr(self, name))
        between("level_mean", self.level_mean, -20, 20)


@dataclass(frozen=True)
class SampleJob:
    """Draw signals from a prior.

    Parameters
    ----------
    prior
        Name of a prior that comes with the package, or path of one.
    n
        Number of draws, >= 1.
    method
        Name of a sampler; None takes the default.
    steps
        Its number of steps, >= 1; None takes its own default.
    size
        Height and width of an image in pixels, where the network takes several; None takes the
        prior's.
    half
        Compute the network in bfloat16.
    seed
        Seed of the noise, >= 0.

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> SampleJob("fashion", n=16, steps=20).kind
    'sample'
    """

    prior: str
    n: int = 64
    method: str | None = None
    steps: int | None = None
    size: int | None = None
    half: bool = False
    seed: int = 0

    kind: ClassVar[str] = "sample"
    subject: ClassVar[str | None] = "prior"

    def __post_init__(self) -> None:
        for name in ("n", "steps", "size"):
            whole(name, getattr(self, name), 1)
        whole("seed", self.seed, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The file or folder of the prior, unless it is a name."""
        return prior_input(self.prior)


Job = (
    CompleteJob | CompleteCubeJob | SeparateJob | DemoJob | TrainJob | SampleJob | RecoverJob
    | CalibrateJob
)  # fmt: skip
_JOBS: tuple[type[Job], ...] = (
    CompleteJob, CompleteCubeJob, SeparateJob, DemoJob, TrainJob, SampleJob, RecoverJob,
    CalibrateJob,
)  # fmt: skip
_KINDS: dict[str, type[Job]] = {j.kind: j for j in _JOBS}


def to_plain(job: Job) -> dict[str, Any]:
    """Return the values of a job for its manifest."""
    return asdict(job)


def from_plain(kind: str, values: Any) -> Job:
    """Build a job again from its manifest.

    Raises
    ------
    StoreError
        The manifest names no job of this version.
    """
    try:
        hints = get_type_hints(_KINDS[kind])
        if all(_fits(value, hints[name]) for name, value in values.items()):
            return _KINDS[kind](**values)
    except (KeyError, TypeError, AttributeError):
        pass
    raise StoreError(
        f"the manifest describes the job {kind!r} with {values!r}",
        "it was edited, or written by another version of wellposed",
        "start the job again in a new folder",
    )


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value that came from JSON is of a field's type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in parts
    if origin is UnionType:
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(v, parts[0]) for v in value)
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, hint)


def _limits(rank: int | None, seed: int, steps: int, tol: float) -> None:
    whole("rank", rank, 1)
    whole("seed", seed, 0)
    whole("steps", steps, 1)
    if not 0 < tol <= 1:
        raise InputError(f"tol is {tol!r}, expected a number in (0, 1]")


def _ranks(ranks: Any) -> tuple[int, ...] | None:
    if ranks is None:
        return None
    if not ranks or not all(isinstance(r, int) and r >= 1 for r in ranks):
        raise InputError(f"ranks is {ranks!r}, expected whole numbers >= 1, one for each mode")
    return tuple(ranks)
